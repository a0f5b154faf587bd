"""Which data a command works on: the emoji or photographs, from options to a protocol."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from hmnet_lite.data.emoji.protocol import Protocol
from hmnet_lite.data.photos.protocol import PHOTO_DATASETS, PhotoProtocol
from hmnet_lite.mamba.config import MixerConfig

DATASETS = ("emoji", *PHOTO_DATASETS)
LITE_SIZE = 256  # HMNet-lite's own image size: its sides must be multiples of 16
LARGEST = 2048  # pixels of a square's side: at that the published network needs some 100 GB
_SHARED = {field.name for field in dataclasses.fields(Protocol)}
#: fields that only one kind of data has
PHOTO_FIELDS = tuple(f.name for f in dataclasses.fields(PhotoProtocol) if f.name not in _SHARED)
EMOJI_FIELDS = ("distractors", "occlusion", "scale")


def given(options: Any, names: tuple[str, ...]) -> dict[str, Any]:
    """The options that were given (are not None), by name."""
    values = {name: getattr(options, name, None) for name in names}
    return {name: value for name, value in values.items() if value is not None}


def flags(names: Any) -> str:
    """Field names as a reader types them: image_size becomes --image-size."""
    return ", ".join(f"--{name.replace('_', '-')}" for name in names)


def refuse_photo_options(options: Any, names: tuple[str, ...] = PHOTO_FIELDS) -> None:
    """Options of photographs given with emoji would do nothing: say so.

    Args:
        options: a command's.
        names: those beside --root.

    Raises:
        ValueError: names them.
    """
    if found := given(options, ("root", *names)):
        raise ValueError(
            f"{flags(found)} only has a meaning with photographs; add --dataset "
            f"{', '.join(PHOTO_DATASETS[:-1])} or {PHOTO_DATASETS[-1]}"
        )


def emoji_protocol(options: Any) -> Protocol:
    """The protocol that the options spell. Raises TypeError, ValueError as it does."""
    names = tuple(f.name for f in dataclasses.fields(Protocol) if f.name != "dataset")
    return Protocol(**given(options, names))


def photo_protocol(options: Any, **values: Any) -> PhotoProtocol:
    """The protocol that the options spell; `values` are what they leave open.

    Raises:
        TypeError, ValueError: no --root, options of the emoji, or a field the protocol refuses.
    """
    if found := given(options, (*EMOJI_FIELDS, "gaps")):
        raise ValueError(f"{flags(found)} only has a meaning with --dataset emoji")
    if not options.root:
        raise ValueError(f"--dataset {options.dataset} needs --root, the folder it is in")
    if not Path(options.root).is_dir():
        raise ValueError(f"--root {options.root}: there is no such folder")
    names = tuple(field.name for field in dataclasses.fields(PhotoProtocol))
    protocol = PhotoProtocol(**values | given(options, names))
    if protocol.image_size > LARGEST:
        raise ValueError(f"--image-size {protocol.image_size}; expected at most {LARGEST}")
    return protocol


def check_lite_size(size: int, *configs: object) -> None:
    """HMNet-lite's squares, and the maps that these networks read in them. Raises ValueError."""
    if size % 16:
        raise ValueError(f"--image-size {size}; HMNet-lite expects a multiple of 16")
    mixers = [c for c in configs if isinstance(c, MixerConfig) and c.depth]
    for name in ("recap", "support", "qim"):
        ratio = max((getattr(c, f"{name}_ratio") or 1 for c in mixers), default=1)
        if ratio > size // 16:
            raise ValueError(
                f"a {name} ratio of {ratio} cuts the map in more patches a side than it has "
                f"pixels, {size // 16} for --image-size {size}; expected at most that"
            )

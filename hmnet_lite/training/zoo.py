"""Trained networks that come with the package: one line to load one, no network needed.

model = hmnet_lite.load("hmnet-lite-fold0")
hmnet_lite.training.zoo.names()

A model is a file `data_samples/checkpoints/<name>.safetensors`. Its header says how it was made:
configuration, seed, command, scores.
"""

from __future__ import annotations

import difflib
import os
from pathlib import Path
from typing import Any

from hmnet_lite.data.emoji.tiles import data_folder
from hmnet_lite.training.checkpoint import load_checkpoint, read_facts

#: what `hmnet segment` takes: trained on all 80 classes, for people's own pictures
DEFAULT = "hmnet-lite-all"
#: what `hmnet segment --text` takes
READER = "remamber-fold0"
SUFFIX = ".safetensors"


def models_folder() -> Path:
    """Where the shipped networks lie. Raises FileNotFoundError where there is no data folder."""
    return data_folder() / "checkpoints"


def names() -> list[str]:
    """The networks that are there, sorted; none where there is no data folder."""
    try:
        return sorted(path.stem for path in models_folder().glob(f"*{SUFFIX}"))
    except FileNotFoundError:
        return []


def find(model: str | os.PathLike[str]) -> Path:
    """The file of a shipped name, or of a path.

    Raises:
        ValueError: no shipped network has the name; lists those there are.
        FileNotFoundError: what is no name but a path leads nowhere.
    """
    path = Path(model)
    if path.is_file():
        return path
    text = os.fspath(model)
    known = names()
    if text in known:
        return models_folder() / f"{text}{SUFFIX}"
    if path.suffix or path.name != text:
        raise FileNotFoundError(f"there is no model file {path}{_shipped(known)}")
    near = difflib.get_close_matches(text, known, n=1)
    guess = f" Did you mean {near[0]!r}?" if near else ""
    raise ValueError(f"there is no model {text!r}{_shipped(known)}{guess}")


def load(model: str | os.PathLike[str] = DEFAULT, *, device: str | None = None) -> Any:
    """A trained network, in evaluation mode.

    Args:
        model: a shipped name, see `names`, or the path of a checkpoint of ours.
        device: torch's word; a GPU where there is one when None.

    Raises:
        ValueError: no such name (they are listed), or the file is damaged.
        FileNotFoundError: no such file.
    """
    import torch

    place = device or ("cuda" if torch.cuda.is_available() else "cpu")
    return load_checkpoint(find(model)).to(place)


def facts(model: str | os.PathLike[str]) -> dict[str, Any]:
    """How a network was made and what it scored, from its header. Raises as `load` does."""
    return read_facts(find(model))


def _shipped(known: list[str]) -> str:
    if known:
        return f"; shipped models: {', '.join(known)}; or give the path of a .safetensors file."
    return "; no model is shipped here: give the path of a .safetensors file, or train one."

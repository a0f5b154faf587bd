"""Trained weights on disk: safetensors with the configuration inside, replaced atomically.

Only what was trained is kept (the frozen backbone is named by its digest), so a file is small and
holds nothing that could run.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from hmnet_lite.files import replace_atomically
from hmnet_lite.models.lite import HMNet, HMNetConfig

KIND = "hmnet-lite checkpoint"


def save_checkpoint(model: HMNet, path: str | os.PathLike, **facts) -> Path:
    """Write the trained weights.

    Args:
        model: an HMNet-lite.
        path: where; replaced whole or not at all.
        facts: JSON values worth keeping (fold, seed, steps, …); `read_facts` gives them back.

    Raises:
        TypeError: not HMNet-lite but the published network.
        OSError: the disk is full or the path cannot be written.
    """
    from safetensors.torch import save

    if type(model) is not HMNet:
        raise TypeError(
            f"model is a {type(model).__name__}; this file format is HMNet-lite's: keep the "
            "published network's weights with torch.save(model.state_dict(), path)"
        )
    frozen = {name for name, _ in model.backbone.state_dict(prefix="backbone.").items()}
    weights = {
        name: value.detach().cpu().contiguous()
        for name, value in model.state_dict().items()
        if name not in frozen
    }
    header = {
        "kind": KIND,
        "config": json.dumps(model.config.to_dict()),
        "backbone": model.backbone.fingerprint,
        "facts": json.dumps(facts),
    }
    data = save(weights, header)
    return replace_atomically(path, lambda file: file.write(data), needed=len(data))


def load_checkpoint(path: str | os.PathLike) -> HMNet:
    """Read a network back, in evaluation mode.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not a checkpoint of ours, cut short, of another backbone, or with other names.
    """
    from safetensors.torch import load_file

    header = _header(path)
    model = HMNet(HMNetConfig(**json.loads(header["config"])))
    if header["backbone"] != model.backbone.fingerprint:
        raise ValueError(
            f"{path} was trained on backbone weights {header['backbone']}, but the ones installed "
            f"are {model.backbone.fingerprint}; install the version pinned in constraints.txt"
        )
    weights = load_file(path)
    result = model.load_state_dict(weights, strict=False)
    missing = [name for name in result.missing_keys if not name.startswith("backbone.")]
    if missing or result.unexpected_keys:
        raise ValueError(
            f"{path} does not fit this version: missing {missing or 'nothing'}, unexpected "
            f"{result.unexpected_keys or 'nothing'}; train again, or check out the version that "
            "wrote it"
        )
    return model.eval()


def read_facts(path: str | os.PathLike) -> dict:
    """What `save_checkpoint` was told beside the weights."""
    return json.loads(_header(path)["facts"])


def _header(path: str | os.PathLike) -> dict:
    from safetensors import SafetensorError, safe_open

    if not Path(path).is_file():
        raise FileNotFoundError(
            f"no checkpoint at {path}; train one with python -m hmnet_lite train"
        )
    try:
        with safe_open(path, "pt") as file:
            header = file.metadata() or {}
    except SafetensorError as error:
        raise ValueError(
            f"{path} is not a whole safetensors file ({error}); copy it again or train again"
        ) from error
    if header.get("kind") != KIND:
        raise ValueError(f"{path} is a safetensors file but not an {KIND}")
    return header

"""Weights that others have named, read into our modules: nothing unpickled but tensors, no gaps."""

from __future__ import annotations

import pickle
import re
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

FLAT = ("A_logs", "Ds")  # VMamba's tensors with directions and channels in one axis
_SHOWN = 8  # names of a kind in a message; the error itself holds all


class CheckpointMismatch(ValueError):
    """A checkpoint whose names or shapes are not those expected; holds exactly which.

    Attributes:
        missing, unexpected: sorted published names.
        misshapen: published name → (shape given, shape expected).
    """

    def __init__(self, message: str, missing=(), unexpected=(), misshapen=None):
        super().__init__(message)
        self.missing, self.unexpected = sorted(missing), sorted(unexpected)
        self.misshapen = dict(misshapen or {})


def read_state_dict(path: Path) -> Mapping[str, Tensor]:
    """The state dict in a file, bare or under "state_dict" or "model"; nothing in it is run.

    Raises:
        FileNotFoundError: no such file.
        ValueError: cut short, not a checkpoint, or holding more than tensors.
    """
    if not path.is_file():
        raise FileNotFoundError(
            f"no checkpoint at {path}; download the authors' .pth file and give its path"
        )
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        asked = re.search(r"GLOBAL (\S+)", str(error))
        reason = f"it asks for {asked[1]}" if asked else "it is no pickle of tensors"
        raise ValueError(
            f"{path} is refused and nothing in it was run: {reason}, where only tensors and plain "
            "containers belong; download it again, or have its owner save the state_dict alone"
        ) from error
    except Exception as error:  # bytes cut or garbled can fail in any way
        reason = str(error).split(". ")[0] or "it ends too early"
        raise ValueError(
            f"{path} is not a whole checkpoint ({type(error).__name__}: {reason}); download it "
            "again and compare its size with the original's"
        ) from error
    state_dict = content
    for key in ("state_dict", "model"):
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            state_dict = content[key]
    if not isinstance(state_dict, Mapping) or not all(isinstance(k, str) for k in state_dict):
        raise ValueError(
            f"{path} holds a {type(state_dict).__name__}; expected a dict with 'state_dict' or "
            "'model', names → tensors"
        )
    return state_dict


def bare(name: str) -> str:
    """A tensor's name without what `DataParallel` puts before it."""
    return name.removeprefix("module.")


def tensors_of(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Names without `module.` → tensors."""
    try:
        return {bare(k): torch.as_tensor(v) for k, v in state_dict.items()}
    except (TypeError, ValueError, RuntimeError) as error:
        raise CheckpointMismatch(
            f"the state dict holds something that is no tensor ({error}); expected names → tensors"
        ) from error


def fill(module: nn.Module, given: dict[str, Tensor], names: dict[str, str], what: str) -> None:
    """Copy the given weights into a module.

    Args:
        module: gets them.
        given: published names → tensors.
        names: published name → ours; complete.
        what: the module in words.

    Raises:
        CheckpointMismatch: names or shapes that are not the module's, numbers that are none.
    """
    own = module.state_dict()
    assert set(names.values()) == set(own)
    missing, unexpected = names.keys() - given.keys(), given.keys() - names.keys()
    misshapen = {}
    for published in names.keys() & given.keys():
        ours, value = own[names[published]], given[published]
        expected = ours.flatten(0, 1) if published.endswith(FLAT) else ours
        if value.shape != expected.shape:
            misshapen[published] = (tuple(value.shape), tuple(expected.shape))
    if missing or unexpected or misshapen:
        shapes = [
            f"{name} has shape {a}; expected {b}" for name, (a, b) in sorted(misshapen.items())
        ]
        raise CheckpointMismatch(
            f"these are not the weights of {what}: missing {_listed(sorted(missing))}, unexpected "
            f"{_listed(sorted(unexpected))}, misshapen {_listed(shapes)}",
            missing, unexpected, misshapen,
        )  # fmt: skip
    if unusable := sorted(p for p, ours in names.items() if not _usable(given[p], own[ours])):
        raise CheckpointMismatch(
            f"{what} would get weights that are no finite real numbers: {_listed(unusable)}; "
            "download the file again"
        )
    with torch.no_grad():
        for published, ours in names.items():
            own[ours].copy_(given[published].reshape(own[ours].shape))


def _usable(given: Tensor, ours: Tensor) -> bool:
    """Whether it holds numbers of the kind that is needed, all of them finite."""
    if given.is_meta or given.is_complex() or given.is_sparse or given.is_quantized:
        return False
    if not ours.is_floating_point():
        return True
    return given.is_floating_point() and bool(given.to(ours.dtype).isfinite().all())


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more if names else "none"

"""Trained networks on disk: safetensors with the configuration inside, replaced atomically.

Only what was trained is kept (a frozen backbone that is installed is named by its digest), so a
file is small and holds nothing that could run. A checkpoint of a training run, which holds more,
is read as well.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import re
import shlex
import sys
import warnings
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from hmnet_lite.machine import commit, made_on
from hmnet_lite.tensors import DamagedFile, read_header, read_tensors, write_tensors
from hmnet_lite.training import runs

KIND = "hmnet-lite checkpoint"
#: class of a network → its module and the class of its config
NETWORKS = {
    "HMNet": ("hmnet_lite.models.lite", "HMNetConfig"),
    "PublishedHMNet": ("hmnet_lite.models.hmnet.model", "PublishedConfig"),
    "DiffewS": ("hmnet_lite.models.diffews.model", "DiffewSConfig"),
    "ReMamber": ("hmnet_lite.models.remamba.model", "ReMamberConfig"),
}
FOLDERS = re.compile(r"(?<![^\s\"'=])/(?:[^/\s\"'\\]+/)+")  # of an absolute path, before its name
_WRAPPERS = {"module", "_orig_mod"}  # what DistributedDataParallel and torch.compile put in names


def save_checkpoint(model: nn.Module, path: str | os.PathLike[str], **facts: Any) -> Path:
    """Write the trained weights.

    Args:
        model: a network of ours, wrapped by torch.compile or DistributedDataParallel or not.
        path: where; replaced whole or not at all.
        facts: JSON values worth keeping (fold, seed, steps, metrics, …); `read_facts` gives them
            back. Command, commit, machine and date are kept beside them, see `read_made`.

    Raises:
        TypeError: not a network this file format knows, or a fact that JSON has no word for.
        OSError: the disk is full or the path cannot be written.
    """
    model = _unwrapped(model)
    name = type(model).__name__
    if name not in NETWORKS:
        raise TypeError(
            f"model is a {name}; expected one of {', '.join(NETWORKS)}. Keep other networks' "
            "weights with safetensors.torch.save_file(model.state_dict(), path)"
        )
    installed = _installed(model)
    weights = {n: x for n, x in model.state_dict().items() if n not in installed}
    header = {
        "kind": KIND,
        "network": name,
        "config": json.dumps(model.config.to_dict()),
        "backbone": getattr(model.backbone, "fingerprint", ""),
        "facts": json.dumps(facts),
        "made": json.dumps({**made_on(), "command": command(), "commit": commit()}),
    }
    return write_tensors(path, weights, header)


def load_checkpoint(path: str | os.PathLike[str]) -> nn.Module:
    """Read a network back, on the CPU and in evaluation mode.

    Of a training run's checkpoint, the averaged weights where there are any.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not a checkpoint of ours, damaged, of another backbone, with other names, or
            with weights that are not finite.
    """
    header = _header(path)
    try:
        tensors, _ = read_tensors(path)
    except DamagedFile as error:
        raise ValueError(f"{error}; copy it again or train again") from error
    if header["kind"] == runs.KIND:
        name, config = _of_run(path, header)
        weights = runs.below(tensors, "model.") | runs.below(tensors, "average.")
    else:
        name, config, weights = header.get("network", "HMNet"), _config(path, header), tensors
    model = _build(path, name, config, weights)
    digest = header.get("backbone")
    installed = getattr(model.backbone, "fingerprint", None)
    if digest and installed and digest != installed:
        raise ValueError(
            f"{path} was trained on backbone weights {digest}, but the ones installed are "
            f"{installed}; install the version pinned in constraints.txt"
        )
    _fill(model, weights, path)
    return model.eval()


def read_facts(path: str | os.PathLike[str]) -> dict[str, Any]:
    """What `save_checkpoint` was told beside the weights; {} where nothing was told."""
    return _json(path, _header(path).get("facts", "{}"))


def read_config(path: str | os.PathLike[str]) -> dict[str, Any]:
    """How a checkpoint's network is built, without its weights. Raises as `load_checkpoint`."""
    header = _header(path)
    return _of_run(path, header)[1] if header["kind"] == runs.KIND else _config(path, header)


def read_made(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Command, commit, machine, versions and date of the writing; {} in older files."""
    return _json(path, _header(path).get("made", "{}"))


def weights_digest(path: str | os.PathLike[str]) -> str:
    """16 hex digits that name a checkpoint's weights, whatever its header tells beside them.

    Raises:
        FileNotFoundError, ValueError: as `load_checkpoint`.
    """
    _header(path)  # it is one of ours
    data = Path(path).read_bytes()
    begin = 8 + int.from_bytes(data[:8], "little")  # safetensors: length, header, numbers
    return hashlib.sha256(data[begin:]).hexdigest()[:16]


def add_facts(path: str | os.PathLike[str], **facts: Any) -> Path:
    """Write more into a checkpoint's header, such as what it scored; weights stay as they are.

    Args:
        path: a checkpoint of ours; replaced whole or not at all.
        facts: JSON values; one that is there already is replaced.

    Raises:
        FileNotFoundError, ValueError: as `load_checkpoint`.
        TypeError: a fact that JSON has no word for.
        OSError: the disk is full or the path cannot be written.
    """
    known = json.dumps({**read_facts(path), **facts})
    tensors, header = read_tensors(path)
    return write_tensors(path, tensors, {**header, "facts": known})


def halve(
    path: str | os.PathLike[str], out: str | os.PathLike[str], most: int | None = None
) -> Path:
    """Copy a checkpoint, its float32 weights rounded to float16; networks read them as float32.

    What its header tells of files, as in the command that made it, loses the folders that they lay
    in: they are of one machine, and the copy is for all.

    Args:
        path, out: of the checkpoint and of its copy.
        most: bytes that the weights may take; the largest ones are rounded to float8 (e4m3, some
            2.5 % of a weight) until they do.

    Raises:
        FileNotFoundError, ValueError: as `load_checkpoint`; or a weight is too large for float16.
        OSError: the disk is full or `out` cannot be written.
    """
    load_checkpoint(path)  # one that is not whole is not copied
    tensors, header = read_tensors(path)
    halves = {n: x.half() if x.dtype == torch.float32 else x for n, x in tensors.items()}
    large = [n for n, x in halves.items() if x.is_floating_point() and not x.isfinite().all()]
    if large:
        raise ValueError(f"{path} holds weights beyond 65,504, float16's largest: {large[0]}")
    size = sum(x.nbytes for x in halves.values())
    for name in sorted(halves, key=lambda n: -halves[n].nbytes):
        fits = (
            halves[name].dtype == torch.float16 and halves[name].abs().max() <= 448
        )  # its largest
        if most is not None and size > most and fits:
            size -= halves[name].nbytes // 2
            halves[name] = tensors[name].to(torch.float8_e4m3fn)
    return write_tensors(out, halves, {key: FOLDERS.sub("", told) for key, told in header.items()})


def command() -> str:
    """The line that started this process."""
    name = Path(sys.argv[0]).name if sys.argv else ""
    if name == "__main__.py":
        name = f"python -m {Path(sys.argv[0]).parent.name}"
        return " ".join([name, shlex.join(sys.argv[1:])]).strip()
    return shlex.join([name, *sys.argv[1:]])


# ---------------------------------------------------------------------------------------- inside


def _header(path: str | os.PathLike[str]) -> dict[str, str]:
    if not Path(path).exists():
        raise FileNotFoundError(
            f"no checkpoint at {path}; train one with python -m hmnet_lite train"
        )
    try:
        header = read_header(path)
    except DamagedFile as error:
        raise ValueError(f"{error}; copy it again or train again") from error
    if header.get("kind") not in (KIND, runs.KIND):
        raise ValueError(f"{path} is a safetensors file but not an {KIND}")
    return header


def _json(path: str | os.PathLike[str], text: str) -> dict[str, Any]:
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"the header of {path} is damaged ({error}); copy it again") from error
    if not isinstance(values, dict):
        raise ValueError(f"the header of {path} holds {values!r} where names and values belong")
    return values


def _config(path: str | os.PathLike[str], header: Mapping[str, str]) -> dict[str, Any]:
    if "config" not in header:
        raise ValueError(
            f"{path} does not say how its network is built (no config in its header); write it "
            "with save_checkpoint"
        )
    return _json(path, header["config"])


def _of_run(path: str | os.PathLike[str], header: Mapping[str, str]) -> tuple[str, dict[str, Any]]:
    network = _json(path, header.get("identity", "{}")).get("network")
    if not isinstance(network, dict) or "class" not in network:
        raise ValueError(f"{path} is of a training run whose network has no config of ours")
    return network["class"], {n: v for n, v in network.items() if n != "class"}


def _build(
    path: str | os.PathLike[str],
    name: str,
    values: dict[str, Any],
    weights: Mapping[str, Tensor],
) -> nn.Module:
    if not isinstance(name, str) or name not in NETWORKS:
        raise ValueError(f"{path} holds a {name!r}; this version knows {', '.join(NETWORKS)}")
    module_name, config_name = NETWORKS[name]
    module = import_module(module_name)
    make_config = getattr(module, config_name)
    known = {field.name: field.default for field in dataclasses.fields(make_config)}
    unknown = sorted(values.keys() - known.keys())
    if unknown:
        warnings.warn(
            f"{path} was written by another version: its config has {', '.join(unknown)}, which "
            "this one does not know and leaves out",
            stacklevel=3,
        )
    # a size that its own weights contradict would be built for hours, or take all memory
    numbers = sum(x.numel() for x in weights.values())
    # (JSON has lists for tuples)
    values = {n: tuple(v) if isinstance(v, list) else v for n, v in values.items()}
    try:
        for field in values.keys() & known.keys():
            value, kind = values[field], type(known[field])
            most = len(weights) if field == "depth" else numbers
            if known[field] is not None and type(value) is not kind:
                raise TypeError(f"{field}={value!r}; expected {kind.__name__}")
            sizes = value if kind is tuple else [value]
            if any(type(size) is int and size > most for size in sizes):
                raise ValueError(f"{field}={value}, but its weights are {numbers:,} numbers in all")
        config = make_config(**{n: v for n, v in values.items() if n in known})
    except (TypeError, ValueError) as error:
        raise ValueError(f"the config in {path} cannot be built: {error}") from error
    return getattr(module, name)(config)


def _fill(model: nn.Module, given: Mapping[str, Tensor], path: str | os.PathLike[str]) -> None:
    weights = {_bare(name): value for name, value in given.items()}
    if len(weights) < len(given):
        raise ValueError(
            f"{path} holds weights twice, with and without a wrapper's name; save one of the two"
        )
    own, installed = model.state_dict(), _installed(model)
    missing = sorted(own.keys() - installed - weights.keys())
    unexpected = sorted(weights.keys() - own.keys())
    misshapen = [
        f"{name} {tuple(x.shape)} where {tuple(own[name].shape)} is expected"
        for name, x in weights.items()
        if name in own and x.shape != own[name].shape
    ]
    if missing or unexpected or misshapen:
        raise ValueError(
            f"{path} does not fit this version: missing {missing or 'nothing'}, unexpected "
            f"{unexpected or 'nothing'}, misshapen {misshapen or 'nothing'}; train again, or check "
            "out the version that wrote it"
        )
    other = [
        f"{name} {str(x.dtype).removeprefix('torch.')}"
        for name, x in weights.items()
        if x.is_floating_point() != own[name].is_floating_point() or x.is_complex()
    ]
    if other:
        raise ValueError(
            f"{path} holds numbers of another kind ({', '.join(other[:3])}); expected floats where "
            "the network has them: copy it again or train again"
        )
    weights = {name: x.to(own[name].dtype) for name, x in weights.items()}
    broken = [n for n, x in weights.items() if x.is_floating_point() and not x.isfinite().all()]
    if broken:
        raise ValueError(
            f"{path} holds weights that are not finite ({', '.join(broken[:3])}); its training "
            "went wrong: take an earlier checkpoint or train again"
        )
    model.load_state_dict(weights, strict=False)


def _installed(model: nn.Module) -> set[str]:
    """Names of the weights that come with a package, not with the checkpoint."""
    backbone = getattr(model, "backbone", None)
    if backbone is None or not hasattr(type(backbone), "fingerprint"):  # (asking takes a while)
        return set()
    return {f"backbone.{name}" for name in backbone.state_dict()}


def _bare(name: str) -> str:
    """A parameter's name without what wrappers put into it."""
    return ".".join(part for part in name.split(".") if part not in _WRAPPERS)


def _unwrapped(model: nn.Module) -> nn.Module:
    while type(model).__name__ in ("OptimizedModule", "DistributedDataParallel", "DataParallel"):
        model = model._orig_mod if hasattr(model, "_orig_mod") else model.module
    return model

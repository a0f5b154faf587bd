"""Tensors in one file with a header of strings: safetensors, checked, whole or not there.

safetensors knows when a file is cut short but not when a bit of a tensor was flipped, so the
header also holds a checksum, and reading verifies it. Nothing in such a file could run.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor

from hmnet_lite.files import replace_atomically

T = TypeVar("T")
_CHECKSUM = "checksum"


class DamagedFile(ValueError):
    """A file that is cut short, altered, or not of this kind at all."""


def write_tensors(
    path: str | os.PathLike[str], tensors: Mapping[str, Tensor], header: Mapping[str, str]
) -> Path:
    """Create or replace a safetensors file; see `replace_atomically` for what may be raised.

    Args:
        path: where.
        tensors: by name; on any device.
        header: strings by name; "checksum" is added.
    """
    from safetensors.torch import save

    kept = {name: x.detach().cpu().contiguous() for name, x in tensors.items()}
    data = save(kept, {**header, _CHECKSUM: checksum(kept)})
    return replace_atomically(path, lambda file: file.write(data), needed=len(data))


def read_tensors(
    path: str | os.PathLike[str], *, mapped: bool = False
) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors, on the CPU, and the header of a safetensors file.

    Args:
        path: a file; without our checksum it is read as it is.
        mapped: leave the tensors where they lie, in the file, instead of copying them to memory.

    Raises:
        FileNotFoundError: nothing is there.
        DamagedFile: a ValueError: not a whole safetensors file, or its checksum is another.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load, load_file

    header = read_header(path)
    try:
        tensors = load_file(path) if mapped else load(Path(path).read_bytes())
    except SafetensorError as error:
        raise DamagedFile(f"{path} is not a whole safetensors file ({error})") from error
    if _CHECKSUM in header and header[_CHECKSUM] != checksum(tensors):
        raise DamagedFile(f"{path} is damaged: its tensors do not have the checksum written in it")
    return tensors, header


def read_header(path: str | os.PathLike[str]) -> dict[str, str]:
    """The header alone, which costs nothing; raises as `read_tensors` does."""
    return _opened(path, lambda file: file.metadata() or {})


def read_names(path: str | os.PathLike[str]) -> set[str]:
    """The names of the tensors alone, which costs nothing; raises as `read_tensors` does."""
    return _opened(path, lambda file: set(file.keys()))


def _opened(path: str | os.PathLike[str], look: Callable[[Any], T]) -> T:
    from safetensors import SafetensorError, safe_open

    if not Path(path).exists():
        raise FileNotFoundError(f"there is no file {path}")
    try:
        with safe_open(path, "pt") as file:
            return look(file)
    except (SafetensorError, OSError) as error:  # OSError: a folder in its place
        raise DamagedFile(f"{path} is not a whole safetensors file ({error})") from error


def checksum(tensors: Mapping[str, Tensor]) -> str:
    """Of names, types, shapes and bytes, in the order of the names."""
    total = 0
    for name in sorted(tensors):
        x = tensors[name]
        total = zlib.crc32(f"{name} {x.dtype} {tuple(x.shape)}".encode(), total)
        if x.numel():
            total = zlib.crc32(x.flatten().view(torch.uint8).numpy(), total)
    return f"{total:08x}"

"""Where results go: found out before the work."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path

import torch


def check_output(path: str | os.PathLike[str]) -> Path:
    """A path that a file can be written to; nothing is left behind.

    Raises:
        OSError: it is a folder, or lies where nothing can be written.
    """
    path = Path(path)
    if path.is_dir():
        raise IsADirectoryError(
            errno.EISDIR, "it is a folder; name a file to write, such as model.safetensors",
            str(path),
        )  # fmt: skip
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise OSError(
            error.errno, f"nothing can be written there ({error.strerror}); choose another folder",
            str(path),
        ) from error  # fmt: skip
    return path


def device_of_process() -> torch.device:
    """A GPU where there is one: this process's own, where several train together."""
    if not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))

"""Outputs that are tried before the work, so that an hour's result is never lost at its end."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from pathlib import Path


def check_file(
    path: str | os.PathLike[str],
    suffix: str,
    inputs: Iterable[str | os.PathLike[str]] = (),
) -> Path:
    """Refuse a file that could not be written, or that would replace what is read.

    Args:
        path: of the file; its folder is made if it is not there.
        suffix: what its name must end in, so that no photograph is replaced by a slip.
        inputs: files that the work reads, and folders of them.

    Raises:
        ValueError: it is a folder, a device, of another kind, or one of the inputs.
        OSError: its folder cannot be made or written to.
    """
    path = Path(path)
    if path.is_dir():
        raise ValueError(f"--out {path} is a folder; expected the name of a file")
    if path.exists() and not path.is_file():
        raise ValueError(f"--out {path} is no ordinary file; expected the name of one")
    _refuse_inputs([path], inputs)
    if path.suffix != suffix:
        raise ValueError(f"--out {path}; expected a name that ends in {suffix}")
    _try_writing(path.parent, path)
    return path


def check_folder(
    folder: str | os.PathLike[str],
    outputs: Iterable[str] = (),
    inputs: Iterable[str | os.PathLike[str]] = (),
    *,
    option: str = "--out",
) -> Path:
    """Refuse a folder in which nothing could be written, or whose outputs would replace inputs.

    Args:
        folder: made if it is not there.
        outputs: names of the files that will be written there.
        inputs: files that the work reads, and folders of them.
        option: the one that was typed.

    Raises:
        ValueError: it is a file, or an output is an input.
        OSError: it cannot be made or written to.
    """
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{option} {folder} is a file; expected a folder for the results")
    _refuse_inputs([folder / name for name in outputs], inputs, option)
    _try_writing(folder, folder, option)
    return folder


def _refuse_inputs(
    outputs: Iterable[Path], inputs: Iterable[str | os.PathLike[str]], option: str = "--out"
) -> None:
    read = {Path(os.path.realpath(path)): path for path in inputs}
    folders = [place for place in read if place.is_dir()]
    for path in outputs:
        real = Path(os.path.realpath(path))
        if real in read:
            raise ValueError(
                f"{path} is read here and would be overwritten; choose another {option}"
            )
        for folder in folders:
            if folder in real.parents:
                raise ValueError(
                    f"{option} {path} would lie in {read[folder]}, among the files that are read "
                    "here; choose a place outside"
                )


def _try_writing(folder: Path, asked: Path, option: str = "--out") -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".hmnet-", suffix=".tmp"):
            pass
    except OSError as error:
        raise OSError(
            f"{option} {asked}: nothing can be written there ({error.strerror or error}); choose "
            "another place, or mend this one's permissions"
        ) from error

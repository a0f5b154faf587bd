"""Finding a data set's files, and saying what to download when they are not there."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path


class MissingData(FileNotFoundError):
    """A data set, or a part of it, is not where it should be; the message says what to do."""


def find_folder(root: str | os.PathLike[str], below: Sequence[str], has: str, help: str) -> Path:
    """The first of `root`/`below` that has an entry `has` ("": that exists).

    Raises:
        MissingData: none has; the message ends with `help`.
    """
    root = Path(root)
    for place in below:
        if (root / place / has).exists():
            return root / place
    missing = has or " or ".join(below)
    state = f"there is no {missing} in {root}" if root.is_dir() else f"there is no folder {root}"
    raise MissingData(f"{state}. {help}")


def read_list(places: Iterable[Path]) -> tuple[list[str], str] | None:
    """Lines and name of the first text file that exists, blank lines left out; None if none does.

    Only names of files come from lists: they are never run or evaluated.
    """
    for path in places:
        if path.is_file():
            lines = path.read_text(encoding="utf-8").splitlines()
            return [line.strip() for line in lines if line.strip()], path.name
    return None


def pictures_in(folder: Path, suffixes: Sequence[str] = (".jpg", ".jpeg")) -> list[Path]:
    """The pictures in a folder, sorted; hidden files and other kinds left out."""
    return sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() in suffixes and not path.name.startswith(".")
    )


def novel_in_fold(
    fold: int | None, classes: Sequence[int], scheme: str, folds: int = 4
) -> frozenset:
    """The novel class ids of a fold.

    Args:
        fold: 0 to `folds` - 1.
        classes: all class ids, in order.
        scheme: "consecutive": fold 0 is the first quarter. "interleaved": fold 0 is every fourth
            class from the first.

    Raises:
        ValueError: an unknown fold or scheme.
    """
    if fold not in range(folds) or isinstance(fold, bool):
        raise ValueError(f"fold is {fold!r}; expected 0 to {folds - 1}")
    if scheme == "interleaved":
        return frozenset(classes[fold::folds])
    if scheme != "consecutive":
        raise ValueError(f"fold_scheme is {scheme!r}; expected consecutive or interleaved")
    size = len(classes) // folds
    return frozenset(classes[fold * size : (fold + 1) * size])

"""Finding a data set's files, and saying what to download when they are not there."""

from __future__ import annotations

import codecs
import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from hmnet_lite.data.photos.pictures import PICTURES


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

    UTF-8 with or without a byte-order mark, UTF-16 or UTF-32. Only names of files and classes
    come from lists: they are never run or evaluated.

    Raises:
        ValueError: the text is in another encoding; names file and line.
    """
    for path in places:
        if path.is_file():
            lines = _decoded(path).splitlines()
            return [line.strip() for line in lines if line.strip()], path.name
    return None


def _decoded(path: Path) -> str:
    content = path.read_bytes()
    try:
        if content[:4] in (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE):
            return content.decode("utf-32")
        if content[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
            return content.decode("utf-16")
        if 4 * content.count(0) > len(
            content
        ):  # UTF-16 without its mark: every other byte of plain text is 0
            return content.decode("utf-16-le" if content[1:2] == b"\0" else "utf-16-be")
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise ValueError(
            f"{path} is not UTF-8 text (byte 0x{content[error.start]:02x} in line {line}). Mend: "
            "save it as UTF-8"
        ) from None


def read_json(path: Path) -> Any:
    """What a JSON file holds, in UTF-8, UTF-16 or UTF-32.

    Raises:
        ValueError: it is no JSON, or nested so deeply that no label tool wrote it.
        OSError: it cannot be read.
    """
    try:
        return json.loads(path.read_bytes())
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def pictures_in(folder: Path, suffixes: Sequence[str] = PICTURES) -> list[Path]:
    """The pictures in a folder, sorted; hidden files and other kinds left out.

    Suffixes are lower case, and upper-case files have them, too.
    """
    return sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() in suffixes and path.name[0] != "." and path.is_file()
    )


def by_stem(folder: Path, suffixes: Sequence[str] = PICTURES) -> dict[str, Path]:
    """Name without suffix to picture, of all pictures in a folder; empty where there is none."""
    return {p.stem: p for p in reversed(pictures_in(folder, suffixes))} if folder.is_dir() else {}


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

"""Which picture shows which class on how many pixels: counted once, kept, checked for staleness.

Sampling episodes needs this of every mask, and reading ten thousand masks takes most of a minute.
So the answer is kept in the cache folder under a key made of every file's name, size and time of
change: change, add or remove a file and the list is made again; copy the cache anywhere and it
cannot be taken for another data set's. It holds numbers only; nothing in it can run.
"""

from __future__ import annotations

import hashlib
import os
import zipfile
import zlib
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from hmnet_lite.data.photos.pictures import BadImage, MaskFormat, picture_size
from hmnet_lite.files import cache_folder, replace_atomically

FORMAT = 1  # raise it whenever the same files would give another list
_BROKEN = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error)


class Item(NamedTuple):
    """A picture and its mask."""

    image: str  # paths
    mask: str
    class_id: int | None = None  # what a yes-or-no mask marks; None: the mask holds class ids

    @property
    def name(self) -> str:
        """Folder and file, which is what tells pictures apart wherever the data lies."""
        return "/".join(Path(self.image).parts[-2:])


@dataclass(frozen=True, eq=False)
class Listing:
    """One row for each class that a picture shows, background and ignored pixels left out."""

    items: tuple[Item, ...]
    item: np.ndarray  # (rows,) int64, position in items, ascending
    class_id: np.ndarray  # (rows,) int64
    pixels: np.ndarray  # (rows,) int64, at least 1
    key: str  # hex digest of the files' names, sizes and times of change

    @property
    def digest(self) -> str:
        """Hex digest of names and counts: equal wherever the same data is installed."""
        names = "\n".join(item.name for item in self.items).encode()
        rows = np.stack([self.item, self.class_id, self.pixels]).astype("<i8").tobytes()
        return hashlib.sha256(names + rows).hexdigest()[:16]


def make_listing(
    name: str,
    items: Iterable[Item],
    masks: MaskFormat,
    *,
    upright: bool = False,
    progress: bool = True,
) -> Listing:
    """The list of a data set, from the cache where it is there and still true.

    Args:
        name: begins the cache file's name.
        items: in any order; the list is sorted.
        masks: how mask files are read.
        upright: see `read_picture`.
        progress: show a bar while masks are read.

    Raises:
        BadImage: a file is missing or cannot be used, or a mask has another size than its picture.
        OSError: the list cannot be written.
    """
    items = tuple(sorted(items))
    key = _key(items, masks)
    path = cache_folder() / "lists" / f"{name}-{key[:20]}.npz"
    rows = _load(path, key, len(items))
    if rows is None:
        rows = _count(items, masks, upright, progress)
        arrays = dict(zip(("item", "class_id", "pixels"), rows, strict=True))
        replace_atomically(path, lambda file: np.savez(file, key=np.array(key), **arrays))
    return Listing(items, *rows, key)


def _key(items: Sequence[Item], masks: MaskFormat) -> str:
    digest = hashlib.sha256(f"{FORMAT} {masks}".encode())
    for item in items:
        facts = [item.name, item.class_id]
        for kind, path in (("picture", item.image), ("mask", item.mask)):
            try:
                found = os.stat(path)
            except OSError:
                other = item.mask if kind == "picture" else item.image
                raise BadImage(
                    path,
                    f"is not there, and {Path(other).name} needs it as its {kind}. Mend: put it "
                    f"there, or take {other} out",
                ) from None
            facts += [Path(path).name, found.st_size, found.st_mtime_ns]
        digest.update(f"{facts}\n".encode())
    return digest.hexdigest()


def _load(path: Path, key: str, items: int) -> tuple[np.ndarray, ...] | None:
    """The rows of a whole, matching list; None if there is none."""
    with suppress(*_BROKEN), np.load(path, allow_pickle=False) as file:
        rows = tuple(file[name].astype(np.int64) for name in ("item", "class_id", "pixels"))
        whole = len({len(row) for row in rows}) == 1 and (rows[0] < items).all()
        if str(file["key"]) == key and whole:
            return rows
    return None


def _count(
    items: Sequence[Item], masks: MaskFormat, upright: bool, progress: bool
) -> tuple[np.ndarray, ...]:
    from tqdm.auto import tqdm

    rows: list[tuple[int, int, int]] = []
    one = partial(_count_one, masks=masks, upright=upright)
    with (
        ThreadPoolExecutor(os.cpu_count()) as pool,  # decoding runs outside Python's lock
        tqdm(total=len(items), desc="list", unit="mask", leave=False, disable=not progress) as bar,
    ):
        try:
            for position, counts in enumerate(pool.map(one, items)):
                rows += [(position, class_id, pixels) for class_id, pixels in counts]
                bar.update()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    table = np.array(rows, dtype=np.int64).reshape(-1, 3)
    return tuple(np.ascontiguousarray(column) for column in table.T)


def _count_one(item: Item, *, masks: MaskFormat, upright: bool) -> list[tuple[int, int]]:
    """(class id, pixels) of each class in one mask, whose size must be its picture's."""
    mask = masks.read(item.mask)
    try:
        size = picture_size(item.image, upright=upright)
    except BadImage:
        size = mask.shape  # a broken picture is told when an episode needs it
    check_size(item, mask, size)
    counts = np.bincount(mask.ravel(), minlength=256)[:255]
    if item.class_id is not None:
        return [(item.class_id, int(counts[1]))] if counts[1] else []
    return [(int(i), int(counts[i])) for i in np.flatnonzero(counts) if i]


def check_size(item: Item, mask: np.ndarray, size: tuple[int, int]) -> None:
    """Raises BadImage unless the mask (height, width) has the picture's size."""
    if mask.shape != size:
        raise BadImage(
            item.mask,
            f"is {mask.shape[0]} × {mask.shape[1]} pixels (height × width), its picture {size[0]} "
            f"× {size[1]}; expected the same. Mend: draw the mask on the picture itself",
        )

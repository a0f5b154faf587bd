"""Which picture shows which class on how many pixels: counted once, kept, checked for staleness.

Sampling episodes needs this of every mask, and reading ten thousand masks takes most of a minute.
So the answer is kept in the cache folder under a key made of every file's name, size and time of
change: change, add or remove a file and the list is made again; copy the cache anywhere and it
cannot be taken for another data set's. It holds numbers and messages only; nothing in it can run.
"""

from __future__ import annotations

import hashlib
import itertools
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

from hmnet_lite.data.photos.masks import MaskFormat
from hmnet_lite.data.photos.pictures import BadImage, picture_size
from hmnet_lite.files import cache_folder, replace_atomically

FORMAT = 2  # raise it whenever the same files would give another list
_BROKEN = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error)
_ROWS = ("item", "class_id", "pixels")


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
    left_out: tuple[BadImage, ...] = ()  # files that cannot be used; their items have no rows

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
    on_bad: str = "stop",
    progress: bool = True,
) -> Listing:
    """The list of a data set, from the cache where it is there and still true.

    Args:
        name: begins the cache file's name.
        items: in any order; the list is sorted, and holds a picture of a class once.
        masks: how mask files are read.
        upright: see `read_picture`.
        on_bad: "stop": the first file that is missing or cannot be used ends it. "skip": such
            pictures are left out and told in `Listing.left_out`.
        progress: show a bar while masks are read.

    Raises:
        BadImage: with on_bad="stop", a file is missing or cannot be used, or a mask has another
            size than its picture. (A damaged picture is told when an episode needs it.)
        OSError: the list cannot be written.
    """
    items = tuple(sorted(set(items)))
    for one, two in itertools.pairwise(items):  # else a picture could be its own support
        if one.image == two.image and one.class_id == two.class_id:
            raise BadImage(
                two.mask, f"is a second mask of {one.image}, beside {one.mask}. Mend: list one"
            )
    key = _key(items, masks, upright, on_bad)
    path = cache_folder() / "lists" / f"{name}-{key[:20]}.npz"
    found = _load(path, key, len(items))
    if found is None:
        found = _count(items, masks, upright, on_bad, progress)
        *rows, left_out = found
        arrays = dict(zip(_ROWS, rows, strict=True))
        told = np.array([[str(bad.path), bad.reason] for bad in left_out], np.str_).reshape(-1, 2)
        replace_atomically(
            path, lambda file: np.savez(file, key=np.array(key), left_out=told, **arrays)
        )
    *rows, left_out = found
    if left_out and on_bad == "stop":
        raise left_out[0]
    return Listing(items, *rows, key, left_out)


def _key(items: Sequence[Item], masks: MaskFormat, upright: bool, on_bad: str) -> str:
    digest = hashlib.sha256(f"{FORMAT} {masks} {upright}".encode())
    for item in items:
        facts = [item.name, item.class_id]
        for kind, path in (("picture", item.image), ("mask", item.mask)):
            try:
                found = os.stat(path)
                facts += [Path(path).name, found.st_size, found.st_mtime_ns]
            except (OSError, ValueError):  # ValueError: no system can have a file of this name
                if on_bad == "stop":
                    raise _missing(item, kind, path) from None
                facts += [Path(path).name, "missing"]
        digest.update(f"{facts}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()


def _missing(item: Item, kind: str, path: str) -> BadImage:
    other = item.mask if kind == "picture" else item.image
    return BadImage(
        path,
        f"is not there, and {Path(other).name} needs it as its {kind}. Mend: put it "
        f"there, or take {other} out",
    )


def _load(path: Path, key: str, items: int) -> tuple | None:
    """The rows of a whole, matching list and what it left out; None if there is none."""
    with suppress(*_BROKEN), np.load(path, allow_pickle=False) as file:
        rows = tuple(file[name].astype(np.int64) for name in _ROWS)
        whole = len({len(row) for row in rows}) == 1 and (rows[0] < items).all()
        left_out = tuple(BadImage(*told) for told in file["left_out"].tolist())
        if str(file["key"]) == key and whole:
            return *rows, left_out
    return None


def _count(
    items: Sequence[Item], masks: MaskFormat, upright: bool, on_bad: str, progress: bool
) -> tuple:
    from tqdm.auto import tqdm

    rows: list[tuple[int, int, int]] = []
    left_out: list[BadImage] = []
    one = partial(_count_one, masks=masks, upright=upright)
    with (
        ThreadPoolExecutor(os.cpu_count()) as pool,  # decoding runs outside Python's lock
        tqdm(total=len(items), desc="list", unit="mask", leave=False, disable=not progress) as bar,
    ):
        try:
            for position, counts in enumerate(pool.map(one, items)):
                bar.update()
                if not isinstance(counts, BadImage):
                    rows += [(position, class_id, pixels) for class_id, pixels in counts]
                elif on_bad == "stop":
                    raise counts
                else:
                    left_out.append(counts)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    table = np.array(rows, dtype=np.int64).reshape(-1, 3)
    return *(np.ascontiguousarray(column) for column in table.T), tuple(left_out)


def _count_one(item: Item, *, masks: MaskFormat, upright: bool) -> list[tuple[int, int]] | BadImage:
    """(class id, pixels) of each class in one mask, or why the item cannot be used."""
    for kind, path in (("picture", item.image), ("mask", item.mask)):
        if not os.path.exists(path):
            return _missing(item, kind, path)
    try:
        size = picture_size(item.image, upright=upright)
    except BadImage:
        size = None  # a damaged picture is told when an episode needs it
    try:
        mask = masks.read(item.mask, size, upright=upright)
    except BadImage as error:
        return error
    counts = np.bincount(mask.ravel(), minlength=256)[:255]
    if item.class_id is not None:
        return [(item.class_id, int(counts[1]))] if counts[1] else []
    return [(int(i), int(counts[i])) for i in np.flatnonzero(counts) if i]

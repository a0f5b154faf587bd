"""A look at one's own pictures before anyone trains on them: what counts, and what does not.

print(inspect_folder("pictures"))
"""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from hmnet_lite.data.photos.folder import find_source
from hmnet_lite.data.photos.layout import pictures_in
from hmnet_lite.data.photos.listing import Item, Listing, make_listing
from hmnet_lite.data.photos.pairs import MASKS
from hmnet_lite.data.photos.pictures import PICTURES, BadImage, picture_size, read_picture

TINY, FULL = 0.001, 0.95  # shares of a picture outside of which a mask is worth a look


@dataclass(frozen=True)
class ClassReport:
    """One class.

    Attributes:
        name: of the class.
        pictures: how many show it.
        coverage: (smallest, median, largest) share of their pixels that is the class.
    """

    name: str
    pictures: int
    coverage: tuple[float, float, float]


@dataclass(frozen=True)
class FolderReport:
    """What a folder of pictures holds, as `FolderEpisodes` reads it. Files are paths from the root.

    Attributes:
        root: the folder.
        read_as: "folders", or which label tool's annotations.
        classes: every class, in the order of its number.
        empty: pictures that show nothing of any class.
        full: pictures of which a class covers 95 % or more: perhaps the mask is inverted.
        suspicious: (file, why): tiny objects, pictures that are there twice, masks drawn on the
            picture before it was turned.
        left_out: (file, why): what cannot be used, each with its mend.
    """

    root: Path
    read_as: str
    classes: tuple[ClassReport, ...] = ()
    empty: tuple[str, ...] = ()
    full: tuple[str, ...] = ()
    suspicious: tuple[tuple[str, str], ...] = ()
    left_out: tuple[tuple[str, str], ...] = ()
    most: int = field(default=20, repr=False)  # lines of a kind that are printed

    @property
    def usable(self) -> bool:
        """Whether every class has the two pictures that an episode of one shot needs."""
        return bool(self.classes) and all(c.pictures >= 2 for c in self.classes)

    def __str__(self) -> str:
        total = sum(c.pictures for c in self.classes)
        lines = [f"{self.root}: {len(self.classes)} classes, {total} masks, read as {self.read_as}"]
        width = max([len(c.name) for c in self.classes], default=0)
        for c in self.classes:
            low, middle, high = (f"{100 * share:.1f}" for share in c.coverage)
            few = "" if c.pictures >= 2 else "  (an episode needs 2 or more)"
            lines.append(
                f"  {c.name:{width}}  {c.pictures:5} pictures, covers {low} to {high} % "
                f"(half of them more than {middle}){few}"
            )
        for title, files in (
            ("shows nothing of its class", [(name, "") for name in self.empty]),
            ("is covered almost whole; is the mask inverted?", [(name, "") for name in self.full]),
            ("worth a look", self.suspicious),
            ("left out", self.left_out),
        ):
            if files:
                lines += [f"{len(files)} × {title}:", *self._shown(files)]
        if not any((self.empty, self.full, self.suspicious, self.left_out)):
            lines.append("Nothing is left out, empty or full.")
        return "\n".join(lines)

    def _shown(self, files: Sequence[tuple[str, str]]) -> Iterator[str]:
        for name, why in files[: self.most]:
            yield f"  {name}{': ' if why else ''}{why}"
        if len(files) > self.most:
            yield f"  ... and {len(files) - self.most} more"


def inspect_folder(
    root: str | os.PathLike[str], *, decode: bool = True, progress: bool = True
) -> FolderReport:
    """Read every picture and mask of a folder of one's own, and say what is in it.

    Args:
        root: as for `FolderEpisodes`.
        decode: decode every picture, too, to find damaged ones; False: heads only.
        progress: show a bar.

    Raises:
        MissingData: there is no such folder, or no class in it; the message shows the layout.
        OSError: the list cannot be written to the cache folder.
    """
    root = Path(root)
    source = find_source(root, None, "test", progress=progress)
    listing = make_listing(
        source.name, source.items, source.masks, upright=True, on_bad="skip", progress=progress
    )
    left_out = [(bad.path, bad.reason) for bad in (*source.left_out, *listing.left_out)]
    told = {path for path, _ in left_out}
    sizes, damaged = _look(listing.items, decode, progress)
    left_out += [(bad.path, bad.reason) for bad in damaged if bad.path not in told]
    broken = {bad.path for bad in damaged}
    left_out += _strangers(root, listing.items, {path for path, _ in left_out})
    usable = [
        i
        for i, item in enumerate(listing.items)
        if not {Path(item.image), Path(item.mask)} & (told | broken)
    ]
    rows = np.isin(listing.item, usable)
    shares = {
        (int(i), int(c)): pixels / (sizes[i][0] * sizes[i][1])
        for i, c, pixels in zip(
            listing.item[rows], listing.class_id[rows], listing.pixels[rows], strict=True
        )
    }
    shown = {i for i, _ in shares}
    short = [_short(item.image, root) for item in listing.items]
    return FolderReport(
        root=root,
        read_as=source.lists,
        classes=tuple(_class(name, c, shares) for c, name in source.classes.items()),
        empty=tuple(short[i] for i in usable if i not in shown),
        full=tuple(sorted(short[i] for (i, _), share in shares.items() if share >= FULL)),
        suspicious=tuple(_suspicious(listing, shares, short)),
        left_out=tuple(sorted((_short(path, root), why) for path, why in left_out)),
    )


def _look(
    items: Sequence[Item], decode: bool, progress: bool
) -> tuple[dict[int, tuple[int, int]], list[BadImage]]:
    """Position to (height, width) of the pictures that can be read, and the others."""
    from tqdm.auto import tqdm

    sizes, damaged = {}, []
    for i, item in enumerate(tqdm(items, desc="pictures", leave=False, disable=not progress)):
        try:
            read = read_picture if decode else picture_size
            found = read(item.image, upright=True)
            sizes[i] = found.shape[:2] if decode else found
        except BadImage as error:
            damaged.append(error)
    return sizes, damaged


def _class(name: str, class_id: int, shares: dict[tuple[int, int], float]) -> ClassReport:
    own = [share for (_, c), share in shares.items() if c == class_id]
    coverage = (min(own), float(np.median(own)), max(own)) if own else (0.0, 0.0, 0.0)
    return ClassReport(name, len(own), coverage)


def _suspicious(
    listing: Listing, shares: dict[tuple[int, int], float], short: Sequence[str]
) -> Iterator[tuple[str, str]]:
    for (i, _), share in sorted(shares.items()):
        if share < TINY:
            yield short[i], f"its class covers {100 * share:.2f} % of it, perhaps a stray click"
    same = defaultdict(list)
    for i in sorted({i for i, _ in shares}):
        path = Path(listing.items[i].image)
        same[path.stat().st_size].append((i, path))
    for group in same.values():
        first: dict[str, int] = {}
        for i, path in group if len(group) > 1 else ():
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            if digest in first:
                yield (
                    short[i],
                    f"is the same file as {short[first[digest]]}: a picture that is"
                    " query and support asks nothing",
                )
            first.setdefault(digest, i)


def _strangers(root: Path, items: Sequence[Item], told: set[Path]) -> Iterator[tuple[Path, str]]:
    """Pictures below the root that are neither a picture nor a mask of the data set."""
    known = {Path(path) for item in items for path in (item.image, item.mask)} | told
    for folder in [root, *(p for p in root.rglob("*") if p.is_dir())]:
        for path in pictures_in(folder, tuple({*PICTURES, *MASKS})):
            if path not in known:
                yield (
                    path,
                    (
                        "belongs to no class, or has no mask or annotation. Mend: put it where the "
                        "others are, or take it out"
                    ),
                )


def _short(path: str | os.PathLike[str], root: Path) -> str:
    path = Path(path)
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)

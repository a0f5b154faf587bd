"""Which file is a picture and which is its mask, in a folder of one class.

Three habits are known, and may be mixed; suffixes are in any case:

    <folder>/kitchen.jpg           kitchen.png beside it (any other picture format that keeps
                                   every pixel, too: .bmp, .gif, .tif; then .webp)
    <folder>/kitchen.jpg           kitchen_mask.png, of any format (also -mask, .mask)
    <folder>/kitchen.jpg           masks/kitchen.png, with or without _mask; pictures may have a
                                   folder of their own, too: images/kitchen.jpg
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from hmnet_lite.data.photos.layout import pictures_in
from hmnet_lite.data.photos.pictures import PICTURES, BadImage

MASKS = (".png", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".jpg", ".jpeg")  # likeliest first
_BESIDE = MASKS[:6]  # a JPEG beside a picture of its name is not a mask, unless it says so
_MARK = re.compile(r"[ ._-]?masks?$", re.IGNORECASE)
_FOLDERS = {
    "images": ("images", "image", "pictures", "photos", "imgs"),
    "masks": ("masks", "mask", "labels", "gt", "annotations"),
}


class Pairs(NamedTuple):
    """Pictures with their masks, and the files that have no partner."""

    found: tuple[tuple[Path, Path], ...]  # (picture, mask), sorted; the mask may not be there
    alone: tuple[BadImage, ...]  # masks without a picture, and names that three files have


def pair(pictures: Path, masks: Path | None = None) -> Pairs:
    """The pictures of a folder and their masks.

    Args:
        pictures: the folder.
        masks: where masks lie, if not in it.
    """
    masks = masks or subfolder(pictures, "masks")
    pictures = subfolder(pictures, "images") or pictures
    if masks is not None and masks != pictures:
        return _apart(pictures, masks)
    return _together(pictures_in(pictures, tuple({*PICTURES, *MASKS})))


def subfolder(folder: Path, kind: str) -> Path | None:
    """The folder's own folder of "images" or "masks", whatever its common name; None: it has none.

    One that holds no pictures is a class's or somebody's, not this.
    """
    for path in sorted(folder.iterdir()):
        named = path.is_dir() and path.name.lower() in _FOLDERS[kind]
        if named and pictures_in(path, (*PICTURES, ".gif")):
            return path
    return None


def _apart(pictures: Path, masks: Path) -> Pairs:
    by_name: dict[str, list[Path]] = {}
    drawn = sorted(pictures_in(masks, MASKS), key=_rank) if masks.is_dir() else []
    for mask in drawn:
        by_name.setdefault(mask.stem, []).append(mask)
        bare = _MARK.sub("", mask.stem)
        if bare and bare != mask.stem:
            by_name.setdefault(bare, []).append(mask)
    found, used = [], set()
    for picture in pictures_in(pictures):
        mask = next(iter(by_name.get(picture.stem, ())), masks / f"{picture.stem}.png")
        found.append((picture, mask))
        used.add(mask)
    unused = [mask for mask in drawn if mask not in used]
    return Pairs(tuple(found), tuple(_without_picture(m, m.stem) for m in unused))


def _together(files: list[Path]) -> Pairs:
    stems: dict[str, list[Path]] = {}
    for file in files:
        stems.setdefault(file.stem, []).append(file)
    marked: dict[str, Path] = {}
    for stem in list(stems):
        bare = _MARK.sub("", stem)
        if bare and bare != stem and bare in stems and len(stems[stem]) == 1:
            marked[bare] = stems.pop(stem)[0]
    found, alone = [], []
    for stem, same in sorted(stems.items()):
        mask = marked.get(stem)
        if mask is None and len(same) == 2:
            same = sorted(same, key=_rank)
            if same[0].suffix.lower() in _BESIDE:
                mask = same.pop(0)
        if len(same) > 1:
            names = ", ".join(file.name for file in same)
            reason = f"has a name that {names} share. Mend: take the superfluous one out"
            alone.append(BadImage(same[0], reason))
        elif mask is None and same[0].suffix.lower() in (".png", ".gif"):
            alone.append(_without_picture(same[0], stem))
        else:
            found.append((same[0], mask or same[0].with_suffix(".png")))
    return Pairs(tuple(found), tuple(alone))


def _rank(file: Path) -> int:
    suffix = file.suffix.lower()
    return MASKS.index(suffix) if suffix in MASKS else len(MASKS)


def _without_picture(mask: Path, stem: str) -> BadImage:
    return BadImage(
        mask,
        f"is a mask without its picture {stem}.jpg, or a picture without its mask {stem}_mask.png. "
        "Mend: put the other beside it, or take it out",
    )

"""One's own pictures: a folder a class, a mask to each picture; or annotations of a label tool.

    <root>/mug/kitchen.jpg      a picture: JPEG, PNG, WebP, TIFF, BMP (HEIC with pillow-heif)
    <root>/mug/kitchen.png      its mask, of the same size: white where the mug is, black elsewhere
                                (`masks` lists all that is read, `pairs` where masks may lie)

Or masks in a tree of their own, <root>/images/mug/kitchen.jpg and <root>/masks/mug/kitchen.png;
or one class alone, <root>/images/kitchen.jpg and <root>/masks/kitchen.png.
Without any mask, the annotations of labelme, COCO or CVAT files are drawn (see `annotations`).

Folders are the classes, in alphabetical order, so a class's number changes when one is added before
it. Folders without pictures, or whose name begins with a dot or an underscore, are left out.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NamedTuple

from hmnet_lite.data.photos.annotations import annotated
from hmnet_lite.data.photos.layout import MissingData, novel_in_fold, pictures_in
from hmnet_lite.data.photos.listing import Item
from hmnet_lite.data.photos.masks import MaskFormat
from hmnet_lite.data.photos.pairs import pair, subfolder
from hmnet_lite.data.photos.pictures import PICTURES, BadImage
from hmnet_lite.data.photos.sampler import PhotoEpisodes, Source

HELP = (
    "Put each class's pictures into a folder of its name, <root>/mug/kitchen.jpg, and beside each "
    "a mask of its size, <root>/mug/kitchen.png, white where the thing is and black elsewhere; "
    "then give --root <root>"
)


class FolderEpisodes(PhotoEpisodes):
    """Episodes from one's own pictures.

    Args:
        root: the folder of class folders, or of pictures with annotations.
        fold: None: every class is tested, and every class trained on. 0 to 3: every fourth class
            (0: the first, fifth, ...) is novel, and the others are base classes.
        split, options: see `PhotoEpisodes`; `small_object` is 1 unless given.

    Raises:
        MissingData: there is no root, or no class in it; the message shows the layout.
        ValueError, BadImage: see `PhotoEpisodes` and `annotations`.
    """

    def __init__(
        self, root: str | os.PathLike[str], fold: int | None, split: str, **options: Any
    ) -> None:
        source = find_source(root, fold, split, progress=options.get("progress", True))
        super().__init__(source, split, **{"small_object": 1} | options)


def find_source(
    root: str | os.PathLike[str], fold: int | None, split: str, *, progress: bool = True
) -> Source:
    """The files and classes of one's own pictures; arguments and errors as above."""
    drawn = None if _has_masks(Path(root)) else annotated(root, progress=progress)
    if drawn is None:
        folders = class_folders(root, HELP)
        found = folders.classes, folders.items, MaskFormat(), "folders", folders.left_out
    else:
        highest = max(drawn.classes)
        found = drawn.classes, drawn.items, MaskFormat(highest), drawn.lists, drawn.left_out
    classes, items, masks, lists, left_out = found
    novel = set(classes) if split == "test" else set()
    if fold is not None:
        novel = novel_in_fold(fold, list(classes), "interleaved")
    return Source(
        "folder", items, masks, classes, frozenset(novel), lists, upright=True, left_out=left_out
    )


class ClassFolders(NamedTuple):
    """What `class_folders` finds."""

    classes: dict[int, str]  # ids from 0 to names
    items: tuple[Item, ...]
    left_out: tuple[BadImage, ...]  # files without a partner


def class_folders(root: str | os.PathLike[str], help: str) -> ClassFolders:
    """Every class with its pictures and the masks that belong to them.

    Raises:
        MissingData: there is no root, or no class in it.
    """
    root = Path(root)
    if not root.is_dir():
        raise MissingData(f"there is no folder {root}. {help}")
    folders = _trees(root)
    if not folders:
        raise MissingData(f"there is no folder with pictures in {root}. {help}")
    items, left_out = [], []
    for class_id, (_, pictures, masks) in enumerate(folders):
        found, alone = pair(pictures, masks)
        items += [Item(str(picture), str(mask), class_id) for picture, mask in found]
        left_out += alone
    names = {i: name for i, (name, _, _) in enumerate(folders)}
    return ClassFolders(names, tuple(items), tuple(left_out))


def _trees(root: Path) -> list[tuple[str, Path, Path | None]]:
    """(class name, folder of its pictures, folder of its masks if apart) of every class."""
    below = {p.name.lower(): p for p in _visible(root)}
    images, masks = below.get("images"), below.get("masks")
    if masks and _any_picture(masks) and (_any_picture(images or root)):
        return [(root.resolve().name, images or root, masks)]  # one class, two folders
    if masks and _visible(masks) and not _any_picture(masks):
        pictures = [p for p in _visible(images or root) if p != masks and _any_picture(p)]
        return [(p.name, p, masks / p.name) for p in pictures]
    return [(p.name, p, None) for p in _visible(root) if subfolder(p, "images") or _any_picture(p)]


def _visible(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.is_dir() and p.name[0] not in "._")


def _any_picture(folder: Path) -> bool:
    return bool(pictures_in(folder, (*PICTURES, ".gif")))


def _has_masks(root: Path) -> bool:
    """Whether any class folder holds a mask, so that annotations are not asked."""
    if not root.is_dir():
        return False
    return any(
        mask.is_file()
        for _, pictures, masks in _trees(root)
        for _, mask in pair(pictures, masks)[0]
    )

"""One's own pictures: a folder a class, a mask beside each picture.

    <root>/mug/kitchen.jpg     any .jpg or .jpeg
    <root>/mug/kitchen.png     its mask, of the same size: white where the mug is, black elsewhere
                               (or 1 and 0; 255 is then a part that should not count)

Folders are the classes, in alphabetical order, so a class's number changes when one is added before
it. Folders without pictures, or whose name begins with a dot or an underscore, are left out.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from hmnet_lite.data.photos.layout import MissingData, novel_in_fold, pictures_in
from hmnet_lite.data.photos.listing import Item
from hmnet_lite.data.photos.pictures import BadImage, MaskFormat
from hmnet_lite.data.photos.sampler import PhotoEpisodes, Source

HELP = (
    "Put each class's pictures into a folder of its name, <root>/mug/kitchen.jpg, and beside each "
    "a mask of its size, <root>/mug/kitchen.png, white where the thing is and black elsewhere; "
    "then give --root <root>"
)


class FolderEpisodes(PhotoEpisodes):
    """Episodes from one's own pictures.

    Args:
        root: the folder of class folders.
        fold: None: every class is tested, and every class trained on. 0 to 3: every fourth class
            (0: the first, fifth, ...) is novel, and the others are base classes.
        split, options: see `PhotoEpisodes`; `small_object` is 1 unless given.

    Raises:
        MissingData: there is no root, or no class in it; the message shows the layout.
        ValueError, BadImage: see `PhotoEpisodes`.
    """

    def __init__(
        self, root: str | os.PathLike[str], fold: int | None, split: str, **options: Any
    ) -> None:
        classes, items = class_folders(root, HELP)
        novel = set(classes) if split == "test" else set()
        if fold is not None:
            novel = novel_in_fold(fold, list(classes), "interleaved")
        source = Source(
            "folder", items, MaskFormat(), classes, frozenset(novel), "folders", upright=True
        )
        super().__init__(source, split, **{"small_object": 1} | options)


def class_folders(
    root: str | os.PathLike[str], help: str
) -> tuple[dict[int, str], tuple[Item, ...]]:
    """Class ids from 0 to names, and every picture with the mask beside it.

    Raises:
        MissingData: there is no root, or no class in it.
        BadImage: a mask without its picture. (A picture without its mask is told by the list.)
    """
    root = Path(root)
    if not root.is_dir():
        raise MissingData(f"there is no folder {root}. {help}")
    folders = sorted(p for p in root.iterdir() if p.is_dir() and p.name[0] not in "._")
    folders = [folder for folder in folders if pictures_in(folder, (".jpg", ".jpeg", ".png"))]
    if not folders:
        raise MissingData(f"there is no folder with pictures in {root}. {help}")
    items = []
    for class_id, folder in enumerate(folders):
        pictures = pictures_in(folder)
        stems = {picture.stem for picture in pictures}
        for mask in pictures_in(folder, (".png",)):
            if mask.stem not in stems:
                raise BadImage(
                    mask,
                    f"is a mask without its picture {mask.stem}.jpg. Mend: put the picture beside "
                    "it (as .jpg), or take the mask out",
                )
        items += [Item(str(p), str(p.with_suffix(".png")), class_id) for p in pictures]
    return {i: folder.name for i, folder in enumerate(folders)}, tuple(items)

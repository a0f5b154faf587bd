"""PASCAL-5i: the 20 classes of PASCAL VOC 2012 in 4 folds of 5 (Shaban et al., BMVC 2017).

What is accepted, `<root>` being the folder with JPEGImages, or one with VOC2012 or
VOCdevkit/VOC2012 in it:

    pictures          <root>/JPEGImages/*.jpg
    masks             <root>/SegmentationClassAug/*.png (VOC and SBD merged; class ids), or
                      <root>/SegmentationClass/*.png (VOC's own 2,913)
    list of "test"    val.txt (1,449 names)
    list of "train"   trainaug.txt, train_aug.txt or voc_sbd_merge_noduplicate.txt (10,582 names);
                      without one, every mask of SegmentationClassAug that val.txt leaves; and
                      train.txt (1,464) where there is SegmentationClass only
    where lists lie   <root>/ImageSets/Segmentation, <root>/ImageSets/SegmentationAug, <root>

A line of a list is a name (2007_000033 or 2007_000033.jpg), or a picture and a mask
(JPEGImages/2007_000033.jpg SegmentationClassAug/2007_000033.png, with or without a leading slash).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from hmnet_lite.data.photos.layout import (
    MissingData,
    by_stem,
    find_folder,
    novel_in_fold,
    pictures_in,
    read_list,
)
from hmnet_lite.data.photos.listing import Item
from hmnet_lite.data.photos.masks import MaskFormat
from hmnet_lite.data.photos.sampler import PhotoEpisodes, Source

CLASSES = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow",
    "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train",
    "tvmonitor",
)  # fmt: skip
HELP = (
    "PASCAL-5i needs VOC 2012 (VOCtrainval_11-May-2012.tar, from the PASCAL VOC site) and, for "
    "training, SegmentationClassAug, the masks of SBD merged with VOC's as class ids. Put them as "
    "<root>/JPEGImages/*.jpg, <root>/SegmentationClassAug/*.png (or SegmentationClass) and "
    "<root>/ImageSets/Segmentation/val.txt and trainaug.txt, and give --root <root>"
)
_PLACES = ("", "VOC2012", "VOCdevkit/VOC2012")
_LISTS = ("ImageSets/Segmentation", "ImageSets/SegmentationAug", "")
_PICTURES = (".jpg", ".jpeg")
_TRAIN_LISTS = ("trainaug.txt", "train_aug.txt", "voc_sbd_merge_noduplicate.txt")


class PascalEpisodes(PhotoEpisodes):
    """PASCAL-5i: novel classes are tested on val, base classes trained on trainaug.

    Args:
        root: see above.
        fold: 0 to 3; its 5 classes are novel.
        split, options: see `PhotoEpisodes`.

    Raises:
        MissingData: root, masks or lists are not there; the message says what to download.
        ValueError, BadImage: see `PhotoEpisodes`.
    """

    def __init__(self, root: str | os.PathLike[str], fold: int, split: str, **options: Any) -> None:
        classes = dict(enumerate(CLASSES, 1))
        novel = novel_in_fold(fold, list(classes), "consecutive")
        home = find_folder(root, _PLACES, "JPEGImages", HELP)
        masks = find_folder(home, ("SegmentationClassAug", "SegmentationClass"), "", HELP)
        names, lists = _names(home, masks, split)
        found = by_stem(home / "JPEGImages", _PICTURES), by_stem(masks, (".png",))
        items = tuple(_item(home, masks, line, *found) for line in names)
        source = Source("pascal", items, MaskFormat(len(CLASSES)), classes, novel, lists)
        super().__init__(source, split, **options)


def _names(home: Path, masks: Path, split: str) -> tuple[list[str], str]:
    """The lines of the split's list, and where they come from."""

    def found(*names: str) -> tuple[list[str], str] | None:
        return read_list(home / place / name for name in names for place in _LISTS)

    augmented = masks.name == "SegmentationClassAug"
    train = _TRAIN_LISTS if augmented else ("train.txt",)
    wanted = train if split == "train" else ("val.txt",)
    listed, val = found(*wanted), found("val.txt")
    if listed is None and split == "train" and augmented and val is not None:
        tested = {Path(line.replace("\\", "/").split()[0]).stem for line in val[0]}
        rest = [p.stem for p in pictures_in(masks, (".png",)) if p.stem not in tested]
        listed = rest, f"{masks.name} without {val[1]}"
    if listed is None:
        raise MissingData(f"there is no list {' or '.join(wanted)} in {home}. {HELP}")
    return listed[0], f"{listed[1]}, {masks.name}"


def _item(
    home: Path, masks: Path, line: str, pictures: dict[str, Path], drawn: dict[str, Path]
) -> Item:
    picture, *mask = line.replace("\\", "/").split()
    if mask:
        return Item(*(str(home / os.path.normpath(p.lstrip("/"))) for p in (picture, mask[0])))
    name = Path(picture).stem if Path(picture).suffix.lower() in _PICTURES else picture
    picture = pictures.get(name, home / "JPEGImages" / f"{name}.jpg")
    return Item(str(picture), str(drawn.get(name, masks / f"{name}.png")))

"""COCO-20i: the 80 classes of COCO 2014 in 4 folds of 20 (Nguyen and Todorovic, ICCV 2019).

What is accepted, `<root>` being the folder with val2014, or one with COCO2014 or MSCOCO2014 in it:

    pictures         <root>/train2014/*.jpg, <root>/val2014/*.jpg
    labels="png"     <root>/annotations/val2014/*.png or <root>/masks/val2014/*.png (and train2014):
                     class ids 1 to 80 in the order of COCO's category ids, 255 ignore
    labels="json"    <root>/annotations/instances_val2014.json (and train2014), drawn once; its
                     categories are matched by name, whatever their ids

A picture without a mask is not used. Folds: "consecutive" (PANet: Wang et al., ICCV 2019), 20 in a
row, or "interleaved" (FWB: Nguyen and Todorovic), every fourth class.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from hmnet_lite.data.photos.coco_json import draw_masks
from hmnet_lite.data.photos.layout import (
    MissingData,
    by_stem,
    find_folder,
    novel_in_fold,
    pictures_in,
)
from hmnet_lite.data.photos.listing import Item
from hmnet_lite.data.photos.masks import MaskFormat
from hmnet_lite.data.photos.sampler import PhotoEpisodes, Source

CLASSES = (
    "person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat",
    "traffic light", "fire hydrant", "stop sign", "parking meter", "bench", "bird", "cat", "dog",
    "horse", "sheep", "cow", "elephant", "bear", "zebra", "giraffe", "backpack", "umbrella",
    "handbag", "tie", "suitcase", "frisbee", "skis", "snowboard", "sports ball", "kite",
    "baseball bat", "baseball glove", "skateboard", "surfboard", "tennis racket", "bottle",
    "wine glass", "cup", "fork", "knife", "spoon", "bowl", "banana", "apple", "sandwich",
    "orange", "broccoli", "carrot", "hot dog", "pizza", "donut", "cake", "chair", "couch",
    "potted plant", "bed", "dining table", "toilet", "tv", "laptop", "mouse", "remote",
    "keyboard", "cell phone", "microwave", "oven", "toaster", "sink", "refrigerator", "book",
    "clock", "vase", "scissors", "teddy bear", "hair drier", "toothbrush",
)  # fmt: skip
HELP = (
    "COCO-20i needs train2014.zip, val2014.zip and annotations_trainval2014.zip (from the COCO "
    "site). Unpack them as <root>/train2014/*.jpg, <root>/val2014/*.jpg and "
    "<root>/annotations/instances_val2014.json (then --labels json), or put class-id masks into "
    "<root>/annotations/val2014/*.png, and give --root <root>"
)
_PLACES = ("", "COCO2014", "MSCOCO2014")


class CocoEpisodes(PhotoEpisodes):
    """COCO-20i: novel classes are tested on val2014, base classes trained on train2014.

    Args:
        root: see above.
        fold: 0 to 3; its 20 classes are novel.
        split, options: see `PhotoEpisodes`.
        fold_scheme: "consecutive" or "interleaved".
        labels: "png" or "json".

    Raises:
        MissingData: root, pictures or labels are not there; the message says what to download.
        ValueError, BadImage: see `PhotoEpisodes` and `draw_masks`.
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        fold: int,
        split: str,
        *,
        fold_scheme: str = "consecutive",
        labels: str = "png",
        progress: bool = True,
        **options: Any,
    ) -> None:
        classes = dict(enumerate(CLASSES, 1))
        novel = novel_in_fold(fold, list(classes), fold_scheme)
        year = "val2014" if split == "test" else "train2014"
        home, reordered = find_folder(root, _PLACES, year, HELP), False
        if labels == "json":
            annotations = home / "annotations" / f"instances_{year}.json"
            if not annotations.is_file():
                raise MissingData(f"there is no {annotations.name} in {annotations.parent}. {HELP}")
            masks, reordered = draw_masks(annotations, home / year, classes, progress=progress)
        elif labels == "png":
            masks = _mask_folder(home, year)
        else:
            raise ValueError(f"labels is {labels!r}; expected png or json")
        pictures = by_stem(home / year, (".jpg", ".jpeg"))
        items = tuple(
            Item(str(pictures.get(mask.stem, home / year / f"{mask.stem}.jpg")), str(mask))
            for mask in pictures_in(masks, (".png",))
        )
        lists = f"{year}, {labels}"
        if reordered:
            lists += " (its category ids are not COCO's: classes matched by name)"
        source = Source("coco", items, MaskFormat(len(CLASSES)), classes, novel, lists)
        super().__init__(source, split, progress=progress, **options)


def _mask_folder(home: Path, year: str) -> Path:
    for place in ("annotations", "masks"):
        folder = home / place / year
        if folder.is_dir() and pictures_in(folder, (".png",)):
            return folder
    mend, annotations = HELP, home / "annotations" / f"instances_{year}.json"
    if annotations.is_file():
        mend = f"There is {annotations.name}: draw them from it with --labels json"
    raise MissingData(f"there are no class-id masks in {home / 'annotations' / year}. {mend}")

"""FSS-1000: 1,000 classes of 10 pictures (Li et al., CVPR 2020), 520 to train, 240 to test.

What is accepted, `<root>` being the folder with the class folders, or one with fewshot_data,
FSS-1000 or fewshot_data/fewshot_data in it:

    pictures, masks   <root>/ab_wheel/1.jpg ... 10.jpg, and 1.png ... 10.png, white on black
    lists of classes  trn.txt (or train.txt), val.txt and test.txt (or fss_test_set.txt), a class
                      name a line, in <root>, <root>/splits or the folder above <root>
    one list only     test.txt (or fss_test_set.txt): all other classes are trained on
    without lists     our own split, fixed by the classes' names: 52 : 24 : 24 per cent in a random
                      order. Reports say so; do not compare such numbers with published ones.

The validation classes (240) are in neither split. Masks are read by brightness and
resized to their picture, as in the field: a few are grey or of another size.
"""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path
from typing import Any

from hmnet_lite.data.photos.folder import class_folders
from hmnet_lite.data.photos.layout import MissingData, read_list
from hmnet_lite.data.photos.masks import MaskFormat
from hmnet_lite.data.photos.sampler import PhotoEpisodes, Source
from hmnet_lite.data.stream import Stream

HELP = (
    "FSS-1000 is fewshot_data.zip, from the data set's own page (HKUSTCV/FSS-1000 on GitHub). "
    "Unpack it so that <root>/ab_wheel/1.jpg and <root>/ab_wheel/1.png are there, put the lists of "
    "classes trn.txt, val.txt and test.txt into <root>, and give --root <root>"
)
_PLACES = ("fewshot_data/fewshot_data", "fewshot_data", "FSS-1000", "")
_LISTS = {
    "train": ("trn.txt", "train.txt"),
    "val": ("val.txt",),
    "test": ("test.txt", "fss_test_set.txt"),
}


class FSSEpisodes(PhotoEpisodes):
    """FSS-1000: classes of test.txt are novel, those of trn.txt base classes.

    Args:
        root: see above.
        split, options: see `PhotoEpisodes`; `small_object` is 1 unless given.

    Raises:
        MissingData: there is no root, or a class of a list has no folder.
        ValueError, BadImage: see `PhotoEpisodes`.
    """

    def __init__(self, root: str | os.PathLike[str], split: str, **options: Any) -> None:
        home = next((p for place in _PLACES if (p := Path(root) / place).is_dir()), Path(root))
        classes, items, left_out = class_folders(home, HELP)
        classes = {class_id: _plain(name) for class_id, name in classes.items()}
        ids = {name: class_id for class_id, name in classes.items()}
        splits, lists = _splits(Path(root), home, list(ids))
        for name in (*splits["train"], *splits["test"]):
            if name not in ids:
                raise MissingData(f"{lists} names class {name!r}, not a folder of {home}. {HELP}")
        used = {ids[name]: name for part in ("train", "test") for name in splits[part]}
        novel = frozenset(ids[name] for name in splits["test"])
        kept = tuple(
            item
            for item in items
            if item.class_id in used and (item.class_id in novel) == (split == "test")
        )
        masks = MaskFormat(by_brightness=True)
        source = Source("fss1000", kept, masks, used, novel, lists, left_out=left_out)
        super().__init__(source, split, **{"small_object": 1} | options)


def _splits(root: Path, home: Path, names: list[str]) -> tuple[dict[str, list[str]], str]:
    """Class names of each split, and where the split comes from."""
    folders = (root, root / "splits", home, home / "splits", home.parent)
    found = {
        split: read_list(folder / name for folder in folders for name in files)
        for split, files in _LISTS.items()
    }
    if found["test"] is None:
        order = Stream("fss1000 split", *sorted(names)).shuffled(sorted(names))
        first, second = round(0.52 * len(order)), round(0.76 * len(order))
        parts = {"train": order[:first], "val": order[first:second], "test": order[second:]}
        return parts, "no lists found: our own split"
    listed = {split: [*map(_plain, lines[0])] if lines else [] for split, lines in found.items()}
    if found["train"] is None:
        apart = {*listed["val"], *listed["test"]}
        listed["train"] = [name for name in names if name not in apart]
    return listed, ", ".join(lines[1] for lines in found.values() if lines)


def _plain(name: str) -> str:
    """One spelling of an accented letter: systems write the names of folders in two."""
    return unicodedata.normalize("NFC", name)

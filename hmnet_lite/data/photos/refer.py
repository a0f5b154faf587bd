"""RefCOCO, RefCOCO+ and G-Ref: sentences about objects of COCO's photographs, as people have them.

    root/refcoco/instances.json                 COCO's annotations of the photographs
    root/refcoco/refs(unc).p                    the sentences; or refs(google).p, …, or .json
    root/images/train2014/COCO_train2014_*.jpg  (also root/train2014)

A reference names one annotation, has several sentences, and belongs to a split: train, val, testA
(people), testB (everything else), or test. (Kazemzadeh et al., 2014; Yu et al., 2016; Mao et al.,
2016.)
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hmnet_lite.data.fields import one_of
from hmnet_lite.data.photos.coco_json import read_coco
from hmnet_lite.data.photos.layout import MissingData, read_json
from hmnet_lite.data.photos.pictures import BadImage, read_picture
from hmnet_lite.data.photos.shapes import segmentation_mask

NAMES = ("refcoco", "refcoco+", "refcocog")
HELP = (
    "expected root/{name}/instances.json, root/{name}/refs(….).p or .json, and the photographs in "
    "root/images/train2014 or root/train2014"
)
_BUILTINS = ("dict", "list", "tuple", "set", "int", "float", "str", "bool", "bytes")


@dataclass(frozen=True, eq=False)
class ReferredPhoto:
    """A photograph, a sentence, and the object it names."""

    image: np.ndarray  # (H, W, 3) uint8 RGB
    mask: np.ndarray  # (H, W) uint8: 1 the object
    text: str
    index: int


class ReferPhotos(Sequence):
    """The sentences of one split, read from disk when asked for.

    Args:
        root: the folder that holds the data set.
        name: one of `NAMES`.
        split: as the references call it; they are listed where it is not there.
        split_by: which list, for example "unc", "google" or "umd"; the only one when None.

    Raises:
        MissingData: a file or folder is not there; says what was expected.
        ValueError: no such name or split, or several lists; `BadImage`, one of them, names a file
            that is not what it should be, or a photograph that cannot be read.
    """

    def __init__(self, root: str | Path, name: str = "refcoco", split: str = "val",
                 split_by: str | None = None):  # fmt: skip
        one_of("name", name, NAMES)
        folder, told = Path(root) / name, HELP.format(name=name)
        places = [Path(root) / below for below in ("images/train2014", "train2014", "images")]
        self._photographs = next((place for place in places if place.is_dir()), None)
        if self._photographs is None or not (folder / "instances.json").is_file():
            raise MissingData(f"no {name} in {root}: {told}")
        self._path = _list(folder, split_by, told)
        self._coco = read_coco(folder / "instances.json")
        objects = (entry for entries in self._coco.objects.values() for entry in entries)
        self._objects = {entry["id"]: entry for entry in objects if "id" in entry}
        self._told: list[tuple[Any, str]] = []  # annotation, sentence
        splits = set()
        for number, ref in enumerate(_references(self._path)):
            try:
                splits.add(ref["split"])
                if ref["split"] == split:
                    self._object(ref["ann_id"])
                    self._told += [(ref["ann_id"], s["sent"]) for s in ref["sentences"]]
            except (KeyError, TypeError, ValueError) as error:
                raise BadImage(
                    self._path, f"is wrong at reference {number}: {error}. Mend: download it again"
                ) from error
        one_of("split", split, sorted(map(str, splits)))

    def __len__(self) -> int:
        return len(self._told)

    def __getitem__(self, index: int) -> ReferredPhoto:
        if not -len(self) <= index < len(self):
            raise IndexError(f"sentence {index} of {len(self)}")
        annotation, text = self._told[index]
        entry = self._object(annotation)
        file, height, width = self._coco.pictures[entry["image_id"]]
        path = self._photographs / Path(file).name
        image = read_picture(path)
        if image.shape[:2] != (height, width):
            raise BadImage(
                path, f"is of {image.shape[:2]}, but the annotations say {height, width}"
            )
        mask = segmentation_mask(entry, height, width).astype(np.uint8)
        return ReferredPhoto(image, mask, text, index % len(self))

    def _object(self, annotation: Any) -> dict[str, Any]:
        if annotation not in self._objects:
            raise ValueError(f"it names annotation {annotation!r}, which instances.json lacks")
        return self._objects[annotation]


def _list(folder: Path, split_by: str | None, told: str) -> Path:
    """The file of the sentences."""
    found = {path.name: path for end in ("p", "json") for path in folder.glob(f"refs(*).{end}")}
    if split_by is not None:
        found = {n: path for n, path in found.items() if n.startswith(f"refs({split_by}).")}
    if not found:
        raise MissingData(f"no sentences in {folder}: {told}")
    if len({path.stem for path in found.values()}) > 1:
        raise ValueError(f"{folder} holds {', '.join(sorted(found))}; choose one with split_by")
    return found[max(found)]  # of the same list, the pickle


class _Plain(pickle.Unpickler):
    """Reads dicts, lists, numbers and strings, and refuses whatever could run."""

    def find_class(self, module: str, name: str) -> Any:
        if module == "builtins" and name in _BUILTINS:
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"it holds {module}.{name}, which plain data has no use for")


def _references(path: Path) -> list[Any]:
    try:
        if path.suffix == ".json":
            found = read_json(path)
        else:
            found = _Plain(io.BytesIO(path.read_bytes()), encoding="latin1").load()
        if not isinstance(found, list):
            raise ValueError(f"it holds a {type(found).__name__}; expected a list")
    except (ValueError, pickle.UnpicklingError, EOFError, AttributeError, IndexError) as error:
        raise BadImage(
            path, f"is no list of references ({error}). Mend: download it again"
        ) from error
    return found

"""COCO's instance JSON: what it annotates, every field checked, classes matched by name.

Label tools number categories as they like (often alphabetically), so a category's number says
nothing: its name decides which class it is. A crowd region counts as its class.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from hmnet_lite.data.fields import closest
from hmnet_lite.data.photos.layout import read_json
from hmnet_lite.data.photos.pictures import BadImage
from hmnet_lite.data.photos.shapes import (
    checked_size,
    keep_masks,
    kept_facts,
    paint,
    segmentation_mask,
)
from hmnet_lite.files import cache_folder

FORMAT = 2  # raise it whenever the same annotations would give other masks
#: names that other lists of COCO's classes have for the same thing
ALIASES = {
    "aeroplane": "airplane", "motorbike": "motorcycle", "sofa": "couch", "hair dryer": "hair drier",
    "pottedplant": "potted plant", "diningtable": "dining table", "tvmonitor": "tv",
}  # fmt: skip


@dataclass(frozen=True)
class CocoFile:
    """A checked annotation file.

    Attributes:
        path: of the file.
        pictures: image id to (file name, height, width).
        names: category id to name.
        objects: image id to its annotations, of the pictures that have any.
    """

    path: Path
    pictures: Mapping[Any, tuple[str, int, int]]
    names: Mapping[Any, str]
    objects: Mapping[Any, list[Mapping[str, Any]]]

    def draw(self, image_id: Any, numbers: Mapping[Any, int]) -> np.ndarray:
        """(height, width) uint8 class ids of one picture; `numbers`: category id to class id.

        Raises:
            BadImage: an annotation cannot be drawn; names file and annotation.
        """
        _, height, width = self.pictures[image_id]
        shapes = []
        for entry in self.objects[image_id]:
            try:
                mask = segmentation_mask(entry, height, width)
            except ValueError as error:
                raise BadImage(
                    self.path,
                    f"has an annotation that cannot be drawn, id {entry.get('id')} of "
                    f"{self.pictures[image_id][0]}: {error}. Mend: correct it, or take it out",
                ) from error
            shapes.append((numbers[entry["category_id"]], mask))
        return paint(shapes, height, width)


def read_coco(path: Path, content: Any = None) -> CocoFile:
    """Read and check an annotation file.

    Args:
        path: of the file.
        content: what it holds, if it was read already.

    Raises:
        BadImage: it is not COCO's JSON, or a field is missing or wrong; names file and entry.
    """
    try:
        content = read_json(path) if content is None else content
        if not isinstance(content, Mapping):
            raise ValueError(f"it holds a {type(content).__name__}")
        parts = {name: _entries(content, name) for name in ("images", "categories", "annotations")}
    except ValueError as error:
        raise BadImage(
            path,
            f"is not COCO's instance JSON ({error}); expected images, categories and annotations. "
            "Mend: export or unpack it again",
        ) from error
    where = ""
    try:
        pictures: dict[Any, tuple[str, int, int]] = {}
        for number, entry in enumerate(parts["images"]):
            where = f"images[{number}]"
            size = checked_size(_field(entry, "height"), _field(entry, "width"))
            _once(pictures, _field(entry, "id"))[entry["id"]] = (_text(entry, "file_name"), *size)
        names: dict[Any, str] = {}
        for number, entry in enumerate(parts["categories"]):
            where = f"categories[{number}]"
            _once(names, _field(entry, "id"))[entry["id"]] = _text(entry, "name").strip()
        objects: dict[Any, list[Mapping[str, Any]]] = {}
        for number, entry in enumerate(parts["annotations"]):
            where = f"annotations[{number}]"
            where += f" (id {entry['id']})" if isinstance(entry, Mapping) and "id" in entry else ""
            image, category = _field(entry, "image_id"), _field(entry, "category_id")
            if image not in pictures:
                raise ValueError(f"it annotates image {image!r}, which the file does not list")
            if category not in names:
                raise ValueError(f"its category {category!r} is not one that the file lists")
            objects.setdefault(image, []).append(entry)
    except (ValueError, TypeError) as error:  # TypeError: an id that is a list or the like
        raise BadImage(
            path, f"is wrong at {where}: {error}. Mend: correct it, or take that entry out"
        ) from error
    return CocoFile(path, pictures, names, objects)


def draw_masks(
    annotations: Path, pictures: Path, classes: Mapping[int, str], *, progress: bool = True
) -> tuple[Path, bool]:
    """Class-id masks of all annotated pictures, in a cache folder keyed by the annotation file.

    Args:
        annotations: instances_val2014.json or the like.
        pictures: the folder of its pictures.
        classes: id to name of the classes; categories are matched by name.
        progress: show a bar (about 7 ms a picture). Stopped half-way, it goes on where it stopped.

    Returns:
        the folder, where a mask has its picture's name, with .png; and whether the file's
        categories are numbered in another order than the classes.

    Raises:
        BadImage: the file is not COCO's JSON, has a category that is no class, an annotation cannot
            be drawn, or a picture is not in the folder.
        OSError: a mask cannot be written.
    """
    found = annotations.stat()
    key = f"{FORMAT} {annotations.name} {found.st_size} {found.st_mtime_ns} {sorted(classes)}"
    name = f"{annotations.stem}-{hashlib.sha256(key.encode()).hexdigest()[:16]}"
    folder = cache_folder() / "coco" / name
    facts = kept_facts(folder)
    if facts is not None and "reordered" in facts and not facts["left_out"]:
        return folder, bool(facts["reordered"])
    file = read_coco(annotations)
    numbers = match_names(file, classes)
    named = {file.pictures[image_id][0] for image_id in file.objects}
    lost = sorted(named - set(os.listdir(pictures)))
    if lost:
        raise BadImage(
            pictures / lost[0],
            f"is not there, but {annotations.name} names it (and {len(lost) - 1} more that are "
            "not). Mend: unpack all pictures of that year, or take the annotations of the others",
        )
    jobs = {
        f"{Path(file.pictures[image_id][0]).stem}.png": partial(file.draw, image_id, numbers)
        for image_id in file.objects
    }
    by_id = [numbers[category] for category in sorted(numbers, key=str_or_number)]
    facts = {"reordered": by_id != sorted(by_id)}
    title = f"masks of {annotations.stem}"
    for error in keep_masks(folder, jobs, title, facts=facts, progress=progress).values():
        raise error
    return folder, facts["reordered"]


def match_names(file: CocoFile, classes: Mapping[int, str]) -> dict[Any, int]:
    """Category id to class id, by name: case, underscores and COCO's own variants do not matter.

    Raises:
        BadImage: a category is no class, or two are one.
    """
    ids = {_plain(name): class_id for class_id, name in classes.items()}
    numbers: dict[Any, int] = {}
    for category, name in file.names.items():
        class_id = ids.get(_plain(name))
        if class_id is None:
            raise BadImage(
                file.path,
                f"has a category {name!r}, not one of the {len(ids)} classes"
                f"{closest(_plain(name), list(ids))}. Mend: take COCO's instances file; one's own "
                "pictures are read with --dataset folder",
            )
        if class_id in numbers.values():
            raise BadImage(
                file.path, f"has two categories that are {classes[class_id]!r}. Mend: rename one"
            )
        numbers[category] = class_id
    return numbers


def str_or_number(value: Any) -> tuple[bool, Any]:
    """Sorts ids of any kind: numbers by size, then texts."""
    return (isinstance(value, str), value)


def _plain(name: str) -> str:
    plain = " ".join(name.lower().replace("_", " ").replace("-", " ").split())
    return ALIASES.get(plain, plain)


def _entries(content: Mapping[str, Any], name: str) -> Sequence[Any]:
    if name not in content:
        raise ValueError(f"it has no {name!r}")
    if not isinstance(content[name], list):
        raise ValueError(f"its {name!r} is a {type(content[name]).__name__}")
    return content[name]


def _field(entry: Any, name: str) -> Any:
    if not isinstance(entry, Mapping):
        raise ValueError(f"it is a {type(entry).__name__}; expected an object with fields")
    if entry.get(name) is None:
        raise ValueError(f"it has no {name!r}")
    return entry[name]


def _text(entry: Mapping[str, Any], name: str) -> str:
    value = _field(entry, name)
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"its {name!r} is {value!r}; expected text")
    return value


def _once(known: dict, key: Any) -> dict:
    if key in known:
        raise ValueError(f"its id {key!r} was given before")
    return known

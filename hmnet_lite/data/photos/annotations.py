"""Annotations of one's own pictures, as label tools write them, drawn as class-id masks.

    labelme   a .json beside each picture: polygons, rectangles, circles and masks; the label is
              the class, "__ignore__" does not count, "_background_" is none
    COCO      one .json for many pictures (exported by CVAT, Roboflow, Label Studio, ...): polygons,
              run lengths, or else boxes
    CVAT      "CVAT for images", annotations.xml: polygons, boxes, ellipses and masks

They are found anywhere below the root, and pictures by the names that the files give: as paths
from the annotation file, from the root, or by name alone wherever they lie. Classes are the labels
in alphabetical order, numbered from 1; where objects overlap, the smaller one is on top. Masks are
drawn once and kept in the cache folder; change an annotation file and they are drawn again.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path, PureWindowsPath
from typing import NamedTuple

import numpy as np

from hmnet_lite.data.episode import IGNORE
from hmnet_lite.data.photos import label_tools
from hmnet_lite.data.photos.coco_json import read_coco
from hmnet_lite.data.photos.label_tools import Sheet
from hmnet_lite.data.photos.layout import pictures_in, read_json
from hmnet_lite.data.photos.listing import Item
from hmnet_lite.data.photos.pictures import BadImage
from hmnet_lite.data.photos.shapes import keep_masks, paint, segmentation_mask
from hmnet_lite.files import cache_folder

FORMAT = 1  # raise it whenever the same annotations would give other masks
MOST = IGNORE - 1  # classes that a mask of 8 bits can number


class Drawn(NamedTuple):
    """One's own pictures with the masks drawn for them."""

    classes: dict[int, str]  # ids from 1 to names
    items: tuple[Item, ...]
    lists: str  # which files, in words
    left_out: tuple[BadImage, ...]


def annotated(root: str | os.PathLike[str], *, progress: bool = True) -> Drawn | None:
    """The pictures below a folder that label tools' files annotate; None where there are none.

    Raises:
        BadImage: not one file can be used.
        ValueError: more labels than a mask can number.
        OSError: a mask cannot be written.
    """
    root = Path(root)
    files = [
        path
        for suffix in ("json", "xml")
        for path in sorted(root.rglob(f"*.{suffix}"))
        if path.is_file() and path.relative_to(root).parts[0][0] not in "._"
    ]
    sheets: list[Sheet] = []
    used: list[Path] = []
    left_out: list[BadImage] = []
    for path in files:
        try:
            found = list(_sheets(path))
        except BadImage as error:
            left_out.append(error)
            continue
        sheets += found
        used += [path] * bool(found)
    if not used and not left_out:
        return None
    classes = dict(enumerate(sorted({label for sheet in sheets for label in sheet.labels}), 1))
    if not classes and left_out:
        raise left_out[0]
    if not classes:
        return None
    if len(classes) > MOST:
        raise ValueError(
            f"{root} has {len(classes)} labels; expected at most {MOST}. Mend: use class folders"
        )
    jobs: dict[str, partial] = {}
    named: dict[str, Path] = {}
    pictures = _Pictures(root)
    for sheet in sheets:
        try:
            picture = pictures.find(sheet)
        except BadImage as error:
            left_out.append(error)
            continue
        place = picture.relative_to(root) if picture.is_relative_to(root) else picture
        name = f"{picture.stem}-{hashlib.sha256(str(place).encode()).hexdigest()[:12]}.png"
        if name in jobs:
            reason = f"annotates {sheet.picture} a second time. Mend: keep one of its annotations"
            left_out.append(BadImage(sheet.path, reason))
            continue
        jobs[name], named[name] = partial(_draw, sheet, classes), picture
    folder = cache_folder() / "drawn" / _key(root, used, classes)
    bad = keep_masks(folder, jobs, "masks of annotations", progress=progress)
    left_out += bad.values()
    items = [Item(str(named[n]), str(folder / n)) for n in jobs if n not in bad]
    kinds = ", ".join(sorted({sheet.tool for sheet in sheets}))
    return Drawn(classes, tuple(items), f"annotations of {kinds}", tuple(left_out))


def _sheets(path: Path) -> Iterator[Sheet]:
    """What one file annotates: nothing, if it is some other JSON or XML.

    Raises:
        BadImage: it is cut short, or a label tool's with something wrong in it.
    """
    if path.suffix.lower() == ".xml":
        yield from label_tools.cvat(path)
        return
    try:
        content = read_json(path)
    except ValueError as error:
        raise BadImage(path, f"is not JSON ({error}). Mend: export it again") from None
    if not isinstance(content, dict):
        return
    if "shapes" in content:
        yield label_tools.labelme(path, content)
    elif {"images", "annotations"} <= content.keys():
        yield from _coco(path, content)


def _coco(path: Path, content: dict) -> Iterator[Sheet]:
    file = read_coco(path, content)
    for image_id, entries in file.objects.items():
        name, height, width = file.pictures[image_id]
        shapes = [
            (file.names[e["category_id"]], f"id {e.get('id')}", partial(segmentation_mask, e))
            for e in entries
        ]
        yield Sheet(path, "COCO", name, height, width, tuple(shapes))


def _draw(sheet: Sheet, classes: dict[int, str]) -> np.ndarray:
    numbers = {name: class_id for class_id, name in classes.items()}
    numbers |= {label_tools.IGNORED: IGNORE, label_tools.BACKGROUND: 0}
    shapes = []
    for label, where, mask in sheet.shapes:
        try:
            shapes.append((numbers[label], mask(sheet.height, sheet.width)))
        except ValueError as error:
            raise BadImage(
                sheet.path,
                f"has an annotation that cannot be drawn, {where} ({label!r}) of {sheet.picture}: "
                f"{error}. Mend: correct it, or take it out",
            ) from error
    return paint(shapes, sheet.height, sheet.width)


class _Pictures:
    """Finds a picture by the name an annotation gives it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.by_name: dict[str, list[Path]] = {}
        folders = [root, *(p for p in root.rglob("*") if p.is_dir())]
        for folder in folders:
            for picture in pictures_in(folder):
                self.by_name.setdefault(picture.name, []).append(picture)

    def find(self, sheet: Sheet) -> Path:
        given = PureWindowsPath(sheet.picture)  # takes both kinds of slash
        for folder in (sheet.path.parent, sheet.path.parent.parent / "images", self.root):
            path = folder / given.as_posix()
            if path.is_file():
                return Path(os.path.normpath(path))
        same = self.by_name.get(given.name, [])
        if len(same) == 1:
            return same[0]
        if same:
            raise BadImage(
                sheet.path,
                f"annotates {sheet.picture}, and {len(same)} pictures have that name. Mend: put "
                "each file beside its picture, or write paths from the root",
            )
        raise BadImage(
            sheet.path.parent / given.name,
            f"is not there, but {sheet.path.name} annotates it. Mend: put it there, or take its "
            "annotation out",
        )


def _key(root: Path, files: list[Path], classes: dict[int, str]) -> str:
    digest = hashlib.sha256(f"{FORMAT} {sorted(classes.items())}".encode())
    for path in files:
        found = path.stat()
        digest.update(f"{path.relative_to(root)} {found.st_size} {found.st_mtime_ns}\n".encode())
    return f"{root.resolve().name}-{digest.hexdigest()[:16]}"

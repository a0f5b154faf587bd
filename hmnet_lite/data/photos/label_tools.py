"""The files of labelme and CVAT: what they annotate, every field checked."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree

import numpy as np
from PIL import Image

from hmnet_lite.data.photos.pictures import BadImage
from hmnet_lite.data.photos.shapes import (
    box_mask,
    checked_size,
    polygons_mask,
    run_lengths_mask,
)

IGNORED, BACKGROUND = "__ignore__", "_background_"  # labelme's words
FAR = 1e9  # pixels: no picture has coordinates beyond
Draw = Callable[[int, int], np.ndarray]  # (height, width) → (height, width) bool


class Sheet(NamedTuple):
    """The annotations of one picture."""

    path: Path  # of the file that holds them
    tool: str
    picture: str  # name or path, as the file gives it
    height: int
    width: int
    shapes: tuple[tuple[str, str, Draw], ...]  # label, where in the file, what draws it

    @property
    def labels(self) -> set[str]:
        """The classes it shows."""
        return {label for label, _, _ in self.shapes} - {IGNORED, BACKGROUND}


def labelme(path: Path, content: Mapping[str, Any]) -> Sheet:
    """A labelme file.

    Raises:
        BadImage: a field is missing or wrong; names the shape.
    """
    where = "its head"
    try:
        height, width = checked_size(content.get("imageHeight"), content.get("imageWidth"))
        if not isinstance(content.get("imagePath"), str):
            raise ValueError(f"imagePath is {content.get('imagePath')!r}; expected a name")
        if not isinstance(content["shapes"], list):
            raise ValueError("shapes is no list")
        shapes = []
        for number, shape in enumerate(content["shapes"]):
            where = f"shapes[{number}]"
            label = shape.get("label") if isinstance(shape, Mapping) else None
            if not isinstance(label, str) or not label.strip():
                raise ValueError("it has no label")
            shapes.append((label.strip(), where, _labelme_shape(shape)))
    except ValueError as error:
        raise BadImage(
            path, f"is wrong at {where}: {error}. Mend: correct it in labelme, or take it out"
        ) from error
    return Sheet(path, "labelme", content["imagePath"], height, width, tuple(shapes))


def _labelme_shape(shape: Mapping[str, Any]) -> Draw:
    kind, points = shape.get("shape_type") or "polygon", shape.get("points")
    pairs = isinstance(points, list) and all(isinstance(p, list) and len(p) == 2 for p in points)
    if not pairs or not all(
        type(value) in (int, float) and abs(value) <= FAR for p in points for value in p
    ):
        raise ValueError("points is no list of x, y in pixels")
    if kind == "polygon":
        return partial(polygons_mask, [[value for point in points for value in point]])
    if kind in ("rectangle", "circle", "mask") and len(points) != 2:
        raise ValueError(f"a {kind} has {len(points)} points; expected 2")
    if kind == "rectangle":
        (x0, y0), (x1, y1) = points
        return partial(box_mask, [min(x0, x1), min(y0, y1), abs(x1 - x0), abs(y1 - y0)])
    if kind == "circle":
        (x, y), edge = points
        radius = float(np.hypot(edge[0] - x, edge[1] - y))
        return partial(_ellipse, x, y, radius, radius)
    if kind == "mask":
        return partial(_bitmap, shape.get("mask"), points)
    raise ValueError(f"shape_type is {kind!r}; expected polygon, rectangle, circle or mask")


def _ellipse(x: float, y: float, wide: float, high: float, height: int, width: int) -> np.ndarray:
    turn = np.linspace(0, 2 * np.pi, 180, endpoint=False)
    outline = np.stack([x + wide * np.cos(turn), y + high * np.sin(turn)], axis=1)
    return polygons_mask([outline.ravel().tolist()], height, width)


def _bitmap(text: Any, points: Any, height: int, width: int) -> np.ndarray:
    """labelme's mask: a PNG as text, laid at its first point."""
    try:
        with Image.open(io.BytesIO(base64.b64decode(text, validate=True))) as image:
            drawn = np.asarray(image.convert("L")) > 0
    except Exception as error:
        raise ValueError(f"its mask is no PNG as text ({error})") from error
    left, top = (round(value) for value in points[0])
    return _laid(drawn, top, left, height, width)


def _laid(drawn: np.ndarray, top: int, left: int, height: int, width: int) -> np.ndarray:
    _check_inside(top, left, *drawn.shape, height, width)
    mask = np.zeros((height, width), bool)
    mask[top : top + drawn.shape[0], left : left + drawn.shape[1]] = drawn
    return mask


def _check_inside(top: int, left: int, high: int, wide: int, height: int, width: int) -> None:
    if min(top, left) < 0 or min(high, wide) < 1 or top + high > height or left + wide > width:
        raise ValueError("its mask sticks out of the picture")


def cvat(path: Path) -> Iterator[Sheet]:
    """The pictures of a "CVAT for images" file; none if it is some other XML.

    Raises:
        BadImage: it is cut short, or a field is missing or wrong; names the picture.
    """
    try:
        tree = ElementTree.parse(path).getroot()
    except (ElementTree.ParseError, ValueError, LookupError) as error:  # or no encoding of XML's
        raise BadImage(path, f"is not XML ({error}). Mend: export it again") from None
    if tree.tag != "annotations":
        return
    for image in tree.iter("image"):
        name = image.get("name") or ""
        try:
            if not name:
                raise ValueError("an image has no name")
            height, width = checked_size(*(_number(image, k) for k in ("height", "width")))
            shapes = [
                (_cvat_label(shape), f"{shape.tag} {number}", _cvat_shape(shape))
                for number, shape in enumerate(image)
                if shape.tag != "tag"  # says something of the whole picture
            ]
        except ValueError as error:
            raise BadImage(
                path, f"is wrong at image {name!r}: {error}. Mend: export it again"
            ) from error
        if shapes:
            yield Sheet(path, "CVAT", name, height, width, tuple(shapes))


def _number(element: ElementTree.Element, name: str) -> float:
    with suppress(ValueError):
        value = float(element.get(name, ""))
        if abs(value) <= FAR:
            return value
    raise ValueError(f"{element.tag} has {name} {element.get(name)!r}")


def _cvat_label(shape: ElementTree.Element) -> str:
    label = (shape.get("label") or "").strip()
    if not label:
        raise ValueError(f"a {shape.tag} has no label")
    return label


def _cvat_shape(shape: ElementTree.Element) -> Draw:
    if shape.tag not in _CVAT:
        raise ValueError(f"a {shape.tag} marks no area; expected {', '.join(_CVAT)}")
    if float(shape.get("rotation") or 0):
        raise ValueError(f"a {shape.tag} is turned; draw it as a polygon")
    return _CVAT[shape.tag](shape)


def _cvat_polygon(shape: ElementTree.Element) -> Draw:
    text = shape.get("points", "")
    try:
        values = [float(value) for point in text.split(";") for value in point.split(",")]
    except ValueError:
        raise ValueError(f"polygon has points {text[:40]!r}; expected x,y;x,y;...") from None
    return partial(polygons_mask, [values])


def _cvat_box(shape: ElementTree.Element) -> Draw:
    left, top, right, bottom = (_number(shape, k) for k in ("xtl", "ytl", "xbr", "ybr"))
    return partial(box_mask, [left, top, right - left, bottom - top])


def _cvat_ellipse(shape: ElementTree.Element) -> Draw:
    return partial(_ellipse, *(_number(shape, k) for k in ("cx", "cy", "rx", "ry")))


def _cvat_mask(shape: ElementTree.Element) -> Draw:
    """Run lengths along the rows of a window, outside first."""
    left, top, wide, high = (round(_number(shape, k)) for k in ("left", "top", "width", "height"))
    try:
        counts = [int(value) for value in shape.get("rle", "").split(",")]
    except ValueError:
        raise ValueError("mask has an rle that is no list of numbers") from None

    def draw(height: int, width: int) -> np.ndarray:
        _check_inside(top, left, high, wide, height, width)
        turned = run_lengths_mask({"size": [wide, high], "counts": counts}, wide, high)
        return _laid(turned.T, top, left, height, width)

    return draw


_CVAT = {
    "polygon": _cvat_polygon,
    "box": _cvat_box,
    "ellipse": _cvat_ellipse,
    "mask": _cvat_mask,
}

"""Outlines as masks: polygons, boxes and run lengths, drawn by pycocotools as COCO's own are.

Where objects overlap, the smaller one is on top. Drawn masks are kept as PNG files.
"""

from __future__ import annotations

import io
import json
import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pycocotools import mask as coco_mask

from hmnet_lite.data.photos.pictures import LIMIT, BadImage
from hmnet_lite.files import write_bytes, write_json

_FINISHED = "finished.json"
Shape = tuple[int, np.ndarray]  # class id and (height, width) bool


def polygons_mask(polygons: Sequence[Any], height: int, width: int) -> np.ndarray:
    """(height, width) bool: the union of polygons [x0, y0, x1, y1, ...] in pixels.

    Raises:
        ValueError: one has fewer than three points, or coordinates that are no numbers or lie far
            outside of the picture.
    """
    for polygon in polygons:
        _check_polygon(polygon, max(height, width))
    numbers = [[float(value) for value in polygon] for polygon in polygons]
    runs = [coco_mask.frPyObjects([polygon], height, width)[0] for polygon in numbers]
    return _decoded(coco_mask.merge(runs))


def _check_polygon(polygon: Any, longest: int) -> None:
    if not isinstance(polygon, list | tuple):
        raise ValueError(f"a polygon is {_short(polygon)}; expected a list of x, y, x, y, ...")
    if len(polygon) < 6 or len(polygon) % 2:
        raise ValueError(f"a polygon has {len(polygon)} numbers; expected x and y of 3 or more")
    _check_numbers("a polygon", polygon, longest)


def _check_numbers(name: str, values: Sequence[Any], longest: int) -> None:
    for value in values:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError(f"{name} holds {_short(value)}; expected numbers")
        if not abs(value) <= 10 * longest + 1000:  # (NaN is not, either)
            raise ValueError(f"{name} holds {_short(value)}, far outside of the picture")


def box_mask(box: Any, height: int, width: int) -> np.ndarray:
    """(height, width) bool of a box (left, top, width, height) in pixels.

    Raises:
        ValueError: it is no such box.
    """
    if not isinstance(box, list | tuple) or len(box) != 4:
        raise ValueError(f"a box is {_short(box)}; expected left, top, width, height")
    _check_numbers("a box", box, max(height, width))
    left, top, wide, high = box
    right, bottom = left + wide, top + high
    return polygons_mask([[left, top, right, top, right, bottom, left, bottom]], height, width)


def run_lengths_mask(value: Mapping[str, Any], height: int, width: int) -> np.ndarray:
    """(height, width) bool of COCO's run lengths, a list or compressed text.

    Raises:
        ValueError: they do not fit the picture.
    """
    size, counts = value.get("size"), value.get("counts")
    if not isinstance(size, list | tuple) or list(size) != [height, width]:
        raise ValueError(f"run lengths of {_short(size)}, the picture is {[height, width]}")
    counts = counts if isinstance(counts, list) else expand_counts(counts)
    whole = all(isinstance(n, int) and not isinstance(n, bool) and n >= 0 for n in counts)
    if not whole or sum(counts) != height * width:
        raise ValueError(f"run lengths do not add up to {height} × {width} pixels")
    return _decoded(
        coco_mask.frPyObjects({"size": [height, width], "counts": counts}, height, width)
    )


def _decoded(runs: Any) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # its arrays are made as NumPy 1 did
        return coco_mask.decode(runs).astype(bool)


def expand_counts(text: Any) -> list[int]:
    """Run lengths from COCO's compressed text, which pycocotools reads without checking it.

    Every character holds 5 bits, lowest group first, plus a bit that says whether more follow;
    from the fourth number on, what is kept is the difference to the number two before.

    Raises:
        ValueError: it is no such text, or ends inside a number.
    """
    characters = text.encode() if isinstance(text, str) else text
    if not isinstance(characters, bytes) or not all(48 <= c < 112 for c in characters):
        raise ValueError(f"run lengths are {_short(text)}; expected a list or COCO's text")
    counts: list[int] = []
    value = shift = 0
    for character in characters:
        bits = character - 48
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        if bits & 16:
            value -= 1 << shift
        counts.append(value + (counts[-2] if len(counts) > 2 else 0))
        value = shift = 0
    if shift:
        raise ValueError("compressed run lengths end inside a number")
    return counts


def segmentation_mask(entry: Mapping[str, Any], height: int, width: int) -> np.ndarray:
    """(height, width) bool of a COCO annotation: polygons, run lengths, or else its box.

    Raises:
        ValueError: it has none that can be drawn.
    """
    value = entry.get("segmentation")
    if isinstance(value, Mapping):
        return run_lengths_mask(value, height, width)
    if not isinstance(value, list | tuple | type(None)):
        raise ValueError(f"segmentation is {_short(value)}; expected polygons or run lengths")
    if value:
        flat = not isinstance(value[0], list | tuple)  # some tools forget the outer list
        return polygons_mask([value] if flat else value, height, width)
    if entry.get("bbox"):
        return box_mask(entry["bbox"], height, width)
    raise ValueError("it has neither a segmentation nor a bbox")


def checked_size(height: Any, width: Any) -> tuple[int, int]:
    """(height, width) of a picture as an annotation file tells it.

    Raises:
        ValueError: they are no such numbers.
    """
    for name, value in (("height", height), ("width", width)):
        if isinstance(value, bool) or not isinstance(value, int | float) or value != value // 1:
            raise ValueError(f"{name} is {_short(value)}; expected a number of pixels")
    if height < 1 or width < 1 or height * width > LIMIT:
        size = f"{_short(height)} × {_short(width)}"
        raise ValueError(f"the picture is {size} pixels; expected 1 to {LIMIT:,}")
    return int(height), int(width)


def paint(shapes: Sequence[Shape], height: int, width: int) -> np.ndarray:
    """(height, width) uint8 class ids of one picture's objects, the smaller on top."""
    mask = np.zeros((height, width), np.uint8)
    for class_id, shape in sorted(shapes, key=lambda s: -int(s[1].sum())):
        mask[shape] = class_id
    return mask


def keep_masks(
    folder: Path,
    jobs: Mapping[str, Callable[[], np.ndarray]],
    title: str,
    *,
    facts: Mapping[str, Any] | None = None,
    progress: bool,
) -> dict[str, BadImage]:
    """Draw what is not there yet; stopped half-way, it goes on where it stopped.

    Args:
        folder: where to put them.
        jobs: file name to what draws its mask, (height, width) uint8.
        title: of the progress bar.
        facts: kept beside the masks, for `kept_facts`.

    Returns:
        file name to what is wrong, for those that could not be drawn.

    Raises:
        OSError: a mask cannot be written.
    """
    from tqdm.auto import tqdm

    known = kept_facts(folder)
    if known is not None and jobs.keys() <= {*os.listdir(folder), *known["left_out"]}:
        return {name: BadImage(*why) for name, why in known["left_out"].items()}
    folder.mkdir(parents=True, exist_ok=True)
    done, bad = set(os.listdir(folder)), {}
    for name, drawn in tqdm(jobs.items(), desc=title, leave=False, disable=not progress):
        if name in done:
            continue
        try:
            mask = drawn()
        except BadImage as error:
            bad[name] = error
            continue
        file = io.BytesIO()
        Image.fromarray(mask).save(file, "png")
        write_bytes(folder / name, file.getvalue())
    told = {name: [str(error.path), error.reason] for name, error in bad.items()}
    write_json(folder / _FINISHED, {"of": title, "left_out": told, **(facts or {})})
    return bad


def kept_facts(folder: Path) -> dict[str, Any] | None:
    """What was kept beside finished masks; None where they are not finished."""
    with suppress(OSError, ValueError, AttributeError):
        facts = json.loads((folder / _FINISHED).read_text(encoding="utf-8"))
        if isinstance(facts.get("left_out"), dict):
            return facts
    return None


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."

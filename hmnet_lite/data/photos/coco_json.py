"""COCO's instance annotations as class-id masks, drawn once and kept as PNG files.

Polygons and run lengths are drawn here rather than by pycocotools, which has to be compiled on
some systems. A pixel belongs to a polygon when its centre lies inside (even-odd rule); pycocotools
rounds outlines on a grid five times finer, so the two differ along edges only.

Where objects overlap, the smaller one is on top. A crowd region counts as its class.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from hmnet_lite.data.photos.pictures import BadImage
from hmnet_lite.files import cache_folder, write_bytes, write_json

FORMAT = 1  # raise it whenever the same annotations would give other masks
CLASSES = 80


def draw_masks(annotations: Path, pictures: Path, *, progress: bool = True) -> Path:
    """Class-id masks of all annotated pictures, in a cache folder keyed by the annotation file.

    Args:
        annotations: instances_val2014.json or the like.
        pictures: the folder of its pictures.
        progress: show a bar (about 7 ms a picture). Stopped half-way, it goes on where it stopped.

    Returns:
        the folder; a mask has its picture's name, with .png.

    Raises:
        ValueError: the file is not COCO's JSON, or an annotation cannot be drawn; it is named.
        BadImage: it names a picture that is not in the folder.
        OSError: a mask cannot be written.
    """
    from tqdm.auto import tqdm

    found = annotations.stat()
    key = f"{FORMAT} {annotations.name} {found.st_size} {found.st_mtime_ns}"
    name = f"{annotations.stem}-{hashlib.sha256(key.encode()).hexdigest()[:16]}"
    folder = cache_folder() / "coco" / name
    if (folder / "finished.json").is_file():
        return folder
    images, drawn = _read(annotations)
    named = {images[image_id]["file_name"] for image_id in drawn}
    lost = sorted(named - set(os.listdir(pictures)))
    if lost:
        raise BadImage(
            pictures / lost[0],
            f"is not there, but {annotations.name} names it (and {len(lost) - 1} more that are "
            "not). Mend: unpack all pictures of that year, or take the annotations of the others",
        )
    folder.mkdir(parents=True, exist_ok=True)
    done = set(os.listdir(folder))
    for image_id, objects in tqdm(
        drawn.items(), desc=f"masks of {annotations.stem}", leave=False, disable=not progress
    ):
        image = images[image_id]
        target = f"{Path(image['file_name']).stem}.png"
        if target not in done:
            mask = draw_objects(objects, image["height"], image["width"])
            file = io.BytesIO()
            Image.fromarray(mask).save(file, "png")
            write_bytes(folder / target, file.getvalue())
    write_json(folder / "finished.json", {"masks": len(drawn), "of": annotations.name})
    return folder


def _read(annotations: Path) -> tuple[dict[int, dict], dict[int, list[tuple[int, dict]]]]:
    """Image id to its entry, and image id to (class 1 to 80, annotation) of its objects."""
    try:
        content = json.loads(annotations.read_bytes())
        images = {image["id"]: image for image in content["images"]}
        categories = sorted(category["id"] for category in content["categories"])
        numbers = {category: number for number, category in enumerate(categories, 1)}
        drawn = defaultdict(list)
        for entry in content["annotations"]:
            drawn[entry["image_id"]].append((numbers[entry["category_id"]], entry))
        unknown = sorted(drawn.keys() - images.keys())
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{annotations} is not COCO's instance JSON ({type(error).__name__}: {error}); "
            "expected images, categories and annotations. Mend: unpack it again from "
            "annotations_trainval2014.zip"
        ) from error
    if len(numbers) != CLASSES:
        raise ValueError(
            f"{annotations} has {len(numbers)} categories; expected COCO's {CLASSES}. Mend: take "
            "the instances file; one's own data goes into class folders (--dataset folder)"
        )
    if unknown:
        raise ValueError(f"{annotations} annotates image {unknown[0]}, which it does not list")
    return images, dict(sorted(drawn.items()))


def draw_objects(
    objects: Sequence[tuple[int, Mapping[str, Any]]], height: int, width: int
) -> np.ndarray:
    """(height, width) uint8 class ids of one picture's objects, the smaller on top.

    Args:
        objects: (class id, annotation), the annotation with a COCO `segmentation`.

    Raises:
        ValueError: a segmentation cannot be drawn; names the annotation.
    """
    mask = np.zeros((height, width), np.uint8)
    shapes = []
    for class_id, entry in objects:
        try:
            shapes.append((class_id, segmentation_mask(entry["segmentation"], height, width)))
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"annotation {entry.get('id')}: {error}") from error
    for class_id, shape in sorted(shapes, key=lambda s: -int(s[1].sum())):
        mask[shape] = class_id
    return mask


def segmentation_mask(segmentation: Any, height: int, width: int) -> np.ndarray:
    """(height, width) bool of a COCO segmentation: polygons (their union) or run lengths.

    Raises:
        ValueError: an odd number of coordinates, or run lengths that do not fit the picture.
    """
    if isinstance(segmentation, Mapping):
        if list(segmentation["size"]) != [height, width]:
            raise ValueError(
                f"run lengths of {segmentation['size']}, the picture is {[height, width]}"
            )
        counts = segmentation["counts"]
        return run_length_mask(
            counts if isinstance(counts, list) else expand_counts(counts), height, width
        )
    mask = np.zeros((height, width), bool)
    for polygon in segmentation:
        mask |= polygon_mask(np.asarray(polygon, float).reshape(-1, 2), height, width)
    return mask


def polygon_mask(points: np.ndarray, height: int, width: int) -> np.ndarray:
    """(height, width) bool: pixels whose centre is inside, by the even-odd rule.

    Each edge flips, in every row whose centre line it crosses, all pixels to the right of the
    crossing; the parity of the flips is the inside.

    Args:
        points: (n, 2) of x, y in pixels; the first pixel's centre is (0.5, 0.5).
    """
    mask = np.zeros((height, width), bool)
    x0, y0 = points.T
    x1, y1 = np.roll(points, -1, axis=0).T
    first, stop = (
        _first_centre(np.minimum(y0, y1), height),
        _first_centre(np.maximum(y0, y1), height),
    )
    counts = stop - first  # rows whose centre line each edge crosses
    if not counts.any():
        return mask
    edge = np.repeat(np.arange(len(points)), counts)
    row = first[edge] + np.arange(len(edge)) - np.repeat(np.cumsum(counts) - counts, counts)
    x = x0[edge] + (row + 0.5 - y0[edge]) * (x1 - x0)[edge] / (y1 - y0)[edge]
    column = _first_centre(x, width)
    top, left = row.min(), column.min()  # all that follows is inside the outline's own rectangle
    size = row.max() - top + 1, column.max() - left + 1
    flips = np.bincount((row - top) * size[1] + column - left, minlength=size[0] * size[1])
    inside = np.cumsum(flips.reshape(size), axis=1) % 2 == 1
    mask[top : top + size[0], left : left + size[1]] = inside[:, : width - left]
    return mask


def _first_centre(position: np.ndarray, length: int) -> np.ndarray:
    """The first pixel whose centre lies at or behind a position, 0 to length."""
    return np.clip(np.ceil(position - 0.5), 0, length).astype(int)


def run_length_mask(counts: Sequence[int], height: int, width: int) -> np.ndarray:
    """(height, width) bool from run lengths down the columns, outside first.

    Raises:
        ValueError: they are negative or do not add up to the picture.
    """
    counts = np.asarray(counts, dtype=np.int64)
    if (counts < 0).any() or counts.sum() != height * width:
        raise ValueError(f"run lengths add up to {counts.sum()}, not {height} × {width} pixels")
    flat = np.repeat(np.arange(len(counts)) % 2 == 1, counts)
    return flat.reshape(width, height).T


def expand_counts(text: str | bytes) -> list[int]:
    """Run lengths from COCO's compressed text.

    Every character holds 5 bits, lowest group first, plus a bit that says whether more follow;
    from the fourth number on, what is kept is the difference to the number two before.

    Raises:
        ValueError: the text ends inside a number.
    """
    counts: list[int] = []
    value = shift = 0
    for character in text.encode() if isinstance(text, str) else text:
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

"""Photographs to squares: fitted for a test, augmented for training, masks to boxes.

The sizes, angles and chances are the published ones (HMNet follows BAM: Lang et al., "Learning What
Not to Segment", CVPR 2022). Random numbers come from a `Stream`, so a key decides everything.
"""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageFilter
from scipy import ndimage

from hmnet_lite.data.episode import IGNORE
from hmnet_lite.data.stream import Stream

SCALE = (0.9, 1.1)  # of the square's side, for the picture's longer one
DEGREES = 10  # largest turn, either way
BLUR = 1.1  # standard deviation in pixels
TRIES = 10  # windows to try for one that shows the class


def fit(image: np.ndarray, mask: np.ndarray, side: int) -> tuple[np.ndarray, np.ndarray]:
    """The whole picture in the top left of a square, its longer side the square's.

    Args:
        image: (h, w, 3) uint8.
        mask: (h, w) uint8.
        side: of the square, in pixels.

    Returns:
        image (side, side, 3), black below or to the right; mask (side, side), `IGNORE` there.
    """
    return _window(*_resized(image, mask, side), 0, 0, side)


def unfit(shape: tuple[int, int]) -> tuple[int, slice, slice]:
    """How to come back from the square to a picture's own (height, width).

    Returns:
        the side to resize the square to, then the rows and columns that are the picture.
    """
    height, width = shape
    return max(shape), slice(0, height), slice(0, width)


def augment(
    image: np.ndarray, mask: np.ndarray, side: int, stream: Stream
) -> tuple[np.ndarray, np.ndarray]:
    """A random view for training: scaled, turned, perhaps blurred, perhaps mirrored, cropped.

    The published order and ranges, but for two things: the scale is relative to the square (the
    published one is to the photograph, whose sides are near the square's there and need not be on
    one's own), and a view shows some of the class: ten windows are tried, then `fit` serves.

    Arguments and result as in `fit`; what lies outside the picture is black and `IGNORE`.
    """
    scale = SCALE[0] + (SCALE[1] - SCALE[0]) * stream.below(1001) / 1000
    given = image, mask
    image, mask = _resized(*given, max(1, round(side * scale)))
    degrees = stream.between(-10 * DEGREES, 10 * DEGREES) / 10
    picture = Image.fromarray(image).rotate(degrees, Image.Resampling.BILINEAR)
    labels = Image.fromarray(mask).rotate(degrees, Image.Resampling.NEAREST, fillcolor=IGNORE)
    if stream.below(2):
        picture = picture.filter(ImageFilter.GaussianBlur(BLUR))
    image, mask = np.asarray(picture), np.asarray(labels)
    if stream.below(2):
        image, mask = image[:, ::-1], mask[:, ::-1]
    for _ in range(TRIES):
        # a picture smaller than the square lies anywhere in it: its window begins before it
        top, left = (
            stream.between(min(0, length - side), max(0, length - side)) for length in mask.shape
        )
        window = _window(image, mask, top, left, side)
        if (window[1] == 1).any():
            return window
    return fit(*given, side)


def boxes(mask: np.ndarray) -> np.ndarray:
    """The class as the filled bounding box of each of its connected components.

    Pixels that touch at a corner are connected. Ignored pixels outside the boxes stay ignored.

    Args:
        mask: (h, w) uint8 of 0, 1 and 255.
    """
    result = np.where(mask == IGNORE, IGNORE, 0).astype(np.uint8)
    labels, _ = ndimage.label(mask == 1, structure=np.ones((3, 3)))
    for rows, columns in ndimage.find_objects(labels):
        result[rows, columns] = 1
    return result


def _resized(image: np.ndarray, mask: np.ndarray, longest: int) -> tuple[np.ndarray, np.ndarray]:
    """Both, so that the longer side has `longest` pixels; the mask by nearest neighbour."""
    height, width = mask.shape
    scale = longest / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    picture = Image.fromarray(image).resize(size, Image.Resampling.BILINEAR)
    labels = Image.fromarray(mask).resize(size, Image.Resampling.NEAREST)
    return np.asarray(picture), np.asarray(labels)


def _window(
    image: np.ndarray, mask: np.ndarray, top: int, left: int, side: int
) -> tuple[np.ndarray, np.ndarray]:
    """The square at (top, left), which may begin before the picture and end behind it."""
    square, labels = np.zeros((side, side, 3), np.uint8), np.full((side, side), IGNORE, np.uint8)
    height, width = mask.shape
    rows = slice(max(top, 0), min(top + side, height))
    columns = slice(max(left, 0), min(left + side, width))
    there = (
        slice(rows.start - top, rows.stop - top),
        slice(columns.start - left, columns.stop - left),
    )
    square[there], labels[there] = image[rows, columns], mask[rows, columns]
    return square, labels

"""Looking at a picture through windows: for many small things, which one look would miss.

A network finds things of about the size it was trained on, a fifth of its square. Through windows
that overlap by half, each enlarged to the square, small things are of that size; where windows
overlap, their answers are averaged, the middle of a window counting most.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from PIL import Image

MOST = 16  # windows along the longer side of a picture
BATCH = 8  # windows a network is shown at once


def through_windows(
    image: Image.Image,
    window: float,
    side: int,
    ask: Callable[[np.ndarray], np.ndarray],
) -> np.ndarray:
    """The network's answer for a picture, put together from windows.

    Args:
        image: RGB, no smaller than a window either way.
        window: side of a window, in pixels of the image.
        side: what a window is enlarged to, a multiple of 16.
        ask: (windows, side, side, 3) uint8 to margins (windows, side / s, side / s), for any s
            that divides side / 2.

    Returns:
        margin (h, w) float32 over the whole image, as fine as `ask` answers.
    """
    half = side // 2
    width, height = (max(side, 8 * round(n * side / window / 8)) for n in image.size)
    large = np.asarray(image.resize((width, height), Image.Resampling.BILINEAR))
    corners = [(y, x) for y in _starts(height, side, half) for x in _starts(width, side, half)]
    total = weight = None
    for some in _batches(corners):
        answers = ask(np.stack([large[y : y + side, x : x + side] for y, x in some]))
        cells = answers.shape[-1]
        stride = side // cells
        if total is None:
            total = np.zeros((height // stride, width // stride), np.float32)
            weight = np.zeros_like(total)
            profile = np.hanning(cells + 2)[1:-1]
            share = np.outer(profile, profile).astype(np.float32)
        for (y, x), answer in zip(some, answers, strict=True):
            place = np.s_[y // stride : y // stride + cells, x // stride : x // stride + cells]
            total[place] += share * answer
            weight[place] += share
    return total / weight


def check_window(window: float, size: tuple[int, int]) -> None:
    """Raises ValueError unless a picture of (height, width) can be looked at through windows."""
    least, most = max(1, -(-max(size) // MOST)), min(size)
    if isinstance(window, bool) or not least <= window <= most:
        raise ValueError(
            f"window is {window} pixels; a picture of {size[1]} × {size[0]} (width × height) is "
            f"looked at through windows of {least} to {most}: take about twice the thing's size, "
            "or leave window out"
        )


def _starts(length: int, side: int, step: int) -> list[int]:
    """Where windows begin; the last one ends where the picture ends."""
    return sorted({*range(0, length - side, step), length - side})


def _batches(corners: list[tuple[int, int]]) -> Iterator[list[tuple[int, int]]]:
    for start in range(0, len(corners), BATCH):
        yield corners[start : start + BATCH]

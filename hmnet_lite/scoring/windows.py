"""Looking at a picture through windows: for many small things, which one look would miss.

A network finds things of about the size it was trained on. Through windows that overlap by half,
each enlarged to the network's square, small things are of that size; where windows overlap, their
answers are averaged, the middle of a window counting most.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import numpy as np
from PIL import Image

from hmnet_lite.scoring.pictures import Picture

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
        side: what a window is enlarged to.
        ask: (windows, side, side, 3) uint8 to margins (windows, side, side).

    Returns:
        margin (h, w) float32 over the whole image, which is enlarged as the windows are.
    """
    width, height = (max(side, round(n * side / window)) for n in image.size)
    large = np.asarray(image.resize((width, height), Image.Resampling.BILINEAR))
    corners = list(product(_starts(height, side), _starts(width, side)))
    total, weight = np.zeros((2, height, width), np.float32)
    profile = np.hanning(side + 2)[1:-1]
    share = np.outer(profile, profile).astype(np.float32)
    for first in range(0, len(corners), BATCH):
        places = [np.s_[y : y + side, x : x + side] for y, x in corners[first : first + BATCH]]
        answers = ask(np.stack([large[place] for place in places]))
        for place, answer in zip(places, answers, strict=True):
            total[place] += share * answer
            weight[place] += share
    return total / weight


def check_window(window: float, picture: Picture) -> None:
    """Raises ValueError unless a picture can be looked at through windows of so many pixels."""
    height, width = picture.size
    least, most = -(-max(height, width) // MOST), min(height, width)
    if isinstance(window, bool) or not least <= window <= most:
        raise ValueError(
            f"window is {window} pixels; {picture.name}, {width} × {height} (width × height), is "
            f"looked at through windows of {least} to {most}: take about twice the thing's size, "
            "or leave window out"
        )


def _starts(length: int, side: int) -> list[int]:
    """Where windows begin, half a side apart; the last one ends where the picture ends."""
    return sorted({*range(0, length - side, side // 2), length - side})

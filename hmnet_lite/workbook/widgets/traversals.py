"""The live picture of notebook 03: a picture that becomes a line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from hmnet_lite.workbook.widgets.parts import jpeg, live_picture


def traversal_chooser(image: np.ndarray, *, ratios: Sequence[int] = (1, 2, 4)) -> Any:
    """Choose a traversal and watch a picture being unrolled into a line.

    Controls: the direction, in how many patches a side the map is cut, and how much is read.

    Args:
        image: (height, width, 3) uint8, one pixel a cell; no side shorter than any ratio.
        ratios: numbers of patches a side to choose from; 1 is the whole map.
    """
    import ipywidgets

    from hmnet_lite.maps import reading_order
    from hmnet_lite.workbook.figures.parts import DIRECTION_NAMES
    from hmnet_lite.workbook.figures.traversals import unrolled

    size = image.shape[:2]
    length = size[0] * size[1]
    orders = {ratio: reading_order(*size, ratio).numpy() for ratio in ratios}

    def draw(direction: int, ratio: int, read: int) -> bytes:
        step = max(1, round(read / 100 * length))
        name = DIRECTION_NAMES[direction] + (f", {ratio} × {ratio} patches" if ratio > 1 else "")
        return jpeg(unrolled(image, orders[ratio][direction], size, step, title=name))

    wide = {"style": {"description_width": "110px"}, "layout": {"width": "480px"}}
    return live_picture(
        draw,
        direction=ipywidgets.Dropdown(
            options=[(name, k) for k, name in enumerate(DIRECTION_NAMES)],
            description="direction", **wide,
        ),
        ratio=ipywidgets.SelectionSlider(options=ratios, description="patches a side", **wide),
        read=ipywidgets.IntSlider(value=80, min=0, max=100, description="read (%)", **wide),
    )  # fmt: skip

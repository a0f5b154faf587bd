"""The live picture of notebook 04: what the state remembers of the support."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from hmnet_lite.workbook.widgets.parts import jpeg, live_picture


def scan_explorer(
    pictures: Mapping[str, np.ndarray],
    share: Callable[[str, int, int], np.ndarray],
    *,
    ratios: Sequence[int] = (1, 2, 4),
    size: tuple[int, int] = (16, 16),
) -> Any:
    """Step through the scan of a query and watch the support's share of the memory.

    Controls: the episode, the direction, the recap ratio, and how many pixels were read.

    Args:
        pictures: name of an episode to its query picture, (H, W, 3) uint8.
        share: (name, α, direction) to the support's share after every step, (length,) in [0, 1];
            asked once for each choice.
        ratios: the α to choose from, the last one first shown; 1 is a single reading. Each must
            divide both sides of `size`.
        size: (height, width) of the map that is scanned.
    """
    import ipywidgets

    from hmnet_lite.maps import reading_order
    from hmnet_lite.workbook.figures.parts import DIRECTION_NAMES
    from hmnet_lite.workbook.figures.state import scan_position

    share = lru_cache(maxsize=None)(share)
    orders = {ratio: reading_order(*size, ratio).numpy() for ratio in ratios}
    length = size[0] * size[1]

    def draw(episode: str, direction: int, ratio: int, step: int) -> bytes:
        along = share(episode, ratio, direction)
        order = orders[ratio][direction]
        return jpeg(scan_position(pictures[episode], order, size, along, step, ratio=ratio))

    wide = {"style": {"description_width": "100px"}, "layout": {"width": "520px"}}
    return live_picture(
        draw,
        episode=ipywidgets.Dropdown(options=list(pictures), description="episode", **wide),
        direction=ipywidgets.Dropdown(
            options=[(name, k) for k, name in enumerate(DIRECTION_NAMES)],
            description="direction",
            **wide,
        ),
        ratio=ipywidgets.Dropdown(
            options=[(f"before each patch, α = {r}" if r > 1 else "once", r) for r in ratios],
            value=ratios[-1],
            description="support read",
            **wide,
        ),
        step=ipywidgets.IntSlider(
            value=length // 3, min=1, max=length, description="pixels read", **wide
        ),
    )

"""The live picture of notebook 05: from where an output comes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import numpy as np

from hmnet_lite.workbook.widgets.parts import jpeg, live_picture


def source_explorer(
    pictures: Mapping[str, tuple[np.ndarray, np.ndarray]],
    listen: Callable[[str, int, int], tuple[tuple[np.ndarray, np.ndarray], Mapping]],
    *,
    size: tuple[int, int] = (16, 16),
    start: tuple[int, int] | None = None,
) -> Any:
    """Choose a query pixel and see from where its output comes.

    Controls: the episode, the pixel's row and its column.

    Args:
        pictures: name of an episode to its support and its query, (H, W, 3) uint8 each.
        listen: (name, row, column) to the maps and shares that `figures.qim.who_is_heard` takes;
            asked once for each choice.
        size: (height, width) of the query's map.
        start: (row, column) shown first; the middle by default.
    """
    import ipywidgets

    from hmnet_lite.workbook.figures.qim import who_is_heard

    listen = lru_cache(maxsize=None)(listen)
    start = start or (size[0] // 2, size[1] // 2)

    def draw(episode: str, row: int, column: int) -> bytes:
        maps, shares = listen(episode, row, column)
        return jpeg(who_is_heard(pictures[episode], maps, (row, column), shares))

    wide = {"style": {"description_width": "80px"}, "layout": {"width": "480px"}}
    return live_picture(
        draw,
        episode=ipywidgets.Dropdown(options=list(pictures), description="gap", **wide),
        row=ipywidgets.IntSlider(value=start[0], min=0, max=size[0] - 1, description="row", **wide),
        column=ipywidgets.IntSlider(
            value=start[1], min=0, max=size[1] - 1, description="column", **wide
        ),
    )

"""Figures of pictures as sequences: who is read when, who is near whom, who can see whom.

One function a figure: arrays in, a matplotlib Figure out.
"""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from hmnet_lite.maps import reading_times
from hmnet_lite.workbook.figures.palette import BLACK, VERMILLION, YELLOW
from hmnet_lite.workbook.figures.parts import DIRECTION_NAMES, STYLE, WIDTH, grid


@plt.rc_context(STYLE)
def order_numbers(orders: np.ndarray, size: tuple[int, int]) -> Figure:
    """When each direction reads each cell: numbers from 1, early cells dark.

    Args:
        orders: (directions, length) of row · width + column, from `maps.reading_order`.
        size: (height, width).
    """
    figure, axes = grid(len(orders), columns=4, largest=2.3, above=0.3)
    for ax, order, name in zip(axes, orders, DIRECTION_NAMES, strict=False):
        when = reading_times(order).reshape(size)
        ax.imshow(when, cmap="cividis")
        for (row, column), time in np.ndenumerate(when):
            dark = time < 0.6 * len(order)
            ax.text(column, row, time + 1, ha="center", va="center", fontsize=9,
                    color="white" if dark else "black")  # fmt: skip
        ax.set_title(name)
    return figure


@plt.rc_context(STYLE)
def distance_maps(orders: np.ndarray, size: tuple[int, int], cell: tuple[int, int]) -> Figure:
    """How many steps before `cell` the others were read; cells read after it are blank.

    Args:
        orders: (directions, length); size: (height, width); cell: (row, column).
    """
    figure, axes = plt.subplots(1, len(orders), figsize=(WIDTH, 2.7), layout="constrained")
    for ax, order, name in zip(np.atleast_1d(axes), orders, DIRECTION_NAMES, strict=False):
        times = reading_times(order).reshape(size)
        ago = (times[cell] - times).astype(float)
        ago[ago <= 0] = np.nan
        picture = ax.imshow(ago, cmap="cividis_r", norm=LogNorm(1, len(order)))
        ax.plot(cell[1], cell[0], "s", color=VERMILLION, markersize=5)
        ax.set_title(name)
        ax.set(xticks=[], yticks=[])
        ax.grid(False)
        ax.spines[:].set_visible(True)
    figure.colorbar(picture, ax=axes, label="steps ago", shrink=0.85)
    return figure


@plt.rc_context(STYLE)
def receptive_fields(fields: Mapping[str, np.ndarray], *, decades: int = 4) -> Figure:
    """Where an output pixel looks: each map relative to its largest value, on a log scale.

    Args:
        fields: title to (H, W), not negative.
        decades: how far below the largest value the colours reach; smaller values have the last
            colour, and only an exact zero is white.
    """
    figure, axes = plt.subplots(
        1, len(fields), figsize=(min(WIDTH, 3.2 * len(fields) + 1), 3.2), layout="constrained"
    )
    axes = np.atleast_1d(axes)
    for ax, (title, field) in zip(axes, fields.items(), strict=True):
        share = np.asarray(field, float) / np.max(field)
        share = np.where(share > 0, share.clip(10.0**-decades), np.nan)
        picture = ax.imshow(share, cmap="cividis", norm=LogNorm(10.0**-decades, 1))
        ax.set_title(title)
        ax.set(xticks=[], yticks=[])
        ax.grid(False)
        ax.spines[:].set_visible(True)
    label = "gradient, relative (white: zero)"
    figure.colorbar(picture, ax=axes, label=label, shrink=0.85, extend="min")
    return figure


@plt.rc_context(STYLE)
def unrolled(
    image: np.ndarray, order: np.ndarray, size: tuple[int, int], step: int, *, title: str = ""
) -> Figure:
    """A picture being read: on the left what is read so far, on the right the line it becomes.

    Args:
        image: (height, width, 3) uint8, one pixel a cell of the map.
        order: (length,) cells in reading order.
        size: (height, width).
        step: pixels read so far, 1 to length.
        title: above the picture.

    Raises:
        ValueError: step is not on the scan, or the image is not of that size.
    """
    if not 1 <= step <= len(order) or image.shape[:2] != size:
        raise ValueError(
            f"step {step} of {len(order)} on an image of {image.shape[:2]}; expected a step from 1 "
            f"to {len(order)} and an image of {size}"
        )
    figure, (left, right) = plt.subplots(
        1, 2, figsize=(WIDTH, 3.6), width_ratios=(1, 1.6), layout="constrained"
    )
    colours = image.reshape(-1, 3)
    read = np.zeros(len(order), bool)
    read[order[:step]] = True
    faded = np.where(read[:, None], colours, 255 - (255 - colours.astype(int)) // 5)
    left.imshow(faded.reshape(image.shape).astype(np.uint8))
    left.set_title(title)
    row, column = divmod(int(order[step - 1]), size[1])
    for colour, wide in ((BLACK, 3), (YELLOW, 1.5)):
        square = plt.Rectangle(
            (column - 0.5, row - 0.5), 1, 1, fill=False, edgecolor=colour, lw=wide
        )
        left.add_patch(square)
    # the line, wrapped like text so that it fits: one row of the strip is `size[1] * 2` steps
    wide = 2 * size[1]
    line = np.full((-(-len(order) // wide) * wide, 3), 255, np.uint8)
    line[:step] = colours[order[:step]]
    rows = line.reshape(-1, wide, 3)
    gaps = np.full((2 * len(rows) - 1, wide, 3), 255, np.uint8)
    gaps[::2] = rows
    right.imshow(gaps, aspect="auto", interpolation="nearest")
    right.set_title(f"the sequence after {step} of {len(order)} steps, wrapped every {wide}")
    for ax in (left, right):
        ax.set_axis_off()
    return figure

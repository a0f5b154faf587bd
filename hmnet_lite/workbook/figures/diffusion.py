"""Drawings of DiffewS (notebook 12): pictures in a row, and whom a query's pixel hears."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from hmnet_lite.workbook.figures.parts import BLACK, YELLOW, grid, outline, pale, picture


def pictures(named: Mapping[str, np.ndarray], *, columns: int | None = None) -> Figure:
    """Pictures with their names above, (height, width, 3) or (height, width), in [0, 1] or uint8.

    Those of two axes are drawn in grey, from their smallest to their largest value.
    """
    figure, axes = grid(len(named), columns=columns or len(named), largest=2.2, above=0.35)
    for ax, (name, image) in zip(axes, named.items(), strict=False):
        image = np.asarray(image)
        if image.ndim == 3 and image.dtype != np.uint8:
            image = image.clip(0, 1)
        ax.imshow(image, cmap="gray", interpolation="nearest")
        ax.set_title(name)
    return figure


def heard(
    query: np.ndarray,
    supports: Sequence[np.ndarray],
    masks: Sequence[np.ndarray],
    maps: Mapping[str, tuple[np.ndarray, np.ndarray]],
    pixel: tuple[int, int],
    side: int,
) -> Figure:
    """What a pixel of the query hears, one row a layer: on its own picture, then on each support.

    Args:
        query: (H, W, 3) uint8.
        supports, masks: (H, W, 3) and (H, W) uint8 each.
        maps: name of the layer to its two maps, (h, w) and (shots, h, w).
        pixel: row and column, on a map of `side` × `side` pixels.
        side: of the map that `pixel` is counted on.
    """
    columns = 1 + len(supports)
    figure, axes = grid(columns * len(maps), columns=columns, largest=2.6, above=0.35)
    for turn, (name, (own, others)) in enumerate(maps.items()):
        row = axes[turn * columns : (turn + 1) * columns]
        most = max(own.max(), others.max())
        picture(row[0], pale(query), f"{name}: itself, {100 * own.sum():.0f} %")
        _heat(row[0], own, query.shape, most)
        cell = query.shape[0] / side
        corner = pixel[1] * cell - 0.5, pixel[0] * cell - 0.5
        row[0].add_patch(Rectangle(corner, cell, cell, fill=False, ec=BLACK, lw=4))
        row[0].add_patch(Rectangle(corner, cell, cell, fill=False, ec=YELLOW, lw=2))
        pairs = zip(row[1:], supports, masks, others, strict=True)
        for shot, (ax, image, mask, weights) in enumerate(pairs):
            which = f" {shot + 1}" if len(supports) > 1 else ""
            picture(ax, pale(image), f"the support{which}, {100 * weights.sum():.0f} %")
            _heat(ax, weights, image.shape, most)
            outline(ax, mask)
    return figure


def _heat(ax: Axes, weights: np.ndarray, size: Sequence[int], most: float) -> None:
    """Weights laid over a picture: the more, the less is seen through."""
    shown = np.sqrt(np.asarray(weights) / most)
    ax.imshow(
        shown, cmap="Purples", alpha=shown, vmin=0, vmax=1.2, interpolation="nearest",
        extent=(-0.5, size[1] - 0.5, size[0] - 0.5, -0.5),
    )  # fmt: skip

"""Figures of the implicit attention: from which pixels of both pictures one output comes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from matplotlib.colors import LogNorm, to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from hmnet_lite.workbook.figures.palette import BLACK, QUERY, QUERY_INK, SUPPORT, YELLOW
from hmnet_lite.workbook.figures.parts import STYLE, WIDTH, pale, picture


@plt.rc_context(STYLE)
def heard_table(
    images: tuple[np.ndarray, np.ndarray],
    rows: Mapping[str, Sequence[tuple[np.ndarray, np.ndarray] | None]],
    pixel: tuple[int, int],
    columns: Sequence[str],
) -> Figure:
    """How loud each pixel is at one query pixel: a line a way of reading, a column a direction.

    Args:
        images: support and query, (H, W, 3) uint8.
        rows: name to one (support, query) pair of maps ≥ 0 for each of `columns`; a line's maps
            are drawn against its loudest pixel, the chosen one aside. None: nothing is drawn.
        pixel: (row, column) of the chosen pixel of the query's map.
        columns: what the pairs are of: directions, or their sum.

    Raises:
        ValueError: a line with another number of pairs.
    """
    side = WIDTH / (2 * len(columns) + 0.3)
    figure = plt.figure(figsize=(WIDTH, (side + 0.25) * len(rows) + 0.3), layout="constrained")
    axes = figure.subplots(len(rows), 2 * len(columns), squeeze=False)
    edge = 0.25 / WIDTH  # room for the lines' names on the left, the columns' above
    figure.get_layout_engine().set(
        w_pad=0.02, h_pad=0.02, wspace=0, hspace=0, rect=(edge, 0, 1 - edge, 0.94)
    )
    for line, (name, pairs) in zip(axes, rows.items(), strict=True):
        if len(pairs) != len(columns):
            raise ValueError(f"{name!r} has {len(pairs)} pairs; expected {len(columns)}")
        for turn, pair in enumerate(pairs):
            if pair is None:
                for ax in line[2 * turn : 2 * turn + 2]:
                    ax.set_axis_off()
                continue
            maps = [np.array(m, float) for m in pair]
            share = maps[0].sum() / max(maps[0].sum() + maps[1].sum(), 1e-12)
            rows_, columns_ = maps[1].shape
            maps[1][pixel] = 0  # a pixel hears itself the loudest; that would drown the rest
            loudest = max(m.max() for m in maps) or 1
            for ax, image, loud, colour in zip(
                line[2 * turn :], images, maps, (SUPPORT, QUERY), strict=False
            ):
                grey = np.asarray(image, float).mean(-1, keepdims=True)
                picture(ax, np.broadcast_to(pale(grey, 0.35), image.shape), "")
                veil = np.zeros((*loud.shape, 4))
                veil[..., :3] = to_rgb(colour)
                veil[..., 3] = 0.95 * np.sqrt(loud / loudest)  # the root lets faint ones show
                extent = (-0.5, image.shape[1] - 0.5, image.shape[0] - 0.5, -0.5)
                ax.imshow(veil, extent=extent, interpolation="nearest")
            height, width = images[1].shape[0] / rows_, images[1].shape[1] / columns_
            line[2 * turn + 1].add_patch(
                Rectangle(
                    (pixel[1] * width - 0.5, pixel[0] * height - 0.5), width, height,
                    facecolor=YELLOW, edgecolor=BLACK, linewidth=1.2,
                )
            )  # fmt: skip
            line[2 * turn].set_title(f"{100 * share:.0f} %", fontsize=10, color=SUPPORT)
            line[2 * turn + 1].set_title(f"{100 - 100 * share:.0f} %", fontsize=10, color=QUERY_INK)
        where = dict(transform=line[0].transAxes, ha="center", va="center", in_layout=False)
        line[0].text(-0.12, 0.5, name, rotation=90, **where)
    for turn, name in enumerate(columns):
        ax = axes[0, 2 * turn]
        ax.text(1.03, 1.19, name, transform=ax.transAxes, ha="center", in_layout=False)
    return figure


@plt.rc_context(STYLE)
def attention_matrices(matrices: Mapping[str, np.ndarray], *, decades: int = 4) -> Figure:
    """Implicit attention as heatmaps: a line an output pixel, the support's columns first.

    Args:
        matrices: title to (query steps, support steps + query steps) sizes ≥ 0, scaled here to each
            matrix's largest.
        decades: range of the logarithmic colours; what is exactly zero stays blank.
    """
    figure, axes = plt.subplots(
        1, len(matrices), figsize=(WIDTH, 3.4), layout="constrained", squeeze=False
    )
    for turn, (ax, (title, matrix)) in enumerate(zip(axes[0], matrices.items(), strict=True)):
        matrix = np.asarray(matrix, float)
        scaled = matrix / matrix.max()
        sns.heatmap(
            np.clip(scaled, 10.0**-decades, 1), mask=scaled == 0, ax=ax, cmap="viridis_r",
            norm=LogNorm(10.0**-decades, 1), xticklabels=False, yticklabels=False, rasterized=True,
            cbar=turn == len(matrices) - 1, cbar_kws={"label": "weight, 1 = largest"},
        )  # fmt: skip
        border = matrix.shape[1] - matrix.shape[0]
        ax.axvline(border, color=BLACK, linewidth=1)
        ax.set(title=title, xlabel="support | query, in the order of the scan")
        ax.spines[:].set_visible(True)
    axes[0, 0].set_ylabel("output pixel, in the order of the scan")
    return figure

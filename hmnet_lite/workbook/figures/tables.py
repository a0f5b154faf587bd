"""Figures that explain the task: tables of pictures, grids of pixels, the map of the network.

As in `figures`: one function a figure, arrays in, a matplotlib Figure out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from hmnet_lite.workbook.figures.parts import BLACK, BLUE, ORANGE, STYLE, WIDTH, outline, picture


@plt.rc_context(STYLE)
def picture_table(
    rows: Mapping[str, Sequence[np.ndarray]],
    columns: Sequence[str] = (),
    *,
    masks: Mapping[str, Sequence[np.ndarray]] | None = None,
    captions: Mapping[str, Sequence[str]] | None = None,
    side: float | None = None,
) -> Figure:
    """Pictures in labelled rows, under column titles.

    Args:
        rows: row's name to its pictures, (H, W, 3) uint8 each, as many in every row.
        columns: one title for each column, or none.
        masks: row's name to (H, W) masks of {0, 1, 255} to outline in its pictures.
        captions: row's name to a line above each of its pictures.
        side: of a picture, in inches; by default they fill the notebook's width.

    Raises:
        ValueError: no pictures, rows of different lengths, or another number of titles.
    """
    lengths = {name: len(line) for name, line in rows.items()}
    if not lengths or len(set(lengths.values())) != 1 or not all(lengths.values()):
        raise ValueError(f"rows hold {lengths} pictures; expected as many in each, at least one")
    count = next(iter(lengths.values()))
    if columns and len(columns) != count:
        raise ValueError(f"{len(columns)} column titles for {count} columns; expected one each")
    masks, captions = masks or {}, captions or {}
    label = 0.11 * max(map(len, rows)) + 0.1  # inches that the longest row name takes
    side = side or min((WIDTH - label) / count, 2.4)
    height = sum(side + (0.22 if name in captions else 0.04) for name in rows)
    height += 0.22 if columns else 0
    figure, axes = plt.subplots(
        len(rows), count, figsize=(label + side * count, height), layout="constrained",
        squeeze=False,
    )  # fmt: skip
    figure.get_layout_engine().set(w_pad=0.02, h_pad=0.02, wspace=0.0, hspace=0.0)
    for row, (line, (name, images)) in enumerate(zip(axes, rows.items(), strict=True)):
        tops = columns if columns and row == 0 else [""] * count
        words = zip(tops, captions.get(name, [""] * count), strict=True)
        for position, (ax, image, above) in enumerate(zip(line, images, words, strict=True)):
            picture(ax, image, "\n".join(filter(None, above)))
            if name in masks:
                outline(ax, masks[name][position])
        line[0].annotate(
            name, (0, 0.5), (-6, 0), xycoords="axes fraction", textcoords="offset points",
            ha="right", va="center", fontsize=STYLE["axes.titlesize"],
        )  # fmt: skip
    return figure


@plt.rc_context(STYLE)
def pixel_grids(grids: Mapping[str, np.ndarray], *, side: float = 1.9) -> Figure:
    """Small masks, every pixel with its value: 1 dark, 0 light, 255 hatched.

    Args:
        grids: title to (H, W) integers or bools in {0, 1, 255}.
        side: of a grid, in inches.
    """
    figure, axes = plt.subplots(
        1, len(grids), figsize=(side * len(grids), side + 0.3), layout="constrained", squeeze=False
    )
    for ax, (title, grid) in zip(axes[0], grids.items(), strict=True):
        grid = np.asarray(grid).astype(int)
        height, width = grid.shape
        ax.set(xlim=(0, width), ylim=(height, 0), aspect="equal", title=title)
        ax.set_axis_off()
        for (row, column), value in np.ndenumerate(grid):
            ax.add_patch(
                plt.Rectangle(
                    (column, row), 1, 1, facecolor=BLUE if value == 1 else "white",
                    edgecolor="0.6", hatch="////" if value == 255 else None,
                )
            )  # fmt: skip
            ax.text(
                column + 0.5, row + 0.5, value, ha="center", va="center",
                color="white" if value == 1 else "0.35", fontsize=10 if value == 255 else 12,
                bbox=dict(facecolor="white", edgecolor="none", pad=1) if value == 255 else None,
            )  # fmt: skip
    return figure


@plt.rc_context(STYLE)
def network_map() -> Figure:
    """HMNet-lite as boxes and arrows: what is frozen, what is computed, what is trained."""
    figure, ax = plt.subplots(figsize=(WIDTH, 4.1), layout="constrained")
    ax.set(xlim=(0, 100), ylim=(0, 46))
    ax.set_axis_off()
    boxes = {
        # name: (left, bottom, width, height, text, kind)
        "query": (0, 31, 14, 9, "query\npicture", "given"),
        "support": (0, 15, 14, 9, "support\npictures", "given"),
        "mask": (0, 2, 14, 7, "support masks", "given"),
        "backbone": (20, 15, 14, 25, "backbone\n\npicture →\nmap of\nfeatures", "frozen"),
        "prior": (41, 33, 15, 10, "prior maps\nlook-alikes of\nthe target", "computed"),
        "prototype": (41, 2, 15, 10, "prototype\nmean feature of\nthe target", "computed"),
        "mixer": (63, 11, 17, 24, "Mamba mixer\n\nthe query reads\nthe support", "trained"),
        "decoder": (86, 18, 14, 10, "decoder\nfeatures →\nmask", "trained"),
    }
    looks = {
        "given": dict(facecolor="white", edgecolor="0.4"),
        "frozen": dict(facecolor="#d9d9d9", edgecolor="0.4"),
        "computed": dict(facecolor="#fbe6c0", edgecolor=ORANGE),
        "trained": dict(facecolor="#cfe3f1", edgecolor=BLUE),
    }
    for left, bottom, width, height, text, kind in boxes.values():
        shape = "round,pad=0,rounding_size=1.2"
        ax.add_patch(
            FancyBboxPatch((left, bottom), width, height, boxstyle=shape, lw=1.5, **looks[kind])
        )
        ax.text(left + width / 2, bottom + height / 2, text, ha="center", va="center", fontsize=10)

    def arrow(*points: tuple[float, float]) -> None:
        for start, end in pairwise(points[:-1]):
            ax.plot(*zip(start, end, strict=True), color=BLACK, lw=1.3, solid_capstyle="round")
        style = dict(arrowstyle="-|>", mutation_scale=13, lw=1.3, color=BLACK, shrinkA=0, shrinkB=0)
        ax.add_patch(FancyArrowPatch(points[-2], points[-1], **style))

    arrow((14, 35.5), (20, 35.5))
    arrow((14, 19.5), (20, 19.5))
    arrow((34, 38), (41, 38))  # features to the prior
    arrow((34, 29), (63, 29))  # the query's features
    arrow((34, 18), (63, 18))  # the supports' features
    arrow((48.5, 18), (48.5, 12))  # supports to the prototype
    arrow((14, 5.5), (41, 5.5))  # masks to the prototype
    arrow((37.5, 5.5), (37.5, 35), (41, 35))  # masks to the prior
    arrow((56, 38), (71.5, 38), (71.5, 35))
    arrow((56, 7), (71.5, 7), (71.5, 11))
    arrow((80, 23), (86, 23))
    arrow((27, 40), (27, 44.5), (93, 44.5), (93, 28))  # fine features to the decoder
    arrow_less = dict(color=BLACK, lw=1.3)
    ax.plot([48.5, 48.5], [43, 44.5], **arrow_less)  # the priors go along
    ax.text(
        70, 45, "fine features and priors, for sharp edges", ha="center", va="bottom", fontsize=9
    )
    ax.text(61, 29.4, "query's features", ha="right", va="bottom", fontsize=9)
    ax.text(61, 18.4, "supports' · mask", ha="right", va="bottom", fontsize=9)
    ax.set_ylim(-4, 48)
    for turn, (kind, meaning) in enumerate(
        {
            "given": "given",
            "frozen": "frozen, learned elsewhere",
            "computed": "computed, nothing learned",
            "trained": "trained on episodes",
        }.items()
    ):
        left = (0, 14, 46, 76)[turn]
        ax.add_patch(plt.Rectangle((left, -3.5), 3, 2.4, lw=1.2, **looks[kind]))
        ax.text(left + 4, -2.3, meaning, va="center", fontsize=9)
    return figure

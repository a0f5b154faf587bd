"""Drawings of DiffewS (notebook 12): pictures in a row, and whom a query's pixel hears."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from hmnet_lite.workbook.figures.palette import BLACK, BLUE, GREYS, SKY, YELLOW, colours
from hmnet_lite.workbook.figures.parts import GAP_LABELS, STYLE, WIDTH, grid, outline, pale, picture


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


@plt.rc_context(STYLE)
def beside(gaps: Mapping[str, Mapping[str, Any]]) -> Figure:
    """Two networks and their mean at the gaps; how often both fail, and how often by chance.

    "better of both" takes for each episode the answer with the higher IoU: nobody could know.

    Args:
        gaps: gap to what `measured_diffusion.beside` gives.
    """
    figure, (left, right) = plt.subplots(
        1, 2, figsize=(WIDTH, 3.2), layout="constrained", width_ratios=(3, 2)
    )
    names = ("DiffewS", "HMNet-lite", "mean of both")
    looks = {name: dict(color=colour) for name, colour in colours(names).items()}
    looks["better of both"] = dict(facecolor="white", edgecolor=BLACK, hatch="//")
    x = np.arange(len(gaps))
    for turn, (name, look) in enumerate(looks.items()):
        values = [100 * told["mIoU"][name] for told in gaps.values()]
        bars = left.bar(x + 0.21 * (turn - 1.5), values, 0.2, label=name, **look)
        left.bar_label(bars, fmt="%.0f", fontsize=9)
    left.set(ylabel="mIoU (%)", ylim=(0, 108))
    left.legend(loc="upper right", ncols=2, fontsize=9)
    rates = {"both": ("both fail", SKY), "by chance": ("if neither knew of the other", GREYS[1])}
    for turn, (key, (name, colour)) in enumerate(rates.items()):
        values = [100 * told["together"][key] for told in gaps.values()]
        bars = right.bar(x + 0.36 * (turn - 0.5), values, 0.34, color=colour, label=name)
        right.bar_label(bars, fmt="%.0f", fontsize=9)
    right.set(ylabel="share of episodes (%)", ylim=(0, 100))
    right.legend(loc="upper left", fontsize=9)
    for ax in (left, right):
        ax.set_xticks(x, [GAP_LABELS[gap] for gap in gaps])
    return figure


@plt.rc_context(STYLE)
def shot_points(shots: Mapping[str, Mapping[str, Any]]) -> Figure:
    """What more supports change against one, with intervals, a panel a gap.

    Args:
        shots: gap to how the supports are used to {"mIoU", "minus one shot": [mean, low, high]}.
    """
    figure, axes = plt.subplots(
        1, len(shots), figsize=(WIDTH / 2 * len(shots), 2.4), sharex=True, sharey=True,
        layout="constrained", squeeze=False,
    )  # fmt: skip
    for ax, (gap, arms) in zip(axes[0], shots.items(), strict=True):
        _differences(ax, {n: x["minus one shot"] for n, x in arms.items() if n != "1"})
        one = 100 * arms["1"]["mIoU"]
        ax.set(title=f"{GAP_LABELS[gap]}: {one:.1f} % with one", xlabel="mIoU minus one shot's")
    axes[0, 0].set_ylabel("supports")
    return figure


@plt.rc_context(STYLE)
def arm_points(arms: Mapping[str, Mapping[str, Any]]) -> Figure:
    """Arms against the first one, with intervals over episodes, a panel a gap.

    Behind the name of an arm the number of its seeds; where there are several, a ring is a seed.

    Args:
        arms: name to {"seeds": numbers, "gaps": gap to {"mIoU": a value a seed, "minus the first":
            [mean, low, high], "of each seed": [difference, …]}}.
    """
    first, *others = arms
    gaps = arms[first]["gaps"]
    figure, axes = plt.subplots(
        1, len(gaps), figsize=(WIDTH, 1.2 + 0.3 * len(others)), sharex=True, sharey=True,
        layout="constrained",
    )  # fmt: skip
    for ax, gap in zip(axes, gaps, strict=True):
        told = {name: arms[name]["gaps"][gap] for name in others}
        _differences(ax, {f"{n} ({len(arms[n]['seeds'])})": x["minus the first"]
                          for n, x in told.items()})  # fmt: skip
        rings = [(100 * d, y) for y, x in enumerate(told.values())
                 if len(x["of each seed"]) > 1 for d in x["of each seed"]]  # fmt: skip
        if rings:
            ax.plot(*zip(*rings, strict=True), "o", mfc="none", mec=BLACK, ms=5, mew=0.8)
        own = 100 * np.mean(arms[first]["gaps"][gap]["mIoU"])
        ax.set(title=f"{GAP_LABELS[gap]}: {first} has {own:.1f} %", xlabel=f"mIoU minus {first}'s")
    axes[0].set_ylabel("arm (seeds)")
    return figure


def _differences(ax: Axes, found: Mapping[str, Sequence[float]]) -> None:
    """[mean, low, high] in [-1, 1] each, one under another, around zero."""
    values = 100 * np.array(list(found.values()))
    y = np.arange(len(found))
    ax.axvline(0, color=BLACK, linewidth=1)
    ax.hlines(y, values[:, 1], values[:, 2], color=BLUE)
    ax.plot(values[:, 0], y, "o", color=BLUE)
    ax.set_yticks(y, list(found))
    ax.set_ylim(len(found) - 0.5, -0.5)
    ax.grid(visible=True, axis="x")
    ax.grid(visible=False, axis="y")

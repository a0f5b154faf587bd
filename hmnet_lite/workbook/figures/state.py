"""Figures of the hidden state: what it holds, how it forgets, where the scan is.

One function a figure: arrays in, matplotlib Axes or a Figure out. Where parts of a
state or pieces of a line are drawn, the support's are blue and the query's orange.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator

from hmnet_lite.workbook.figures.palette import (
    BLACK,
    BLUE,
    CYCLE,
    ORANGE,
    QUERY,
    SUPPORT,
    VERMILLION,
    YELLOW,
    colours,
)
from hmnet_lite.workbook.figures.parts import (
    DASHES,
    DIRECTION_NAMES,
    STYLE,
    WIDTH,
    grid,
    joined,
    pale,
    picture,
)

BAND = (10, 90)  # percentiles over episodes
PATH_COLOURS = "plasma"  # dark blue to yellow, ever lighter: told apart by any colour vision


@plt.rc_context(STYLE)
def split_areas(
    support: np.ndarray, query: np.ndarray, start: int, *, ax: Axes | None = None
) -> Axes:
    """One state entry along the line [support, query], as what each has written.

    Args:
        support, query: (length,) parts of the state; drawn one on top of the other.
        start: the step at which the query begins.
        ax: where to draw; a new figure by default.

    Raises:
        ValueError: the parts differ in length, or `start` is outside them.
    """
    support, query = np.asarray(support, float), np.asarray(query, float)
    if support.shape != query.shape or not 0 <= start <= len(support):
        raise ValueError(
            f"the parts are {support.shape} and {query.shape} and the query starts at {start}; "
            "expected two lines of the same length and a start on them"
        )
    ax = ax or plt.subplots(figsize=(WIDTH, 2.8), layout="constrained")[1]
    step = np.arange(1, len(support) + 1)
    ax.bar(step, support, 0.85, color=SUPPORT, label="written by the support")
    ax.bar(step, query, 0.85, support, color=QUERY, hatch="//", edgecolor="white",
           label="written by the query")  # fmt: skip
    ax.axvline(start + 0.5, color=BLACK, linewidth=1)
    top = (support + query).max()
    ax.text(start + 0.35, 1.08 * top, "support ends", ha="right", va="top")
    ax.text(start + 0.65, 1.08 * top, "query begins", ha="left", va="top")
    ax.set(xlabel="step of the scan", ylabel="state h", xlim=(0.3, len(step) + 0.7))
    ax.set_ylim(0, 1.12 * top)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2)
    return ax


def over_episodes(values: np.ndarray) -> np.ndarray:
    """(directions, episodes, length) → (3, directions, length): mean, and the ends of `BAND`."""
    values = np.asarray(values, float)
    return np.stack([values.mean(1), *np.percentile(values, BAND, axis=1)])


@plt.rc_context(STYLE)
def forgetting_panels(
    rows: Mapping[str, Mapping[str, np.ndarray]],
    *,
    directions: Sequence[str] = DIRECTION_NAMES,
    segment: int = 0,
) -> Figure:
    """How much of the memory is the support's along the scan of the query, direction by direction.

    Args:
        rows: label of a measure to {name of a curve: (3, directions, length)}, what
            `over_episodes` gives of values in [-1, 1]. Drawn in percent, the mean on its band.
        directions: titles of the columns.
        segment: steps between recaps, marked by thin lines; 0: no recaps.

    Raises:
        ValueError: a curve of another shape.
    """
    figure, axes = plt.subplots(
        len(rows), len(directions), figsize=(WIDTH, 2.1 * len(rows) + 0.9), sharex=True,
        sharey=True, layout="constrained", squeeze=False,
    )  # fmt: skip
    low = 0.0
    for line, (measure, curves) in zip(axes, rows.items(), strict=True):
        shades = colours(curves)
        for turn, (name, values) in enumerate(curves.items()):
            values = np.asarray(values, float)
            if values.ndim != 3 or values.shape[:2] != (3, len(directions)):
                raise ValueError(
                    f"{name!r} has shape {values.shape}; expected (3, {len(directions)}, length): "
                    "mean, low and high in each direction"
                )
            colour, dash = shades[name], DASHES[turn % len(DASHES)]
            for ax, mean, bottom, top in zip(line, *(100 * values), strict=True):
                step = np.arange(1, len(mean) + 1)
                ax.fill_between(step, bottom, top, color=colour, alpha=0.2, linewidth=0)
                ax.plot(step, mean, dash, color=colour, label=name, linewidth=1.8)
                low = min(low, bottom.min())
        line[0].set_ylabel(f"{measure} (%)")
        for ax in line:
            if segment:
                for at in range(segment, values.shape[2], segment):
                    ax.axvline(at + 0.5, color="0.85", linewidth=0.6, zorder=0)
            ax.margins(x=0)
    for ax, title in zip(axes[0], directions, strict=True):
        ax.set_title(title)
    axes[0, 0].set_ylim(min(low, 0), 102)
    figure.supxlabel("query pixels read", fontsize=11)
    known = axes[0, 0].get_legend_handles_labels()
    figure.legend(*known, loc="outside upper center", ncols=len(known[1]))
    return figure


@plt.rc_context(STYLE)
def reading_orders(
    image: np.ndarray, orders: np.ndarray, size: tuple[int, int], *, ratio: int = 1
) -> Figure:
    """The path of every direction over the picture, dark at its start and yellow at its end.

    Args:
        image: (H, W, 3) uint8.
        orders: (directions, length) of row · width + column, from `maps.reading_order`.
        size: (height, width) of the map that is scanned.
        ratio: the map is cut into ratio × ratio patches, outlined in white.
    """
    figure, axes = grid(len(orders), columns=len(orders), largest=2.6, above=0.3)
    for ax, order, name in zip(axes, orders, DIRECTION_NAMES, strict=False):
        picture(ax, pale(image, 0.4), name)
        x, y = _centres(order, size, image.shape)
        _patch_lines(ax, image.shape, ratio)
        points = np.stack([x, y], axis=-1)
        path = LineCollection(
            np.stack([points[:-1], points[1:]], axis=1), array=np.arange(len(points) - 1),
            cmap=PATH_COLOURS, linewidths=1.8, capstyle="round",
        )  # fmt: skip
        ax.add_collection(path)
        ax.plot(*points[0], "o", color=VERMILLION, markeredgecolor="white", markersize=8)
        ax.plot(*points[-1], "s", color=BLACK, markeredgecolor="white", markersize=8)
    return figure


@plt.rc_context(STYLE)
def reading_plans(
    plans: Mapping[str, Sequence[tuple[str, int]]], *, ax: Axes | None = None
) -> Axes:
    """What is read when, as strips: "support" and "query" pieces as long as their steps.

    A piece ("recap", n) is drawn as a mark of no length: it takes no scan step.

    Args:
        plans: name to its pieces, (kind, steps).
        ax: where to draw; a new figure by default.

    Raises:
        ValueError: a kind that is not one of the three.
    """
    ax = ax or plt.subplots(figsize=(WIDTH, 0.75 * len(plans) + 0.9), layout="constrained")[1]
    colours = {"support": SUPPORT, "query": QUERY}
    drawn: dict = {}
    for row, pieces in enumerate(plans.values()):
        at = 0
        for kind, steps in pieces:
            if kind == "recap":
                (drawn[kind],) = ax.plot(
                    at, row - 0.43, "v", color=BLACK, markersize=6, linestyle="none", clip_on=False
                )
            elif kind in colours:
                bar = ax.barh(row, steps, 0.55, at, color=colours[kind], edgecolor="white",
                              linewidth=0.8)  # fmt: skip
                drawn[kind], at = bar, at + steps
            else:
                raise ValueError(f"a piece of kind {kind!r}; expected support, query or recap")
        ax.text(at, row, f"  {at} steps", va="center")
    ax.set_yticks(range(len(plans)), list(plans))
    ax.set(xlabel="scan steps", ylim=(len(plans) - 0.4, -0.7))
    ax.grid(False)
    ax.margins(x=0.12)
    ax.set_xlim(left=0)
    ax.spines["left"].set_visible(False)
    ax.tick_params(axis="y", length=0)
    ax.legend(drawn.values(), drawn, loc="lower center", bbox_to_anchor=(0.5, 1), ncols=3)
    return ax


@plt.rc_context(STYLE)
def affine_lines(
    before: np.ndarray,
    after: np.ndarray,
    P: np.ndarray,
    H_S: np.ndarray,
    *,
    unit: str = "",
    ax: Axes | None = None,
) -> Axes:
    """A recap of single state entries: what scanning the support gave, and the line P h + H_S.

    Args:
        before: (entries, n) values of the state before the support is read.
        after: (entries, n) values after it.
        P, H_S: (entries,) slope and height of each entry's line.
        unit: what the values are counted in, written at the axes.
        ax: where to draw; a new figure by default.
    """
    ax = ax or plt.subplots(figsize=(7, 3.8), layout="constrained")[1]
    ax.axline((0, 0), slope=1, color="0.5", linewidth=1.2, linestyle=":", label="nothing changes")
    for turn, (x, y, slope, height) in enumerate(zip(before, after, P, H_S, strict=True)):
        colour = CYCLE[turn % len(CYCLE)]
        ends = np.array([np.min(before), np.max(before)])
        ax.plot(ends, slope * ends + height, color=colour, linewidth=1.5,
                label=f"P = {slope:.2f}, H_S = {height:+.2f}")  # fmt: skip
        ax.plot(x, y, "os^Dv"[turn % 5], color=colour, markersize=6, markeredgecolor="white")
    ax.set(xlabel=joined("before the support is read", unit), ylabel=joined("after", unit))
    ax.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    return ax


@plt.rc_context(STYLE)
def ratio_sweep(
    pictures: Mapping[int, np.ndarray], lows: np.ndarray, highs: np.ndarray, steps: Sequence[str]
) -> Figure:
    """What α changes: the support as it is read, and the support's share within a patch.

    Args:
        pictures: α to the (H, W, 3) picture of the support at the size it is scanned.
        lows, highs: (ratios, episodes) share just before and just after a recap, in [0, 1].
        steps: a note for each ratio, written under its tick.
    """
    ratios = list(pictures)
    figure, axes = plt.subplot_mosaic(
        [[f"picture {r}" for r in ratios], ["share"] * len(ratios)],
        figsize=(WIDTH, 4.9), height_ratios=(1, 1.5), layout="constrained",
    )  # fmt: skip
    for r, image in pictures.items():
        ax = axes[f"picture {r}"]
        ax.imshow(image, interpolation="nearest")
        ax.set_title(f"α = {r}")
        ax.set_axis_off()
    ax, x = axes["share"], np.arange(len(ratios))
    series = {
        "just after a recap": (highs, BLUE, "o-"),
        "at the end of a patch": (lows, ORANGE, "s--"),
    }
    for name, (values, colour, style) in series.items():
        values = 100 * np.asarray(values)
        middle, (bottom, top) = values.mean(1), np.percentile(values, BAND, axis=1)
        ax.fill_between(x, bottom, top, color=colour, alpha=0.2, linewidth=0)
        ax.plot(x, middle, style, color=colour, label=name)
    ax.set_xticks(x, [f"{r}\n{note}" for r, note in zip(ratios, steps, strict=True)])
    ax.set(xlabel="recap ratio α", ylabel="support's share (%)", ylim=(0, 102),
           xlim=(-0.5, len(ratios) - 0.5))  # fmt: skip
    ax.legend(loc="lower right")
    return figure


@plt.rc_context(STYLE)
def scan_position(
    image: np.ndarray,
    order: np.ndarray,
    size: tuple[int, int],
    share: np.ndarray,
    step: int,
    *,
    ratio: int,
) -> Figure:
    """Where a scan is on the query, and how much of its memory is the support's there.

    Args:
        image: (H, W, 3) uint8.
        order: (length,) cells of the map in reading order.
        size: (height, width) of the map.
        share: (length,) in [0, 1].
        step: pixels read so far, from 1 to length.
        ratio: α; 1 is a single reading.

    Raises:
        ValueError: step is not on the scan.
    """
    if not 1 <= step <= len(order):
        raise ValueError(f"step is {step}; expected 1 to {len(order)}")
    figure, (left, right) = plt.subplots(
        1, 2, figsize=(WIDTH, 3.4), width_ratios=(1, 1.9), layout="constrained"
    )
    picture(left, pale(image), f"{step} of {len(order)} pixels read")
    _patch_lines(left, image.shape, ratio)
    cell = image.shape[0] / size[0], image.shape[1] / size[1]
    # the memory of the query: cells read since the last recap, the newest the strongest
    read = np.zeros((*size, 4))
    rows, columns = np.divmod(order[:step], size[1])
    since = (step - 1) // (len(order) // ratio**2) * (len(order) // ratio**2)
    read[rows, columns] = to_rgba(QUERY, 0.25)
    read[rows[since:], columns[since:]] = to_rgba(QUERY, 0.6)
    left.imshow(read, extent=(-0.5, image.shape[1] - 0.5, image.shape[0] - 0.5, -0.5))
    left.add_patch(
        plt.Rectangle(
            (columns[-1] * cell[1] - 0.5, rows[-1] * cell[0] - 0.5), cell[1], cell[0],
            facecolor=YELLOW, edgecolor=BLACK, linewidth=2,
        )
    )  # fmt: skip
    x, segment = np.arange(1, len(order) + 1), len(order) // ratio**2
    for at in range(segment, len(order), segment) if segment > 1 else ():
        right.axvline(at + 0.5, color="0.85", linewidth=0.8, zorder=0)
    right.fill_between(x, 100 * share, color=SUPPORT, alpha=0.25, linewidth=0)
    right.plot(x, 100 * share, color=SUPPORT)
    right.plot(step, 100 * share[step - 1], "o", color=YELLOW, markeredgecolor=BLACK, markersize=11)
    right.set_title(f"support's share of the memory here: {100 * share[step - 1]:.0f} %")
    right.set(xlabel="query pixels read", ylabel="support's share (%)", ylim=(0, 102))
    right.margins(x=0.02)
    return figure


def _centres(order: np.ndarray, size: tuple[int, int], shape: tuple[int, ...]):
    """x and y, in pixels of a picture of that shape, of cells of a map of that size."""
    rows, columns = np.divmod(np.asarray(order), size[1])
    return (columns + 0.5) * shape[1] / size[1] - 0.5, (rows + 0.5) * shape[0] / size[0] - 0.5


def _patch_lines(ax: Axes, shape: tuple[int, ...], ratio: int) -> None:
    casing = [withStroke(linewidth=3, foreground="0.3")]
    for i in range(1, ratio):
        for draw, side in ((ax.axhline, shape[0]), (ax.axvline, shape[1])):
            draw(i * side / ratio - 0.5, color="white", linewidth=1.5, path_effects=casing)

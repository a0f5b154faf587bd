"""Figures of how a scan is computed, what each way costs, and the state while it runs.

One function a figure: arrays in, matplotlib Axes or a Figure out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from hmnet_lite.scan.tree import tree_joins
from hmnet_lite.workbook.figures.palette import BLACK, BLUE, ORANGE, SIGNED, VERMILLION, colours
from hmnet_lite.workbook.figures.parts import DASHES, MARKERS, STYLE, WIDTH

FIGURE_SPACE = "\u2007"  # as wide as a digit: films are equally wide whatever their numbers


@plt.rc_context(STYLE)
def scan_tree(length: int = 8, *, ax: Axes | None = None) -> Axes:
    """The tree of an associative scan: steps on top, a row a round, finished prefixes orange.

    Args:
        length: of the sequence, a power of two.
        ax: where to draw; a new figure by default.
    """
    rounds = tree_joins(length)
    ax = ax or plt.subplots(figsize=(WIDTH, 0.62 * len(rounds) + 1.1), layout="constrained")[1]
    place = {(t, t): (t, 0) for t in range(1, length + 1)}
    for row, joins in enumerate(rounds, 1):
        made = {(left[0], right[1]): (right[1], row) for left, right in joins}
        for left, right in joins:
            for source in (left, right):
                ax.plot(*zip(place[source], made[left[0], right[1]], strict=True), color="0.6",
                        linewidth=1.2, zorder=1)  # fmt: skip
        place |= made
    for (first, last), (x, y) in place.items():
        colour = ORANGE if first == 1 else "white"
        text = str(first) if first == last else f"{first}-{last}"
        box = dict(boxstyle="round,pad=0.35", facecolor=colour, edgecolor=BLACK)
        ax.text(x, y, text, ha="center", va="center", zorder=3, fontsize=10, bbox=box)
    names = ["the steps", *(f"round {row}" for row in range(1, len(rounds) + 1))]
    ax.set_yticks(range(len(names)), names)
    ax.set(xlim=(0.4, length + 0.6), ylim=(len(rounds) + 0.5, -0.5), xticks=[])
    ax.grid(False)
    ax.tick_params(axis="y", length=0)
    for spine in ax.spines.values():
        spine.set_visible(False)
    return ax


@plt.rc_context(STYLE)
def matrix_product(M: np.ndarray, u: np.ndarray, y: np.ndarray) -> Figure:
    """y = M u as pictures: a column, a square, a column. Purple is negative, orange positive.

    Each of the three has its own scale, to the 99th percentile of its sizes; the bar is M's.

    Args:
        M: (length, length); u, y: (length,).
    """
    figure, axes = plt.subplots(
        1, 5, figsize=(WIDTH * 0.72, 4.0), width_ratios=(0.7, 0.5, 10, 0.5, 0.7),
        layout="constrained",
    )  # fmt: skip
    for ax, sign in zip(axes[1::2], "=·", strict=True):
        ax.text(0.5, 0.5, sign, ha="center", va="center", fontsize=20)
        ax.set_axis_off()
    for ax, values, name in zip(axes[::2], (y[:, None], M, u[:, None]), "yMu", strict=True):
        top = np.percentile(np.abs(values), 99)
        picture = ax.imshow(
            values, cmap=SIGNED, vmin=-top, vmax=top, aspect="auto", interpolation="nearest"
        )
        if name == "M":
            figure.colorbar(picture, ax=axes, label="weight in M", pad=0.02, extend="both")
        ax.set_title(f"${name}$")
        ax.set(xticks=[], yticks=[])
        ax.grid(False)
        ax.spines[:].set_visible(True)
    axes[2].set(xlabel="step s that writes", ylabel="step t that reads")
    return figure


def log_slope(x: Sequence[float], y: Sequence[float]) -> float:
    """Slope of the best line through log y against log x: the exponent of a power law."""
    return float(np.polyfit(np.log(x), np.log(y), 1)[0])


@plt.rc_context(STYLE)
def log_lines(
    panels: Mapping[str, Mapping[str, tuple[Sequence[float], Sequence[float]]]],
    xlabel: str,
    *,
    xlabels: Mapping[float, str] | None = None,
) -> Figure:
    """Costs against a size, both logarithmic: a power law is a straight line.

    Args:
        panels: what is measured (the vertical axis' label) to {name: (sizes, values)}; a name has
            the same colour, dash and marker in every panel.
        xlabel: what the sizes count.
        xlabels: ticks and their texts, if not the numbers themselves.
    """
    names = list(dict.fromkeys(name for lines in panels.values() for name in lines))
    shades = colours(names)
    figure, axes = plt.subplots(
        1, len(panels), figsize=(WIDTH, 4.0), layout="constrained", squeeze=False
    )
    handles = {}
    for ax, (ylabel, lines) in zip(axes[0], panels.items(), strict=True):
        for name, (x, y) in lines.items():
            turn = names.index(name)
            (handles[name],) = ax.plot(
                x, y, DASHES[turn % len(DASHES)], color=shades[name],
                marker=MARKERS[turn % len(MARKERS)], markersize=6, label=name,
            )  # fmt: skip
        ticks = sorted({value for x, _ in lines.values() for value in x})
        ax.set(xscale="log", yscale="log", xlabel=xlabel, ylabel=ylabel)
        ax.set_xticks(ticks, [(xlabels or {}).get(tick, f"{tick:g}") for tick in ticks])
        ax.xaxis.set_minor_formatter(NullFormatter())
        ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        ax.yaxis.set_minor_formatter(NullFormatter())
    columns = min(len(names), 5 if len("".join(names)) < 70 else 3)  # long names need the room
    figure.legend(handles.values(), handles, loc="outside upper center", ncols=columns)
    return figure


@plt.rc_context(STYLE)
def state_film(
    u: np.ndarray,
    delta: np.ndarray,
    A: np.ndarray,
    states: np.ndarray,
    *,
    step: int | None = None,
) -> Figure:
    """One channel while a sequence goes by: u and Δ, the decay, the state.

    With `step`, the later steps are left blank and a panel shows the state there: what was kept
    of the state before and what the step wrote.

    Args:
        u, delta: (length,).
        A: (state,), negative.
        states: (length, state).
        step: 1 to length, or None.

    Raises:
        ValueError: step is not on the sequence.
    """
    length, size = states.shape
    if step is not None and not 1 <= step <= length:
        raise ValueError(f"step is {step}; expected 1 to {length}")
    decay = np.exp(delta[:, None] * A)
    shape = [["u", "now"], ["delta", "now"], ["decay", "now"], ["h", "now"]]
    figure, axes = plt.subplot_mosaic(
        [row[: 1 if step is None else 2] for row in shape], figsize=(WIDTH, 5.4),
        height_ratios=(1, 1, 1.5, 1.5), layout="constrained",
        width_ratios=(1,) if step is None else (2.6, 1),
    )  # fmt: skip
    x, shown = np.arange(1, length + 1), length if step is None else step
    for name, values, colour in (("u", u, BLACK), ("delta", delta, VERMILLION)):
        axes[name].bar(x[:shown], values[:shown], 0.85, color=colour)
        low = min(values.min(), 0)
        axes[name].set_ylim(1.1 * low, 1.1 * values.max())
    largest = np.abs(states).max()
    scales = {"decay": (decay, "viridis", 0, 1), "h": (states, SIGNED, -largest, largest)}
    for name, (values, cmap, low, high) in scales.items():
        seen = np.where(x[:, None] <= shown, values, np.nan)
        picture = axes[name].imshow(
            seen.T, cmap=cmap, vmin=low, vmax=high, aspect="auto", interpolation="nearest",
            extent=(0.5, length + 0.5, size + 0.5, 0.5),
        )  # fmt: skip
        bar = figure.colorbar(picture, ax=axes[name], pad=0.01, aspect=8)
        bar.ax.yaxis.set_major_formatter(lambda value, _: f"{value:g}".ljust(6, FIGURE_SPACE))
        axes[name].grid(False)
        axes[name].set_yticks((1, size), [f"A = {A[0]:g}", f"A = {A[-1]:g}"])
    labels = {"u": "input u", "delta": "step Δ", "decay": "decay exp(ΔA)", "h": "state h"}
    for name, label in labels.items():
        axes[name].set_title(label, loc="left")
        axes[name].set_xlim(0.5, length + 0.5)
        axes[name].tick_params(labelbottom=name == "h")
    axes["h"].set_xlabel("step t")
    if step is not None:
        before = states[step - 2] if step > 1 else np.zeros(size)
        _state_now(axes["now"], decay[step - 1] * before, states[step - 1], largest, step)
        for name in labels:
            axes[name].axvline(step, color=BLACK, linewidth=1, linestyle=":")
    return figure


def _state_now(ax: Axes, kept: np.ndarray, state: np.ndarray, largest: float, step: int) -> None:
    entries = np.arange(1, len(state) + 1)
    ax.barh(entries - 0.2, kept, 0.36, color=BLUE, label="kept: exp(ΔA) h before")
    ax.barh(entries + 0.2, state - kept, 0.36, color=ORANGE, hatch="//", edgecolor="white",
            label="written: Δ u B")  # fmt: skip
    ax.plot(state, entries, "D", color=BLACK, markersize=5, label="h = sum of both")
    ax.axvline(0, color="0.5", linewidth=1)
    ax.set(xlim=(-1.1 * largest, 1.1 * largest), ylim=(len(state) + 0.6, 0.4))
    ax.set(yticks=entries, xlabel=f"entries 1-{len(state)} of h at step {step}")
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1), fontsize=9)


@plt.rc_context(STYLE)
def roofline(
    points: Mapping[str, tuple[float, float]], exp_rate: float, bandwidth: float,
    *, ax: Axes | None = None,
) -> Axes:  # fmt: skip
    """State updates a second against updates a byte, under what the machine can do at most.

    Args:
        points: name to (updates per byte moved, updates per second).
        exp_rate: exponentials a second, one for each update: the flat roof.
        bandwidth: bytes a second to and from memory: the sloping roof.
        ax: where to draw; a new figure by default.
    """
    ax = ax or plt.subplots(figsize=(WIDTH, 4.4), layout="constrained")[1]
    sides = np.array([x for x, _ in points.values()] + [exp_rate / bandwidth])
    x = np.geomspace(sides.min() / 3, sides.max() * 6, 200)
    ax.fill_between(x, np.minimum(exp_rate, x * bandwidth), color="0.93", linewidth=0)
    ax.plot(x, np.minimum(exp_rate, x * bandwidth), color=BLACK, label="roof of this machine")
    shades = colours(points)
    for turn, (name, (x_, y_)) in enumerate(points.items()):
        ax.plot(x_, y_, MARKERS[turn % len(MARKERS)], color=shades[name], markersize=11,
                markeredgecolor="white", linestyle="none", label=name)  # fmt: skip
    ax.set(xscale="log", yscale="log", xlim=(x[0], x[-1]), xlabel="state updates per byte moved",
           ylabel="state updates per second")  # fmt: skip
    ax.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    return ax

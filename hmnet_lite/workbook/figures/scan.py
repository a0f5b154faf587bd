"""Figures of the scan itself: sampled curves, kernels as matrices, selection, scores over seeds.

One function a figure: arrays in, matplotlib Axes or a Figure out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import SymLogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from hmnet_lite.workbook.figures.palette import BLACK, BLUE, GREYS, VERMILLION, colours
from hmnet_lite.workbook.figures.parts import DASHES, MARKERS, STYLE, WIDTH


@plt.rc_context(STYLE)
def sampled_curves(
    time: np.ndarray,
    exact: np.ndarray,
    inflow: np.ndarray,
    samples: Mapping[str, tuple[np.ndarray, np.ndarray]],
    *,
    xlabel: str = "time",
    ylabel: str = "state h",
    limits: tuple[float, float] | None = None,
) -> Figure:
    """A state in continuous time, what sampling rules make of it, and its input below.

    Args:
        time, exact, inflow: (n,) the curve and the input, finely.
        samples: rule to (times, values), drawn as markers joined by thin lines.
        limits: of the vertical axis; by default those of the curve with half its height of room.
            Rules that leave it say so in the legend.

    Raises:
        ValueError: `exact` or `inflow` have another length than `time`.
    """
    time, exact, inflow = (np.asarray(x, float) for x in (time, exact, inflow))
    if not time.shape == exact.shape == inflow.shape:
        raise ValueError(
            f"time, exact and inflow have shapes {time.shape}, {exact.shape} and {inflow.shape}; "
            "expected the same"
        )
    if limits is None:
        low, high = min(exact.min(), 0), max(exact.max(), 0)
        limits = (low - 0.3 * (high - low), high + 0.3 * (high - low))
    figure, (ax, below) = plt.subplots(
        2, 1, figsize=(WIDTH, 4.4), height_ratios=(5, 1), sharex=True, layout="constrained"
    )
    ax.axhline(0, color="0.6", linewidth=1)
    ax.plot(time, exact, color="0.72", linewidth=6, label="the true curve", solid_capstyle="round")
    shades = colours(samples)
    for turn, (name, (at, values)) in enumerate(samples.items()):
        values = np.asarray(values, float)
        outside = not ((values >= limits[0]) & (values <= limits[1])).all()
        ax.plot(
            at, np.clip(values, -1e6, 1e6), color=shades[name], linewidth=1,
            marker=MARKERS[turn % len(MARKERS)], markersize=7 - turn,
            markevery=max(1, len(values) // 50),
            label=f"{name} (leaves the picture)" if outside else name,
        )  # fmt: skip
    ax.set(ylabel=ylabel, ylim=limits)
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=4)
    below.fill_between(time, inflow, step="post", color=BLACK, alpha=0.25, linewidth=0)
    below.set(xlabel=xlabel, ylabel="input u", ylim=(0, 1.1 * max(inflow.max(), 1e-12)))
    below.margins(x=0.01)
    return figure


@plt.rc_context(STYLE)
def against_step(
    x: np.ndarray,
    curves: Mapping[str, np.ndarray],
    *,
    xlabel: str,
    ylabel: str,
    mark: tuple[float, float] | None = None,
    mark_label: str = "",
    ax: Axes | None = None,
) -> Axes:
    """Positive curves on two logarithmic axes, for errors and ratios that grow with the step.

    Args:
        x: (n,) positive.
        curves: name to (n,) values; zeros and what is not finite are left out.
        mark: a range of x to shade, and `mark_label` what it is.
        ax: where to draw; a new figure by default.
    """
    ax = ax or plt.subplots(figsize=(WIDTH, 3.6), layout="constrained")[1]
    if mark:
        ax.axvspan(*mark, color=GREYS[3], linewidth=0, label=mark_label)
    shades = colours(curves)
    for turn, (name, values) in enumerate(curves.items()):
        values = np.asarray(values, float)
        seen = np.where(np.isfinite(values) & (values > 0), values, np.nan)
        ax.plot(x, seen, DASHES[turn % len(DASHES)], color=shades[name], label=name)
    ax.set(xscale="log", yscale="log", xlabel=xlabel, ylabel=ylabel)
    ax.legend(loc="upper left", frameon=mark is not None, framealpha=1, edgecolor="none")
    return ax


@plt.rc_context(STYLE)
def mixing_matrices(matrices: Mapping[str, np.ndarray], *, threshold: float = 1e-3) -> Figure:
    """Which input (column) reaches which output (row), and how strongly; one colour scale for all.

    Args:
        matrices: name to (length, length); future inputs (above the diagonal) are left white.
        threshold: shares of the largest entry below which the colour scale is linear.

    Raises:
        ValueError: a matrix is not square, or has weight above its diagonal.
    """
    for name, matrix in matrices.items():
        if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
            raise ValueError(f"{name!r} has shape {matrix.shape}; expected a square matrix")
        if np.abs(np.triu(matrix, 1)).max(initial=0) > 0:
            raise ValueError(f"{name!r} has weight above its diagonal: an output from the future")
    largest = max(np.abs(matrix).max() for matrix in matrices.values())
    size = WIDTH, 0.4 + 0.82 * WIDTH / max(len(matrices), 2)
    figure, axes = plt.subplots(1, len(matrices), figsize=size, squeeze=False, layout="constrained")
    norm = SymLogNorm(threshold * largest, vmin=-largest, vmax=largest)
    for ax, (name, matrix) in zip(axes.flat, matrices.items(), strict=True):
        future = np.triu(np.ones_like(matrix, dtype=bool), 1)
        shown = ax.imshow(np.ma.array(matrix, mask=future), cmap="PuOr_r", norm=norm)
        ax.set(title=name, xlabel="input s", ylabel="output t")
        ax.grid(False)
        for axis in (ax.xaxis, ax.yaxis):
            axis.set_major_locator(MaxNLocator(6, integer=True))
    figure.colorbar(shown, ax=axes, label="weight of input s in output t", shrink=0.8)
    return figure


@plt.rc_context(STYLE)
def memory_panels(
    inputs: np.ndarray, marked: np.ndarray, states: Mapping[str, np.ndarray]
) -> Figure:
    """A stream with a few marked inputs, and below it what memories hold at each step.

    Args:
        inputs: (length,) the stream.
        marked: (length,) bool: the inputs to remember.
        states: name to (length,) the state after each step, one panel each.

    Raises:
        ValueError: lengths differ.
    """
    inputs, marked = np.asarray(inputs, float), np.asarray(marked, bool)
    for name, state in {"marked": marked, **states}.items():
        if np.shape(state) != inputs.shape:
            raise ValueError(f"{name!r} has shape {np.shape(state)}; expected {inputs.shape}")
    step = np.arange(1, len(inputs) + 1)
    figure, axes = plt.subplots(
        1 + len(states), 1, figsize=(WIDTH, 1.5 * (1 + len(states))), sharex=True, sharey=True,
        layout="constrained",
    )  # fmt: skip
    axes[0].vlines(step[~marked], 0, inputs[~marked], color="0.6", label="to ignore")
    axes[0].vlines(
        step[marked], 0, inputs[marked], color=VERMILLION, linewidth=3, label="to remember"
    )
    axes[0].plot(step[marked], inputs[marked], "o", color=VERMILLION)
    axes[0].legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2)
    axes[0].set_ylabel("input u")
    last = np.maximum.accumulate(np.where(marked, np.arange(len(inputs)), -1))
    wanted = np.where(last >= 0, inputs[np.maximum(last, 0)], np.nan)
    for ax, (name, state) in zip(axes[1:], states.items(), strict=True):
        ax.step(step, wanted, color=VERMILLION, linewidth=5, alpha=0.35, where="mid")
        ax.plot(step, state, color=BLUE)
        ax.set_ylabel("state h")
        ax.set_title(name, loc="left")
    axes[-1].set(xlabel="step")
    axes[-1].margins(x=0.01)
    return figure


@plt.rc_context(STYLE)
def seed_bars(
    scores: Mapping[str, Sequence[float]],
    *,
    chance: float,
    ylabel: str = "accuracy (%)",
    ax: Axes | None = None,
) -> Axes:
    """Means in percent as bars, every seed as a dot, chance as a line.

    Args:
        scores: name to one value in [0, 1] a seed.
        chance: what guessing gives, in [0, 1].
        ax: where to draw; a new figure by default.

    Raises:
        ValueError: a name without scores, or scores outside [0, 1].
    """
    for name, values in scores.items():
        if not len(values) or not all(0 <= value <= 1 for value in values):
            raise ValueError(f"{name!r} has scores {list(values)}; expected shares in [0, 1]")
    ax = ax or plt.subplots(figsize=(WIDTH, 0.9 + 0.55 * len(scores)), layout="constrained")[1]
    shades = colours(scores)
    for row, (name, values) in enumerate(scores.items()):
        percent = 100 * np.asarray(values, float)
        ax.barh(row, percent.mean(), 0.6, color=shades[name])
        offsets = np.linspace(-0.15, 0.15, len(percent)) if len(percent) > 1 else [0]
        ax.plot(percent, row + np.asarray(offsets), "o", color=BLACK, markersize=5, zorder=3,
                markeredgecolor="white")  # fmt: skip
        ax.annotate(f"{percent.mean():.0f}", (percent.max(), row), (8, 0),
                    textcoords="offset points", va="center")  # fmt: skip
    ax.axvline(100 * chance, color=BLACK, linestyle="--", linewidth=1.5)
    ax.annotate("chance", (100 * chance, -0.5), (4, 2), textcoords="offset points", va="bottom")
    ax.set_yticks(range(len(scores)), list(scores))
    ax.set(xlabel=ylabel, xlim=(0, 107), ylim=(len(scores) - 0.5, -0.85))
    ax.grid(axis="x", color=GREYS[2])
    ax.grid(False, axis="y")
    return ax

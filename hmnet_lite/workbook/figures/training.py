"""Figures of training and its results: curves of a run, bars of a report."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from hmnet_lite.scoring.evaluate import FLOORS
from hmnet_lite.scoring.report import METRICS, Cell, Report
from hmnet_lite.workbook.figures.palette import BLACK, CYCLE, colours
from hmnet_lite.workbook.figures.parts import DASHES, GAP_LABELS, STYLE, WIDTH


@plt.rc_context(STYLE)
def training_curves(
    histories: Mapping[str, Any], *, against: str = "step", smooth: float = 0.05
) -> Figure:
    """Loss and IoU of the training batches, one colour a run: each step faint, a running mean bold.

    Args:
        histories: name to an object with ``loss``, ``iou`` (in [0, 1]) and ``seconds``, one entry a
            step, such as :class:`hmnet_lite.training.loop.History`.
        against: "step" or "seconds" (shown in minutes) on the horizontal axis.
        smooth: width of the running mean, as a share of the run.

    Raises:
        ValueError: ``against`` is neither, or a run has no steps.
    """
    if against not in ("step", "seconds"):
        raise ValueError(f"against is {against!r}; expected 'step' or 'seconds'")
    figure, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, 3.4), layout="constrained")
    shades = colours(histories)
    for turn, (name, history) in enumerate(histories.items()):
        steps = len(history.loss)
        if not steps:
            raise ValueError(f"{name!r} has no steps to draw; expected at least one")
        colour, dash = shades[name], DASHES[turn % len(DASHES)]
        x = np.arange(1, steps + 1) if against == "step" else np.asarray(history.seconds) / 60
        for ax, y in ((left, np.asarray(history.loss)), (right, 100 * np.asarray(history.iou))):
            ax.plot(x, y, color=colour, alpha=0.2, linewidth=0.8)
            ax.plot(x, running_mean(y, round(smooth * steps)), dash, color=colour, label=name)
    for ax, label in ((left, "loss"), (right, "IoU of the batch (%)")):
        ax.set(ylabel=label, xlabel="step" if against == "step" else "training time (minutes)")
        ax.margins(x=0)
    left.set_ylim(bottom=0)
    right.set_ylim(0, 100)
    if len(histories) > 1:
        figure.legend(
            *left.get_legend_handles_labels(), loc="outside upper center", ncols=len(histories)
        )
    return figure


def running_mean(values: np.ndarray, width: int) -> np.ndarray:
    """Mean of the up to ``width`` values centred on each; fewer at the ends, so nothing is cut."""
    half = max(width, 1) // 2
    sums = np.concatenate([[0.0], np.cumsum(values, dtype=float)])
    at = np.arange(len(values))
    low, high = np.maximum(at - half, 0), np.minimum(at + half + 1, len(values))
    return (sums[high] - sums[low]) / (high - low)


@plt.rc_context(STYLE)
def results_bars(
    report: Report,
    *,
    metric: str = "miou",
    floors: Collection[str] = tuple(FLOORS),
    ax: Axes | None = None,
) -> Axes:
    """Methods x gaps as bars in percent, whiskers for the spread over seeds, floors as lines.

    Args:
        report: what to show.
        metric: "miou" or "fb_iou".
        floors: methods drawn as lines across each gap's bars instead of bars.
        ax: where to draw; a new figure by default.

    Raises:
        ValueError: the report has no method but floors, or no such metric.
    """
    bars = [method for method in report.methods if method not in floors]
    lines = [method for method in report.methods if method in floors]
    if not bars:
        raise ValueError(
            f"nothing to draw bars of: the report has {', '.join(lines) or 'no rows'}; expected "
            "a method that is not a floor"
        )
    ax = ax or plt.subplots(figsize=(WIDTH, 4.2), layout="constrained")[1]
    halo = [withStroke(linewidth=3, foreground="white")]
    width, spread, handles = 0.8 / len(bars), False, []
    shades = colours(bars)
    for turn, method in enumerate(bars):
        at, cells = _where_tested(report, method, metric)
        x = at + (turn - (len(bars) - 1) / 2) * width
        means = np.array([100 * cell.mean for cell in cells])
        stds = np.array([100 * (cell.std or 0) for cell in cells])
        handles.append(
            ax.bar(
                x, means, 0.92 * width, label=method, color=shades[method],
                edgecolor="white", hatch="//" if turn >= len(CYCLE) else None,
            )
        )  # fmt: skip
        several = [cell.std is not None for cell in cells]
        if any(several):
            spread = True
            ax.errorbar(
                x[several], means[several], stds[several], fmt="none", ecolor="0.2", capsize=4,
                elinewidth=1.5,
            )  # fmt: skip
        for position, mean, std in zip(x, means, stds, strict=True):
            ax.annotate(
                f"{mean:.1f}", (position, mean + std), (0, 3), textcoords="offset points",
                ha="center", fontsize=10, path_effects=halo, zorder=5,
            )  # fmt: skip
    for turn, method in enumerate(lines):
        at, cells = _where_tested(report, method, metric)
        handles.append(
            ax.hlines(
                [100 * cell.mean for cell in cells], at - 0.44, at + 0.44, colors=BLACK,
                linestyles=DASHES[1:][turn % 3], linewidth=1.5, path_effects=halo, zorder=4,
                label=f"floor: {method}",
            )
        )  # fmt: skip
    ax.set_xticks(range(len(report.gaps)), [GAP_LABELS[gap] for gap in report.gaps])
    ax.set(
        xlabel="gap between support and query",
        ylabel=f"{METRICS[metric]} (%)" + (", mean ± std over seeds" if spread else ""),
    )
    ax.tick_params(axis="x", length=0)
    ax.margins(y=0.1)
    ax.set_ylim(bottom=0)
    ax.legend(handles=handles, loc="lower center", bbox_to_anchor=(0.5, 1), ncols=3)
    return ax


def _where_tested(report: Report, method: str, metric: str) -> tuple[np.ndarray, list[Cell]]:
    """Positions of the gaps at which ``method`` was tested, and its cells there."""
    cells = [report.cell(method, gap, metric) for gap in report.gaps]
    return np.flatnonzero([cell is not None for cell in cells]), [c for c in cells if c]

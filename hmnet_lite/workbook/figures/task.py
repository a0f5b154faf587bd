"""One function a figure: arrays in, matplotlib Axes (or a Figure for grids) out.

Nothing is computed here that matters beyond the picture, so every figure can be checked on its
numbers. ``save`` writes any of them as a small PNG.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.patheffects import withStroke

from hmnet_lite.scoring.evaluate import FLOORS, METRICS, Cell, Report
from hmnet_lite.scoring.metrics import as_mask, mask_iou
from hmnet_lite.workbook.figures.parts import (
    BLACK,
    BLUE,
    CYCLE,
    DASHES,
    STYLE,
    VERMILLION,
    WIDTH,
    YELLOW,
    grid,
    joined,
    outline,
    picture,
    png,
    save,
    show,
)

__all__ = [
    "contact_sheet",
    "episode_picture",
    "forgetting_curve",
    "paint_prediction",
    "png",
    "prediction_grid",
    "results_bars",
    "running_mean",
    "save",
    "show",
    "training_curves",
]

#: how a prediction is marked, pixel by pixel
HIT, FALSE_ALARM, MISSED = BLUE, VERMILLION, YELLOW
GAP_LABELS = {"same": "same", "sibling": "sibling", "cross": "cross", "held_out": "held-out"}


@plt.rc_context(STYLE)
def episode_picture(episode: Any, *, answer: bool = True) -> Figure:
    """The task: supports with the target outlined, the query, and the query's answer.

    Args:
        episode: an :class:`~hmnet_lite.data.episode.Episode`, or anything like it.
        answer: False leaves the answer to the reader.
    """
    shots = len(episode.support_images)
    figure, axes = grid(shots + 2, columns=4 if shots > 2 else shots + 2, largest=3.2, above=0.3)
    styles = tuple(episode.support_styles) or ("",) * shots
    for shot, ax in enumerate(axes[:shots]):
        title = "support" if shots == 1 else f"support {shot + 1}"
        picture(ax, episode.support_images[shot], joined(title, styles[shot]))
        outline(ax, episode.support_masks[shot])
    query, last = axes[shots : shots + 2]
    picture(query, episode.query_image, joined("query", episode.query_style))
    if answer:
        picture(last, episode.query_image, f"answer: {episode.class_name}")
        outline(last, episode.query_mask)
    else:
        picture(last, np.full_like(episode.query_image, 235), "answer: where?")
        last.text(0.5, 0.5, "?", transform=last.transAxes, ha="center", va="center", fontsize=60)
    return figure


@plt.rc_context(STYLE)
def prediction_grid(
    episodes: Sequence[Any], predictions: Mapping[str, Sequence[Any]], *, side: float | None = None
) -> Figure:
    """Episodes x (support, query with the truth outlined, every method's prediction).

    A prediction is painted on the greyed query: hits, false alarms and missed pixels, with the
    foreground IoU of that one picture above it. Ignored pixels stay unpainted.

    Args:
        episodes: the rows.
        predictions: name to one (H, W) mask for each episode, as ``Scores.update`` takes them.
        side: of a panel, in inches; by default they fill the notebook's width.

    Raises:
        ValueError: no episodes, or a method has another number of predictions than episodes.
    """
    if not len(episodes):
        raise ValueError("there are no episodes to show; expected at least one")
    for name, masks in predictions.items():
        if len(masks) != len(episodes):
            raise ValueError(
                f"{name!r} has {len(masks)} predictions for {len(episodes)} episodes; expected "
                "one each, in the same order"
            )
    rows, columns = len(episodes), 2 + len(predictions)
    side = side or min(WIDTH / columns, 2.6)
    figure, axes = plt.subplots(
        rows,
        columns,
        figsize=(side * columns, (side + 0.28) * rows + 0.7),
        layout="constrained",
        squeeze=False,
    )
    for row, (episode, line) in enumerate(zip(episodes, axes, strict=True)):
        more = len(episode.support_images) - 1
        picture(line[0], episode.support_images[0], f"support (+{more})" if more else "support")
        outline(line[0], episode.support_masks[0])
        picture(line[1], episode.query_image, f"query: {episode.class_name}")
        outline(line[1], episode.query_mask)
        for ax, (name, masks) in zip(line[2:], predictions.items(), strict=True):
            iou = mask_iou(masks[row], episode.query_mask)
            value = "IoU undefined" if iou is None else f"IoU {100 * iou:.0f} %"
            picture(
                ax,
                paint_prediction(episode.query_image, masks[row], episode.query_mask),
                f"{name}\n{value}" if row == 0 else value,
            )
    if predictions:
        figure.legend(
            handles=[
                Patch(facecolor=colour, edgecolor="0.3", label=label)
                for colour, label in (
                    (HIT, "hit"),
                    (FALSE_ALARM, "false alarm"),
                    (MISSED, "missed"),
                )
            ],
            loc="outside lower center",
            ncols=3,
        )
    return figure


def paint_prediction(image: np.ndarray, prediction: Any, target: np.ndarray) -> np.ndarray:
    """``image`` (H, W, 3) in light grey, its pixels tinted ``HIT``, ``FALSE_ALARM``, ``MISSED``.

    Ignored pixels (255) stay grey. Returns uint8 (H, W, 3).
    """
    found, truth = as_mask(prediction), np.asarray(target)
    grey = np.asarray(image, dtype=float).mean(-1, keepdims=True)
    painted = np.repeat(127.5 + grey / 2, 3, axis=-1)
    for colour, where in (
        (HIT, found & (truth == 1)),
        (FALSE_ALARM, found & (truth == 0)),
        (MISSED, ~found & (truth == 1)),
    ):
        tint = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)], dtype=float)
        painted[where] = 0.75 * tint + 0.25 * grey[where]
    return painted.round().astype(np.uint8)


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
    for turn, (name, history) in enumerate(histories.items()):
        steps = len(history.loss)
        if not steps:
            raise ValueError(f"{name!r} has no steps to draw; expected at least one")
        colour, dash = CYCLE[turn % len(CYCLE)], DASHES[turn % len(DASHES)]
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
    for turn, method in enumerate(bars):
        at, cells = _where_tested(report, method, metric)
        x = at + (turn - (len(bars) - 1) / 2) * width
        means = np.array([100 * cell.mean for cell in cells])
        stds = np.array([100 * (cell.std or 0) for cell in cells])
        handles.append(
            ax.bar(
                x, means, 0.92 * width, label=method, color=CYCLE[turn % len(CYCLE)],
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


@plt.rc_context(STYLE)
def forgetting_curve(
    x: np.ndarray,
    curves: Mapping[str, np.ndarray],
    *,
    xlabel: str = "position along the query scan (pixels)",
    ax: Axes | None = None,
) -> Axes:
    """How much of the hidden state still comes from the support, along the scan of the query.

    Args:
        x: (n,) positions.
        curves: name to (n,) shares in [0, 1]; drawn in percent.
        xlabel: what ``x`` counts.
        ax: where to draw; a new figure by default.

    Raises:
        ValueError: a curve has another length than ``x``, or values outside [0, 1].
    """
    x = np.asarray(x)
    ax = ax or plt.subplots(figsize=(WIDTH, 3.8), layout="constrained")[1]
    for turn, (name, curve) in enumerate(curves.items()):
        share = np.asarray(curve, dtype=float)
        if share.shape != x.shape:
            raise ValueError(f"{name!r} has shape {share.shape}, x {x.shape}; expected the same")
        if not ((share >= 0) & (share <= 1)).all():  # False for NaN, too
            raise ValueError(
                f"{name!r} goes from {share.min()} to {share.max()}; expected shares in [0, 1]"
            )
        colour, dash = CYCLE[turn % len(CYCLE)], DASHES[turn % len(DASHES)]
        ax.plot(x, 100 * share, dash, color=colour, label=name)
    ax.set(xlabel=xlabel, ylabel="support's share of the state (%)", ylim=(0, 102))
    ax.margins(x=0)
    if curves:
        ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=3)
    return ax


@plt.rc_context(STYLE)
def contact_sheet(
    images: Sequence[np.ndarray], titles: Sequence[str], *, columns: int = 8
) -> Figure:
    """Many small pictures, row by row, each under its title.

    Args:
        images: (H, W, 3) or (H, W, 4) uint8 each; they need not be the same size.
        titles: one for each.
        columns: how many in a row.

    Raises:
        ValueError: no images, or another number of titles.
    """
    if not len(images) or len(images) != len(titles):
        raise ValueError(
            f"{len(images)} images and {len(titles)} titles; expected as many, and at least one"
        )
    figure, axes = grid(len(images), columns=min(columns, len(images)), largest=2.0, above=0.2)
    for ax, image, title in zip(axes, images, titles, strict=False):
        picture(ax, image, title)
        ax.title.set_fontsize(8)
    return figure

"""Figures of the published HMNet: its map with shapes, parity, what it costs.

One function a figure: arrays in, a matplotlib Figure out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from hmnet_lite.machine import Timeline
from hmnet_lite.workbook.figures.palette import BLACK, BLUE, CYCLE, GREEN, ORANGE, SKY, VERMILLION
from hmnet_lite.workbook.figures.parts import STYLE, WIDTH, outline, picture


@plt.rc_context(STYLE)
def evidence_row(
    image: np.ndarray,
    mask: np.ndarray,
    maps: Mapping[str, np.ndarray],
    *,
    title: str = "query",
    answer: np.ndarray | None = None,
) -> Figure:
    """A picture with its outline beside maps of numbers in [0, 1], all on one scale.

    Args:
        image: (H, W, 3) uint8. mask: (H, W) of {0, 1, 255}.
        maps: title to (h, w) values, of any size.
        title: over the picture.
        answer: (H, W) bools to whiten everything but, in a last picture, or None.
    """
    count = 1 + len(maps) + (answer is not None)
    side = min((WIDTH - 0.7) / count, 2.4)
    figure, axes = plt.subplots(
        1, count, figsize=(side * count + 0.7, side + 0.35), layout="constrained"
    )
    picture(axes[0], image, title)
    outline(axes[0], mask)
    for ax, (name, values) in zip(axes[1:], maps.items(), strict=False):
        shown = ax.imshow(values, cmap="cividis", vmin=0, vmax=1, interpolation="nearest")
        ax.set_title(name)
        ax.set_axis_off()
    if answer is not None:
        from hmnet_lite.scoring.metrics import mask_iou

        faded = np.where(answer[..., None], image, 255 - (255 - image) // 4)
        iou = 100 * (mask_iou(answer, mask) or 0)
        picture(axes[-1], faded.astype(np.uint8), f"answer, IoU {iou:.0f} %")
        outline(axes[-1], mask)
    figure.colorbar(shown, ax=axes, shrink=0.8, fraction=0.04, pad=0.01, ticks=(0, 0.5, 1))
    return figure


@plt.rc_context(STYLE)
def parity_maps(published: np.ndarray, ours: np.ndarray, what: str) -> Figure:
    """Two maps that should be one, and their difference, enlarged.

    Args:
        published, ours: (h, w).
        what: the maps show.
    """
    difference = ours - published
    top = np.abs(difference).max() or 1.0
    figure, axes = plt.subplots(1, 3, figsize=(WIDTH, 2.9), layout="constrained")
    low, high = published.min(), published.max()
    for ax, values, title in zip(axes, (published, ours), ("published", "ours"), strict=False):
        shown = ax.imshow(values, cmap="cividis", vmin=low, vmax=high)
        ax.set_title(title)
    figure.colorbar(shown, ax=axes[:2], label=what, shrink=0.85)
    shown = axes[2].imshow(1e6 * difference, cmap="PuOr_r", vmin=-1e6 * top, vmax=1e6 * top)
    axes[2].set_title("ours − published")
    figure.colorbar(shown, ax=axes[2], label="millionths", shrink=0.85)
    for ax in axes:
        ax.set_axis_off()
    return figure


@plt.rc_context(STYLE)
def parameter_bars(
    parts: Mapping[str, Sequence[float]], depths: Sequence[int], paper: Sequence[float]
) -> Figure:
    """Millions of parameters, part by part, with the paper's totals as marks.

    Args:
        parts: name to its millions at each depth, in the order in which they are stacked; the
            paper's count is meant to end before the last two.
        depths: numbers of blocks.
        paper: its total at each depth, in millions.
    """
    figure, ax = plt.subplots(figsize=(WIDTH, 3.4), layout="constrained")
    rows, left = np.arange(len(depths)), np.zeros(len(depths))
    colours = dict(zip(parts, ("0.75", SKY, BLUE, ORANGE, VERMILLION), strict=False))
    for name, millions in parts.items():
        ax.barh(rows, millions, left=left, height=0.6, color=colours[name], label=name)
        left = left + np.asarray(millions)
    for row, total, whole in zip(rows, paper, left, strict=True):
        mark = ax.plot([total, total], [row - 0.42, row + 0.42], color=BLACK, lw=2.5)[0]
        ax.text(whole + 0.15, row, f"{whole:.2f}", va="center")
        ax.text(total, row - 0.45, f"{total}", ha="center", va="bottom", fontsize=9)
    mark.set_label("the paper's Table 4")
    ax.set_yticks(rows, [f"{depth} blocks" for depth in depths])
    ax.set(xlim=(20, left.max() + 2), ylim=(len(depths) - 0.4, -0.8), xlabel="million parameters")
    ax.grid(axis="y", visible=False)
    ax.grid(axis="x", visible=True)
    ax.legend(ncols=3, loc="upper center", bbox_to_anchor=(0.5, -0.18))
    return figure


@plt.rc_context(STYLE)
def memory_over_time(timeline: Timeline) -> Figure:
    """Memory that one run holds, moment by moment, and the part that was running.

    Args:
        timeline: from `hmnet_lite.machine.memory_timeline`.
    """
    figure, ax = plt.subplots(figsize=(WIDTH, 3.4), layout="constrained")
    megabytes = timeline.live / 1e6
    ax.step(timeline.seconds, megabytes, where="post", color=BLACK, lw=1.2)
    names = list(dict.fromkeys(name for name, *_ in timeline.spans))
    looks = dict(zip(names, (CYCLE[3], ORANGE, BLUE, GREEN, VERMILLION, CYCLE[6]), strict=False))
    for name, begin, end in timeline.spans:
        ax.axvspan(begin, end, color=looks[name], alpha=0.45, lw=0)
    top = 1.12 * megabytes.max()
    handles = [plt.Rectangle((0, 0), 1, 1, color=looks[name], alpha=0.45) for name in names]
    ax.legend(handles, names, ncols=len(names), loc="upper center", bbox_to_anchor=(0.5, 1.15))
    ax.set(xlabel="seconds", ylabel="MB held by tensors", xlim=(0, None), ylim=(0, top))
    return figure

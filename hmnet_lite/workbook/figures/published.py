"""Figures of the published HMNet: its map with shapes, parity, what it costs.

As in `figures`: one function a figure, arrays in, a matplotlib Figure out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from hmnet_lite.machine import Timeline
from hmnet_lite.workbook.figures.parts import (
    BLACK,
    BLUE,
    CYCLE,
    GREEN,
    ORANGE,
    SKY,
    STYLE,
    VERMILLION,
    WIDTH,
    outline,
    picture,
)

_LOOKS = {
    "given": dict(facecolor="white", edgecolor="0.4"),
    "frozen": dict(facecolor="#d9d9d9", edgecolor="0.4"),
    "computed": dict(facecolor="#fbe6c0", edgecolor=ORANGE),
    "trained": dict(facecolor="#cfe3f1", edgecolor=BLUE),
}
_MEANING = {
    "given": "given",
    "frozen": "frozen",
    "computed": "computed, nothing learned",
    "trained": "trained on episodes",
}
_BOXES = {
    # name: (left, bottom, width, height, text, kind)
    "query": (0, 44, 11, 8, "query\npicture", "given"),
    "support": (0, 27, 11, 8, "support\npictures", "given"),
    "masks": (0, 11, 11, 8, "support\nmasks", "given"),
    "backbone": (16, 26, 11, 27, "backbone\n\nResNet-50\nor VGG-16", "frozen"),
    "base": (36, 47, 16, 8, "base learner\n(PSPNet head)", "frozen"),
    "prior": (36, 33, 16, 8, "two priors", "computed"),
    "merge": (36, 15, 16, 11, "reduce,\nprototype,\nmerge", "trained"),
    "style": (66, 1, 14, 7, "style distance", "computed"),
    "mixer": (66, 14, 14, 13, "Mamba mixer\n\nself, hybrid,\nself, …", "trained"),
    "decoder": (66, 36, 14, 8, "decoder\n(ASPP)", "trained"),
    "ensemble": (89.5, 15, 10.5, 30, "ensemble\n\nwhom to\nbelieve?", "trained"),
}
# shape's name: (where it is written, alignment, what is written before it)
_LABELS = {
    "picture": ((5.5, 53.3), "center", ""),
    "low": ((22, 12.6), "left", "F2  "),
    "mid": ((22, 10.2), "left", "F3  "),
    "deep": ((32.3, 44.2), "left", "F4\n"),
    "base": ((50, 44.2), "left", "Fb  "),
    "prior": ((44.7, 29.6), "left", ""),
    "mask": ((12, 18.4), "left", ""),
    "query_in": ((59, 25.4), "center", ""),
    "support_in": ((59, 16.6), "center", ""),
    "query_out": ((73.8, 31.5), "left", ""),
    "meta_logits": ((80.6, 41.4), "left", ""),
    "base_foreground": ((74, 52.3), "center", ""),
    "style_distance": ((80.6, 6), "left", "ψ  "),
    "scores": ((94.7, 11.3), "center", ""),
}


@plt.rc_context(STYLE)
def published_map(shapes: Mapping[str, Sequence[int]]) -> Figure:
    """The published HMNet as boxes and arrows, with the shape of what goes along each arrow.

    Args:
        shapes: name to a shape without its batch axis. Names: picture, mask, low, mid, deep, base,
            prior, query_in, support_in, query_out, meta_logits, base_foreground, style_distance,
            scores.

    Raises:
        ValueError: a shape is missing or not known.
    """
    if set(shapes) != set(_LABELS):
        raise ValueError(f"shapes has {sorted(shapes)}; expected {sorted(_LABELS)}")
    figure, ax = plt.subplots(figsize=(WIDTH, 5.3), layout="constrained")
    ax.set(xlim=(-0.5, 100.5), ylim=(-6, 58))
    ax.set_axis_off()
    for left, bottom, width, height, text, kind in _BOXES.values():
        shape = "round,pad=0,rounding_size=1.2"
        ax.add_patch(
            FancyBboxPatch((left, bottom), width, height, boxstyle=shape, lw=1.5, **_LOOKS[kind])
        )
        ax.text(left + width / 2, bottom + height / 2, text, ha="center", va="center", fontsize=9.5)

    def arrow(*points: tuple[float, float]) -> None:
        for start, end in pairwise(points[:-1]):
            ax.plot(*zip(start, end, strict=True), color=BLACK, lw=1.2, solid_capstyle="round")
        style = dict(arrowstyle="-|>", mutation_scale=11, lw=1.2, color=BLACK, shrinkA=0, shrinkB=0)
        ax.add_patch(FancyArrowPatch(points[-2], points[-1], **style))

    arrow((11, 48), (16, 48))
    arrow((11, 31), (16, 31))
    arrow((27, 51), (36, 51))  # F4 to the base learner
    arrow((31.5, 51), (31.5, 38.5), (36, 38.5))  # F4 to the priors
    arrow((49, 47), (49, 41))  # Fb to the priors
    arrow((52, 51), (94.7, 51), (94.7, 45))  # base foreground
    arrow((44, 33), (44, 26))  # priors to the merge
    arrow((21, 26), (21, 4.5), (66, 4.5))  # F2 to the style distance
    arrow((24, 26), (24, 23), (36, 23))  # F2 and F3 to the merge
    arrow((11, 17), (36, 17))  # masks to the merge
    arrow((33.5, 17), (33.5, 35.5), (36, 35.5))  # masks to the priors
    arrow((52, 23.8), (66, 23.8))
    arrow((52, 18.2), (66, 18.2))
    arrow((73, 27), (73, 36))
    arrow((80, 40), (89.5, 40))
    arrow((80, 4.5), (86, 4.5), (86, 22), (89.5, 22))
    arrow((94.7, 15), (94.7, 12.7))
    for name, ((x, y), side, before) in _LABELS.items():
        text = before + " × ".join(map(str, shapes[name]))
        ax.text(x, y, text, ha=side, va="center", fontsize=8.5, color="0.25")
    for x, y, text in ((59, 22.3, "query"), (59, 19.7, "support"),
                       (94.7, 7.6, "background,\nforeground")):  # fmt: skip
        ax.text(x, y, text, ha="center", va="center", fontsize=8.5)
    for left, (kind, meaning) in zip((0, 14, 29, 60), _MEANING.items(), strict=True):
        ax.add_patch(plt.Rectangle((left, -5.5), 3, 2.6, lw=1.2, **_LOOKS[kind]))
        ax.text(left + 4, -4.2, meaning, va="center", fontsize=9)
    return figure


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

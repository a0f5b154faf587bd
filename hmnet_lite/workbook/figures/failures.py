"""Figures of failures: how many of which kind, how often beside what, and answers to look at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from hmnet_lite.workbook.figures.palette import (
    BLACK,
    BLUE,
    FALSE_ALARM,
    HIT,
    MISSED,
    ORANGE,
    SKY,
    VERMILLION,
    YELLOW,
)
from hmnet_lite.workbook.figures.parts import GAP_LABELS, STYLE, WIDTH, outline, picture
from hmnet_lite.workbook.figures.task import paint_prediction

COLOURS = (BLUE, YELLOW, VERMILLION, ORANGE, SKY)  # of the kinds, in their order


@plt.rc_context(STYLE)
def kinds(counts: Mapping[str, Mapping[str, Mapping[str, int]]]) -> Figure:
    """Networks x gaps: which share of the answers is of which kind.

    Args:
        counts: network to gap, or to another name of the episodes, to kind to how many answers.

    Raises:
        ValueError: more kinds than colours.
    """
    names = list(next(iter(next(iter(counts.values())).values())))
    if len(names) > len(COLOURS):
        raise ValueError(f"{len(names)} kinds; there are colours for {len(COLOURS)}")
    rows = len(next(iter(counts.values())))
    size = WIDTH, 1.2 + 0.35 * rows
    figure, axes = plt.subplots(
        1, len(counts), figsize=size, sharey=True, layout="constrained", squeeze=False
    )
    for ax, (network, gaps) in zip(axes[0], counts.items(), strict=True):
        for y, found in enumerate(gaps.values()):
            shares = 100 * np.array([found[name] for name in names]) / sum(found.values())
            starts = np.cumsum(shares) - shares
            ax.barh(y, shares, left=starts, color=COLOURS, edgecolor="white", height=0.75)
            for share, start, colour in zip(shares, starts, COLOURS, strict=False):
                if share >= 8:
                    ink = "white" if colour == BLUE else BLACK
                    middle = start + share / 2
                    ax.text(middle, y, f"{share:.0f}", ha="center", va="center", color=ink)
        ax.set_yticks(range(len(gaps)), [GAP_LABELS.get(gap, gap) for gap in gaps])
        ax.set(title=network, xlabel="share of answers (%)", xlim=(0, 100))
        ax.grid(visible=False)
        ax.tick_params(axis="y", length=0)
    axes[0, 0].invert_yaxis()
    handles = [Patch(color=c, label=n) for c, n in zip(COLOURS, names, strict=False)]
    figure.legend(handles=handles, loc="outside upper center", ncols=len(names))
    return figure


@plt.rc_context(STYLE)
def causes(gaps: Mapping[str, Mapping[str, Mapping[str, Mapping[str, float]]]]) -> Figure:
    """Gaps: how often an answer fails where a cause is there, and where not.

    Args:
        gaps: gap to cause to "with" and "without" to episodes, failed (a number of them), and the
            ends of the share's interval, low and high in [0, 1].
    """
    names = list(next(iter(gaps.values())))
    figure, axes = plt.subplots(
        1, len(gaps), figsize=(WIDTH, 1.3 + 0.45 * len(names)), sharex=True, sharey=True,
        layout="constrained", squeeze=False,
    )  # fmt: skip
    looks = {"with": (-0.14, VERMILLION, "o"), "without": (0.14, BLUE, "s")}
    for ax, (gap, found) in zip(axes[0], gaps.items(), strict=True):
        for y, sides in enumerate(found.values()):
            for side, (up, colour, mark) in looks.items():
                x = sides[side]
                if x["episodes"]:
                    share = 100 * x["failed"] / x["episodes"]
                    ax.plot([100 * x["low"], 100 * x["high"]], [y + up] * 2, color=colour)
                    ax.plot(share, y + up, mark, color=colour)
            count = sides["with"]["episodes"]
            ax.text(101, y, f"{count}", va="center", ha="right", size="small", color="0.35")
        ax.set(title=GAP_LABELS.get(gap, gap), xlabel="answers that fail (%)", xlim=(0, 103))
        ax.set_yticks(range(len(names)), names)
        ax.grid(visible=False, axis="y")
        ax.tick_params(axis="y", length=0)
    axes[0, 0].set_ylim(len(names) - 0.5, -0.5)
    handles = [
        Line2D([], [], color=colour, marker=mark, label=label)
        for (_, colour, mark), label in zip(
            looks.values(), ("where it is there (grey: in how many episodes)", "where not"),
            strict=True,
        )
    ]  # fmt: skip
    figure.legend(handles=handles, loc="outside upper center", ncols=2)
    return figure


@plt.rc_context(STYLE)
def gallery(
    episodes: Sequence[Any], answers: Sequence[np.ndarray], titles: Sequence[str]
) -> Figure:
    """Episodes side by side: the support, the query with its target outlined, the answer painted.

    Args:
        episodes: as `Episode`.
        answers: (H, W) bool each.
        titles: above each.
    """
    side = WIDTH / len(episodes)
    figure, axes = plt.subplots(
        3, len(episodes), figsize=(WIDTH, 3 * side + 0.8), layout="constrained", squeeze=False
    )
    figure.get_layout_engine().set(w_pad=0.02, h_pad=0.02)
    for column, answer, episode, title in zip(axes.T, answers, episodes, titles, strict=True):
        picture(column[0], episode.support_images[0], title)
        outline(column[0], episode.support_masks[0])
        picture(column[1], episode.query_image, "")
        outline(column[1], episode.query_mask)
        picture(column[2], paint_prediction(episode.query_image, answer, episode.query_mask), "")
    looks = {"hit": HIT, "false alarm": FALSE_ALARM, "missed": MISSED}
    handles = [Patch(facecolor=c, edgecolor="0.3", label=name) for name, c in looks.items()]
    figure.legend(handles=handles, loc="outside lower center", ncols=3)
    return figure

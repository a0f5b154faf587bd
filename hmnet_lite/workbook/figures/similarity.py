"""Figures of how alike query and support are before fusion and after (the paper's Fig. 7)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from hmnet_lite.workbook.figures.palette import BG, FG
from hmnet_lite.workbook.figures.parts import GAP_LABELS, STYLE, WIDTH

# of the query's pixels; blue and orange are taken: the support and the query
PART_COLOURS = {"FG": FG, "BG": BG}
MARKS = {"FG": "o", "BG": "s"}
SHIFTS = {("FG", "before"): -0.24, ("FG", "after"): -0.08,
          ("BG", "before"): 0.08, ("BG", "after"): 0.24}  # fmt: skip
LOOKS = {"before": ("--", "white"), "after": ("-", None)}


@plt.rc_context(STYLE)
def before_and_after(places: Mapping[str, Mapping[str, Mapping]], gaps: Sequence[str]) -> Figure:
    """The similarity with the support's FG along the dial: a line a place, a column a fusion.

    Args:
        places: where features were taken to title of a fusion to {"before" and "after": {part:
            (seeds, gaps) in [-1, 1]}}, of which the parts of `PART_COLOURS` are drawn. In percent:
            the mean over seeds, and bars over all of them. A fusion that a place lacks stays blank.
        gaps: the dial's positions, from narrow to wide.

    Raises:
        ValueError: values at another number of gaps.
    """
    titles = list(dict.fromkeys(title for panels in places.values() for title in panels))
    figure, axes = plt.subplots(
        len(places), len(titles), figsize=(WIDTH, 2.1 * len(places) + 1), sharey="row",
        sharex=True, layout="constrained", squeeze=False,
    )  # fmt: skip
    for line, (place, panels) in zip(axes, places.items(), strict=True):
        for ax, title in zip(line, titles, strict=True):
            if title in panels:
                _lines(ax, title, panels[title], gaps)
            else:
                ax.set_axis_off()
        line[0].set_ylabel(place)
    for ax, title in zip(axes[0], titles, strict=True):
        ax.set_title(title)
    for column in axes.T:
        column[-1].set_xticks(range(len(gaps)), [GAP_LABELS.get(gap, gap) for gap in gaps])
        column[-1].tick_params(axis="x", labelrotation=50)
    figure.supylabel("cosine with the support's FG (%)", fontsize=11)
    figure.supxlabel("intra-class gap, from narrow to wide", fontsize=11)
    known = [
        Line2D([], [], color=colour, linestyle=line, marker=MARKS[part],
               markerfacecolor=face or colour, label=f"query {part}, {when}")
        for part, colour in PART_COLOURS.items()
        for when, (line, face) in LOOKS.items()
    ]  # fmt: skip
    figure.legend(handles=known, loc="outside upper center", ncols=4)
    return figure


def _lines(ax: Axes, title: str, times: Mapping[str, Mapping], gaps: Sequence[str]) -> None:
    for when, parts in times.items():
        for part, colour in PART_COLOURS.items():
            values = 100 * np.asarray(parts[part], float)
            if values.ndim != 2 or values.shape[1] != len(gaps):
                raise ValueError(
                    f"{when} of {title!r} has shape {values.shape}; expected (seeds, "
                    f"{len(gaps)}), the gaps being {', '.join(gaps)}"
                )
            line, face = LOOKS[when]
            mean = values.mean(0)
            spread = np.abs([values.min(0), values.max(0)] - mean)
            at = np.arange(len(gaps)) + SHIFTS[part, when]  # bars beside, not upon one another
            ax.errorbar(
                at, mean, spread, color=colour, linestyle=line, linewidth=1.2, elinewidth=0.8,
                marker=MARKS[part], markersize=4, markerfacecolor=face or colour,
            )  # fmt: skip
    ax.set(xlabel="", ylabel="")
    ax.margins(x=0.1)

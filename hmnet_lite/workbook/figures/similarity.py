"""Figures of how alike query and support are before fusion and after (the paper's Fig. 7)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from hmnet_lite.workbook.figures.parts import BLUE, GAP_LABELS, ORANGE, STYLE, WIDTH

PART_COLOURS = {"FG": BLUE, "BG": ORANGE}  # of the query's pixels
LOOKS = {"before": ("--", "o", "white"), "after": ("-", "o", None)}


@plt.rc_context(STYLE)
def before_and_after(panels: Mapping[str, Mapping], gaps: Sequence[str]) -> Figure:
    """The similarity with the support's FG along the dial, a panel a way of fusing.

    Args:
        panels: title to {"before" and "after": {part: (seeds, gaps) in [-1, 1]}}, parts those of
            `PART_COLOURS`. Drawn in percent: the mean over seeds, and bars over all of them.
        gaps: the dial's positions, from narrow to wide.

    Raises:
        ValueError: values at another number of gaps.
    """
    figure, axes = plt.subplots(
        1, len(panels), figsize=(WIDTH, 3.6), sharey=True, layout="constrained", squeeze=False
    )
    for ax, (title, times) in zip(axes[0], panels.items(), strict=True):
        for when, parts in times.items():
            for part, values in parts.items():
                values = 100 * np.asarray(values, float)
                if values.ndim != 2 or values.shape[1] != len(gaps):
                    raise ValueError(
                        f"{when} of {title!r} has shape {values.shape}; expected (seeds, "
                        f"{len(gaps)}), the gaps being {', '.join(gaps)}"
                    )
                line, mark, face = LOOKS[when]
                sns.lineplot(
                    x=np.tile(np.arange(len(gaps)), len(values)), y=values.ravel(), ax=ax,
                    errorbar=("pi", 100), err_style="bars", color=PART_COLOURS[part],
                    linestyle=line, marker=mark, markerfacecolor=face or PART_COLOURS[part],
                    markeredgecolor=PART_COLOURS[part], legend=False,
                )  # fmt: skip
        ax.set(title=title, xlabel="", ylabel="")
        labels = [GAP_LABELS.get(gap, gap) for gap in gaps]
        ax.set_xticks(range(len(gaps)), labels, rotation=35, ha="right", rotation_mode="anchor")
        ax.margins(x=0.1)
    axes[0, 0].set_ylabel("cosine with the support's FG (%)")
    figure.supxlabel("intra-class gap, from narrow to wide", fontsize=11)
    known = [
        Line2D([], [], color=colour, linestyle=line, marker=mark, markerfacecolor=face or colour,
               label=f"query {part}, {when}")
        for part, colour in PART_COLOURS.items()
        for when, (line, mark, face) in LOOKS.items()
    ]  # fmt: skip
    figure.legend(handles=known, loc="outside upper center", ncols=4)
    return figure

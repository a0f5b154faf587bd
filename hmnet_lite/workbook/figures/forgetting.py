"""Figures of support forgetting, on states after each patch that is read (the paper's Fig. 5).

One function a figure: numbers in, a Figure out. What was just read is told by colour and mark: the
support blue and round, the query orange and square, as in `state`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from matplotlib.figure import Figure

from hmnet_lite.workbook.figures.palette import BLACK, PURPLE, QUERY, SUPPORT
from hmnet_lite.workbook.figures.parts import MARKERS, STYLE, WIDTH
from hmnet_lite.workbook.figures.state import BAND

READ = {True: ("after the support", SUPPORT, "o"),
        False: ("after a query patch", QUERY, "s")}  # fmt: skip


def bands(values: np.ndarray) -> np.ndarray:
    """(episodes, readings) → (3, readings): mean, and the ends of `BAND` over episodes."""
    values = np.asarray(values, float)
    return np.stack([values.mean(0), *np.percentile(values, BAND, axis=0)])


@plt.rc_context(STYLE)
def saw_teeth(panels: Mapping[str, Mapping], measures: Sequence[str]) -> Figure:
    """Measures of the state along the readings, a column a way of reading.

    Args:
        panels: title to {"at": (readings,) query pixels read so far, "of_support": (readings,)
            of bool, and each of `measures`: (3, readings), what `bands` gives of [-1, 1]; "seeds":
            {measure: (seeds, readings)}, thin lines; "beside": {measure: (readings,)} of another
            network, drawn grey and dashed}.
        measures: labels of the rows.

    Raises:
        ValueError: a measure of another shape than the readings'.
    """
    figure, axes = plt.subplots(
        len(measures), len(panels), figsize=(WIDTH, 2.3 * len(measures) + 0.9), sharex=True,
        sharey="row", layout="constrained", squeeze=False,
    )  # fmt: skip
    for column, (title, panel) in zip(axes.T, panels.items(), strict=True):
        at, of_support = np.asarray(panel["at"]), np.asarray(panel["of_support"], bool)
        for ax, measure in zip(column, measures, strict=True):
            values = np.asarray(panel[measure], float)
            if values.shape != (3, len(at)):
                raise ValueError(
                    f"{measure!r} of {title!r} has shape {values.shape}; expected (3, {len(at)}): "
                    "mean, low and high after each reading"
                )
            mean, low, high = 100 * values
            other = panel.get("beside", {}).get(measure)
            if other is not None:
                ax.plot(
                    at, 100 * np.asarray(other), color="0.6", linewidth=1, linestyle=(0, (4, 1)),
                    label="full network", zorder=0,
                )  # fmt: skip
            for turn, line in enumerate(panel.get("seeds", {}).get(measure, ())):
                ax.plot(at, 100 * np.asarray(line), color="0.25", linewidth=0.6, zorder=1,
                        label="" if turn else "one training seed")  # fmt: skip
            for kind, (name, colour, mark) in READ.items():
                own = of_support == kind
                ax.fill_between(at[own], low[own], high[own], color=colour, alpha=0.18, linewidth=0)
                size = 5 if own.sum() < 20 else 2.5
                ax.plot(at[own], mean[own], mark, color=colour, markersize=size, label=name)
            ax.margins(x=0.04)
        column[0].set_title(title)
    for line, measure in zip(axes, measures, strict=True):
        line[0].set_ylabel(f"{measure} (%)")
        line[0].set_ylim(top=102)
    figure.supxlabel("query pixels read", fontsize=11)
    known = axes[0, -1].get_legend_handles_labels()  # seeds, full network, what was read
    figure.legend(*known, loc="outside upper center", ncols=len(known[1]), markerscale=1.5)
    return figure


@plt.rc_context(STYLE)
def by_direction(panels: Mapping[str, Mapping], directions: Sequence[str]) -> Figure:
    """The support's share after each query patch, a line a direction, bars over training seeds.

    Args:
        panels: title to {"at": (patches,) query pixels read, "share": (seeds, directions, patches)
            in [0, 1]}.
        directions: their names.
    """
    figure, axes = plt.subplots(
        1, len(panels), figsize=(WIDTH, 3.2), sharex=True, sharey=True, layout="constrained",
        squeeze=False,
    )  # fmt: skip
    for ax, (title, panel) in zip(axes[0], panels.items(), strict=True):
        share = 100 * np.asarray(panel["share"], float)
        for k, name in enumerate(directions):
            colour, line = (BLACK, PURPLE)[k % 2], "-" if k < 2 else "--"  # back: dashed, hollow
            mean = share[:, k].mean(0)
            spread = np.abs([share[:, k].min(0), share[:, k].max(0)] - mean)
            at = np.asarray(panel["at"]) + 2 * (k - 1.5)  # bars beside, not upon one another
            ax.errorbar(
                at, mean, spread, color=colour, linestyle=line, linewidth=1.5, elinewidth=0.8,
                marker=MARKERS[k], markersize=5, label=name,
                markerfacecolor=colour if k < 2 else "white",
            )  # fmt: skip
        ax.set_title(title)
    axes[0, 0].set_ylabel("support's share after\na query patch (%)")
    axes[0, 0].set_ylim(top=102)
    figure.supxlabel("query pixels read", fontsize=11)
    known = axes[0, 0].get_legend_handles_labels()
    figure.legend(*known, loc="outside upper center", ncols=4)
    return figure


@plt.rc_context(STYLE)
def where_it_lasts(shares: Mapping[str, np.ndarray], directions: Sequence[str]) -> Figure:
    """The support's share at the ends of patches, by direction and state index, as heatmaps.

    Args:
        shares: title to (directions, state) shares in [0, 1].
        directions: their names.
    """
    figure, axes = plt.subplots(
        1, len(shares), figsize=(WIDTH, 2.5), sharey=True, layout="constrained", squeeze=False
    )
    for turn, (ax, (title, share)) in enumerate(zip(axes[0], shares.items(), strict=True)):
        share = 100 * np.asarray(share, float)
        sns.heatmap(
            share, vmin=0, vmax=100, cmap="cividis", ax=ax, yticklabels=list(directions),
            xticklabels=[n if n in (1, 4, 8, 12, 16) else "" for n in range(1, share.shape[1] + 1)],
            cbar=turn == len(shares) - 1, cbar_kws={"label": "support's share (%)"},
        )  # fmt: skip
        ax.set(title=title, xlabel="state index n")
        ax.tick_params(axis="y", rotation=0, length=0)
        ax.tick_params(axis="x", rotation=0)
    return figure

"""Figures of the experiments: who is listened to, and differences with their intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from hmnet_lite.workbook.figures.palette import BLACK, BLUE, ORANGE, VERMILLION
from hmnet_lite.workbook.figures.parts import GAP_LABELS, STYLE, WIDTH

#: what the mixer was shown → colour, marker, words
LOOKS = {
    "right": (BLUE, "o", "right support"),
    "wrong": (VERMILLION, "X", "wrong class at the mixer"),
    "none": (ORANGE, "s", "no support at the mixer"),
}
ROW, ABOVE = 0.3, 1.3  # inches a row takes, and what stands above and below the rows

Shown = Mapping[str, Sequence[float]]


@plt.rc_context(STYLE)
def support_use(panels: Mapping[str, Mapping[str, Mapping[str, Shown]]]) -> Figure:
    """Networks in rows, mIoU to the right: the longer the line, the more the mixer is listened to.

    Args:
        panels: gap to group to network to what its mixer was shown ("right", "wrong", "none") to
            the mIoU in [0, 1] of every training seed. Seeds are faint, their mean is bold.

    Raises:
        ValueError: there is nothing to draw.
    """
    places = _places(panels)
    if not places:
        raise ValueError("there are no results to draw; expected at least one network at one gap")
    figure, axes = _panels(len(panels), max(places.values()) + 1)
    handles = {}
    for ax, (gap, groups) in zip(axes, panels.items(), strict=True):
        for group, networks in groups.items():
            for name, shown in networks.items():
                handles |= _network(ax, places[group, name], shown)
        ax.set(title=GAP_LABELS[gap], xlabel="mIoU (%)", xticks=[0, 25, 50, 75])
    _name_rows(axes[0], places)
    axes[0].set_xlim(left=0)
    order = [words for _, _, words in LOOKS.values() if words in handles]
    figure.legend(
        [handles[words] for words in order], order, loc="outside upper center", ncols=len(order)
    )
    return figure


@plt.rc_context(STYLE)
def differences(panels: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> Figure:
    """Differences in points of mIoU in rows, with 95 % intervals; hollow where none is seen.

    One is seen where the interval and every pair of training runs, if they are given, are on one
    side of 0.

    Args:
        panels: gap to question to arm to {"mean", "low", "high": in [-1, 1]; "seeds": how many
            pairs of training runs; "each", where it is kept: the difference of every pair, a
            stroke where there are several}.

    Raises:
        ValueError: there is nothing to draw.
    """
    places = _places(panels)
    if not places:
        raise ValueError("there are no differences to draw; expected at least one at one gap")
    figure, axes = _panels(len(panels), max(places.values()) + 1)
    for ax, (gap, groups) in zip(axes, panels.items(), strict=True):
        ax.axvline(0, color=BLACK, lw=1)
        for group, arms in groups.items():
            for name, found in arms.items():
                y, (low, high) = places[group, name], (100 * found["low"], 100 * found["high"])
                each = 100 * np.asarray(found.get("each", ()), float)
                seen = min([low, *each]) > 0 or max([high, *each]) < 0
                if len(each) > 1:  # a single one is the mean
                    ax.scatter(each, [y] * len(each), 22, marker="|", color=BLACK, lw=1, zorder=1)
                ax.plot([low, high], [y, y], color=BLUE, lw=3, solid_capstyle="butt")
                ax.plot(
                    100 * found["mean"], y, "o", ms=4, color=BLUE, mfc=BLUE if seen else "white"
                )
        ax.set(title=GAP_LABELS[gap], xlabel="points of mIoU")
        ax.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    seeds = {(group, name): found["seeds"] for groups in panels.values()
             for group, arms in groups.items() for name, found in arms.items()}  # fmt: skip
    _name_rows(axes[0], places, seeds)
    return figure


def _places(panels: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> dict[tuple[str, str], int]:
    """(group, name) → row, from the top; the row above a group's first is for its title."""
    groups: dict[str, dict[str, None]] = {}
    for found in panels.values():
        for group, names in found.items():
            groups.setdefault(group, {}).update(dict.fromkeys(names))
    places: dict[tuple[str, str], int] = {}
    for number, (group, names) in enumerate(groups.items(), 1):
        for name in names:
            places[group, name] = len(places) + number
    return places


def _panels(columns: int, rows: int) -> tuple[Figure, list[Axes]]:
    figure, axes = plt.subplots(
        1, columns, figsize=(WIDTH, ABOVE + ROW * rows), layout="constrained", sharex=True,
        sharey=True, squeeze=False,
    )  # fmt: skip
    for ax in axes[0]:
        ax.grid(axis="x")
        ax.grid(visible=False, axis="y")
        ax.tick_params(axis="y", length=0)
    return figure, list(axes[0])


def _network(ax: Axes, y: int, shown: Shown) -> dict[str, Any]:
    """One row; words of the legend to what they stand for."""
    handles = {}
    means = {what: 100 * np.mean(values) for what, values in shown.items()}
    ax.plot([min(means.values()), max(means.values())], [y, y], color=BLACK, lw=1, zorder=1)
    for what in reversed(list(means)):  # the right support on top
        colour, marker, words = LOOKS[what]
        seeds = 100 * np.asarray(shown[what])
        if len(seeds) > 1:
            ax.scatter(seeds, [y] * len(seeds), 16, color=colour, alpha=0.35, zorder=2)
        size = 65 if what == "right" else 50
        handles[words] = ax.scatter(
            means[what], y, size, color=colour, marker=marker, zorder=3, edgecolor="white"
        )
    return handles


def _name_rows(ax: Axes, places: Mapping[tuple[str, str], int], seeds=None) -> None:
    """Names at the left, groups in bold above theirs, the number of seeds in brackets."""
    ticks, labels = [], []
    for (group, name), row in places.items():
        if row - 1 not in places.values():
            ticks.append(row - 1)
            labels.append(group)
        ticks.append(row)
        labels.append(f"{name} ({seeds[group, name]})" if seeds else name)
    ax.set_yticks(ticks, labels)
    groups = {group for group, _ in places}
    for text, label in zip(ax.get_yticklabels(), labels, strict=True):
        text.set_fontweight("bold" if label in groups else "normal")
    ax.set_ylim(max(places.values()) + 0.6, -0.6)

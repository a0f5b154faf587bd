"""Figures of the paper's Tables 6, 7 and 9 beside ours: other draws of a test, and a clock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hmnet_lite.workbook.figures.palette import BLACK, KEPT
from hmnet_lite.workbook.figures.parts import DASHES, STYLE, WIDTH

#: rows of a table → words of the legend, colour, marker: the paper's and ours, by what they fuse by
ROWS = {
    ("HMNet", "HMNet-lite"): ("HMNet, HMNet-lite", KEPT["HMNet-lite"], "o"),
    ("HDMNet", "attention"): ("HDMNet (attention)", KEPT["attention"], "s"),
    ("without Mamba",): ("without Mamba", KEPT["without Mamba"], "^"),
}
INTERVAL = "95 % interval, paired"
PARTS = {"whole": "whole network", "mixer": "mixer alone"}
STEPS = (1, 1.5, 2, 3, 5)  # of a logarithmic axis, times powers of ten

Group = Mapping[str, Any]


@plt.rc_context(STYLE)
def other_draws(panels: Mapping[str, Mapping[str, Group]]) -> Figure:
    """Two rows under other draws of a test, a panel a way of drawing, a benchmark a group.

    All of a group is drawn in points from the mean of its first row, which its title tells, so
    that groups of different height share one scale.

    Args:
        panels: what tests differ in to benchmark to {"miou": two rows of `ROWS`, each test to mIoU
            in percent, the one without hybrid Mamba first; "difference": test to the second minus
            the first, {"mean", "low", "high"} in points, or nothing where it is not known}.
    """
    figure, axes = plt.subplots(
        len(panels), 1, figsize=(WIDTH, 2.75 * len(panels) + 0.4), layout="constrained",
        sharey=True, squeeze=False,
    )  # fmt: skip
    handles: dict[str, Any] = {}
    for ax, (differ, groups) in zip(axes[:, 0], panels.items(), strict=True):
        ax.axhline(0, color=BLACK, lw=0.8, zorder=0)
        ticks, labels, start = [], [], 0
        for benchmark, group in groups.items():
            first = next(iter(group["miou"].values()))
            places, zero = np.arange(len(first)) + start, float(np.mean(list(first.values())))
            handles |= _group(ax, places, group, zero)
            ticks += list(places)
            labels += [f"{int(test):,}" for test in first]
            if start:
                ax.axvline(start - 1, color=BLACK, lw=0.8, ls=":")
            ax.annotate(
                f"{benchmark}\n0 is {zero:.1f} %", (places.mean(), 1), (0, 2), ha="center",
                va="bottom", xycoords=("data", "axes fraction"), textcoords="offset points",
            )  # fmt: skip
            start = places[-1] + 2
        ax.set_xticks(ticks, labels)
        ax.margins(y=0.1)
        ax.set(xlabel=differ, xlim=(-0.7, start - 1.3))
        ax.set_ylabel("mIoU minus the mean\nwithout hybrid Mamba")
    order = [words for words, *_ in ROWS.values() if words in handles]
    order += [INTERVAL] if INTERVAL in handles else []
    figure.legend([handles[x] for x in order], order, loc="outside upper center", ncols=len(order))
    return figure


def _group(ax: Axes, places: np.ndarray, group: Group, zero: float) -> dict[str, Any]:
    """One benchmark; words of the legend to what they stand for."""
    handles: dict[str, Any] = {}
    asides = (places - 0.12, places + 0.12)
    for aside, (row, tests) in zip(asides, group["miou"].items(), strict=True):
        words, colour, marker = _look(row)
        y = np.array(list(tests.values())) - zero
        (handles[words],) = ax.plot(aside, y, marker, color=colour, ms=7, mec="white", zorder=3)
    if group.get("difference"):  # the interval of the pair, from the row it is counted from
        first = np.array(list(next(iter(group["miou"].values())).values())) - zero
        ends = np.array([[x["low"], x["high"]] for x in group["difference"].values()]).T
        handles[INTERVAL] = ax.vlines(
            asides[1], *(first + ends), color=colour, alpha=0.3, lw=7, zorder=1
        )
    return handles


def _look(row: str) -> tuple[str, str, str]:
    """Words, colour and marker of a row, by the first of `ROWS` that its name begins with."""
    return next(look for names, look in ROWS.items() if row.startswith(names))


@plt.rc_context(STYLE)
def episode_seconds(panels: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> Figure:
    """Seconds of an episode against the side of the picture, both logarithmic; a panel a machine.

    Args:
        panels: title to part ("whole", "mixer") to network to {"sides": in pixels; "seconds": of
            each, None where there was no memory; "exponent": of the number of pixels}.
    """
    figure, axes = plt.subplots(
        1, len(panels), figsize=(WIDTH, 4.6), layout="constrained", squeeze=False
    )
    for ax, (title, parts) in zip(axes[0], panels.items(), strict=True):
        for (part, own), dash in zip(parts.items(), DASHES, strict=False):
            for name, line in own.items():
                known = [(a, b) for a, b in zip(line["sides"], line["seconds"], strict=True) if b]
                _, colour, marker = _look(name)
                ax.plot(
                    *zip(*known, strict=True), dash, marker=marker, ms=6, color=colour,
                    mfc=colour if part == "whole" else "white",
                    label=f"{name}, {PARTS[part]}: {line['exponent']:.2f}",
                )  # fmt: skip
        _log_axes(ax, [x for own in parts.values() for line in own.values() for x in line["sides"]])
        ax.set(title=title, xlabel="side of the picture (pixels)", ylabel="seconds an episode")
        ax.legend(
            loc="upper center", bbox_to_anchor=(0.5, -0.2), fontsize=10,
            title="exponent of the number of pixels", title_fontsize=10,
        )  # fmt: skip
    return figure


def _log_axes(ax: Axes, sides: Sequence[int]) -> None:
    ax.set(xscale="log", yscale="log")
    ticks = sorted(set(sides))
    ax.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
    low, high = ax.get_ylim()
    marks = [m * 10.0**e for e in range(-6, 4) for m in STEPS if low <= m * 10.0**e <= high]
    marks = marks if len(marks) < 8 else [x for x in marks if f"{x:e}"[:3] in ("1.0", "2.0", "5.0")]
    ax.set_yticks(marks, [f"{mark:g}" for mark in marks])
    ax.minorticks_off()

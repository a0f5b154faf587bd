"""Figures of the eight questions: along the scan, pixels read, curves, several supports."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from hmnet_lite.workbook.figures.palette import colours
from hmnet_lite.workbook.figures.parts import DASHES, GAP_LABELS, MARKERS, STYLE, WIDTH

#: how several supports are pooled → words of the legend
WAYS = {
    "features": "features averaged",
    "states": "states averaged",
    "recaps": "recaps composed",
}


@plt.rc_context(STYLE)
def along_the_scan(told: Mapping[str, Mapping[str, Any]]) -> Figure:
    """Mean IoU of targets in each quarter of the scan, an arm a line, a gap a panel."""
    figure, axes = plt.subplots(
        1, len(told), figsize=(WIDTH, 2.9), layout="constrained", sharey=True, squeeze=False
    )
    for ax, (gap, arms) in zip(axes[0], told.items(), strict=True):
        shades = colours(arms)
        for (label, found), dash, mark in zip(arms.items(), DASHES, MARKERS, strict=False):
            y = 100 * np.asarray(found["quarters"])
            x = np.arange(1, len(y) + 1)
            ax.plot(x, y, dash, marker=mark, color=shades[label], label=label)
        ax.set(title=GAP_LABELS[gap], xticks=x, xlabel="quarter of the scan")
    axes[0][0].set(ylabel="mean IoU (%)", ylim=(0, None))
    figure.legend(*axes[0][0].get_legend_handles_labels(), loc="outside upper center", ncols=3)
    return figure


@plt.rc_context(STYLE)
def support_read(told: Mapping[str, Any]) -> Figure:
    """Gains against the support pixels that a query reads, all patches together; a gap a panel.

    Args:
        told: gap to [label, pixels, difference of mIoU in [-1, 1] of every seed]. Seeds are faint,
            means are bold.
    """
    figure, axes = plt.subplots(
        1, len(told), figsize=(WIDTH, 3.0), layout="constrained", sharey=True, squeeze=False
    )
    labels = list(dict.fromkeys(label for rows in told.values() for label, *_ in rows))
    shades, marks = colours(labels), dict(zip(labels, MARKERS, strict=False))
    handles: dict[str, Any] = {}
    for ax, (gap, rows) in zip(axes[0], told.items(), strict=True):
        for label, pixels, seeds in rows:
            look = {"color": shades[label], "marker": marks[label]}
            y = 100 * np.asarray(seeds)
            ax.scatter([pixels] * len(y), y, 14, alpha=0.35, linewidths=0, **look)
            handles[label] = ax.scatter(pixels, y.mean(), 55, **look)
        ax.set_xscale("log", base=4)
        ax.xaxis.set_major_formatter("{x:,.0f}")
        ax.set(title=GAP_LABELS[gap], xlabel="support pixels read (log)")
        ax.axhline(0, color="black", lw=1, zorder=0)
    axes[0][0].set(ylabel="points of mIoU above α = 2")
    figure.legend(handles.values(), handles, loc="outside upper center", ncols=len(handles))
    return figure


@plt.rc_context(STYLE)
def curves_and_scores(told: Mapping[str, Any], words: Mapping[str, str]) -> Figure:
    """A measure a panel: what it is of each network across, what the network scores up.

    Args:
        told: measure to {"points": [arm, seed, gap, measure, mIoU]}; one gap is drawn.
        words: measure to the words of its axis.
    """
    figure, axes = plt.subplots(
        1, len(told), figsize=(WIDTH, 3.2), layout="constrained", sharey=True, squeeze=False
    )
    arms = list(dict.fromkeys(p[0] for found in told.values() for p in found["points"]))
    shades, marks = colours(arms), dict(zip(arms, MARKERS, strict=False))
    handles: dict[str, Any] = {}
    for ax, (measure, found) in zip(axes[0], told.items(), strict=True):
        for arm in arms:
            points = np.array([p[3:] for p in found["points"] if p[0] == arm and p[2] == "cross"])
            if len(points):
                handles[arm] = ax.scatter(
                    points[:, 0], 100 * points[:, 1], 55, color=shades[arm], marker=marks[arm]
                )
        ax.set(xlabel=words[measure])
    axes[0][0].set(ylabel="mIoU at gap cross (%)")
    figure.legend(handles.values(), handles, loc="outside upper center", ncols=len(handles))
    return figure


@plt.rc_context(STYLE)
def more_supports(miou: Mapping[str, Any]) -> Figure:
    """mIoU against the number of supports: networks in columns, gaps in rows, ways in lines."""
    gaps = list(dict.fromkeys(gap for found in miou.values() for gap in found))
    figure, axes = plt.subplots(
        len(gaps), len(miou), figsize=(WIDTH, 2.3 * len(gaps) + 0.6), layout="constrained",
        sharex=True, squeeze=False,
    )  # fmt: skip
    handles: dict[str, Any] = {}
    for column, (network, found) in enumerate(miou.items()):
        for row, gap in enumerate(gaps):
            ax = axes[row][column]
            shades = colours(WAYS.values())
            for (pool, words), dash, mark in zip(WAYS.items(), DASHES, MARKERS, strict=False):
                seen = found[gap].get(pool)
                if not seen:
                    continue
                if pool != "features":  # one support is the same however several are pooled
                    seen = {"1": found[gap]["features"]["1"]} | dict(seen)
                x = [int(k) for k in seen]
                each = 100 * np.array(list(seen.values()))  # (numbers of supports, seeds)
                (handles[words],) = ax.plot(x, each.mean(1), dash, marker=mark, color=shades[words])
                if each.shape[1] > 1:
                    ax.fill_between(
                        x, each.min(1), each.max(1), color=shades[words], alpha=0.12, lw=0
                    )
            ax.set(title=f"{network}, {GAP_LABELS[gap]}", xticks=[1, 3, 5, 10])
            if row == len(gaps) - 1:
                ax.set_xlabel("supports")
    for ax in axes[:, 0]:
        ax.set_ylabel("mIoU (%)")
    figure.legend(handles.values(), handles, loc="outside upper center", ncols=len(handles))
    return figure

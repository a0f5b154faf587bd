"""Figures of segmentation by words: sentences and what they name, the cube on its way, scores."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from matplotlib.figure import Figure

from hmnet_lite.analysis.twisting import PARTS, STEPS
from hmnet_lite.workbook.figures.palette import BLACK, GREYS, KEPT, colours
from hmnet_lite.workbook.figures.parts import STYLE, WIDTH, outline

SPLIT_LABELS = {"seen": "seen classes", "novel": "novel classes", "compositions": "new pairs"}
#: floors hear less than the model; a reader looks for the distance between
FLOORS = ("relation ignored", "name ignored", "every object")
SHADES = {"model": KEPT["ReMamber"]} | dict(zip(FLOORS, GREYS, strict=False))


@plt.rc_context(STYLE)
def sentence_row(image: np.ndarray, masks: Mapping[str, np.ndarray], *, columns: int = 3) -> Figure:
    """One picture as often as there are sentences, each with what it names outlined.

    Args:
        image: (H, W, 3) uint8.
        masks: sentence to (H, W) of {0, 1}.
    """
    rows = -(-len(masks) // columns)
    side = WIDTH / columns
    figure, axes = plt.subplots(
        rows, columns, figsize=(WIDTH, (side + 0.5) * rows), layout="constrained", squeeze=False
    )
    for ax in axes.flat:
        ax.set_axis_off()
    for ax, (text, mask) in zip(axes.flat, masks.items(), strict=False):
        ax.imshow(image)
        outline(ax, mask)
        ax.set_title(quoted(text), fontsize=10)
    return figure


def quoted(text: str, columns: int = 30) -> str:
    """A sentence as a title, on as many lines as it needs."""
    return textwrap.fill(f"“{text}”", columns)


@plt.rc_context(STYLE)
def cube_table(colours: Sequence[Mapping[str, np.ndarray]]) -> Figure:
    """The cube of every block: a line for each part, a column for each step, one basis a block.

    Args:
        colours: a block → {step of `STEPS`: (3, h, w, 3) in [0, 1]}, as `Twisting.colours`.
    """
    columns, lines = len(STEPS) * len(colours), len(PARTS)
    side = WIDTH / (columns + 0.6)
    figure, axes = plt.subplots(
        lines, columns, figsize=(WIDTH, side * lines + 0.7), layout="constrained", squeeze=False
    )
    figure.get_layout_engine().set(w_pad=0.02, h_pad=0.02, wspace=0, hspace=0)
    for line, part in enumerate(PARTS):
        for block, steps in enumerate(colours):
            for column, step in enumerate(STEPS, block * len(STEPS)):
                ax = axes[line, column]
                ax.imshow(np.asarray(steps[step][line], float), interpolation="nearest")
                ax.set(xticks=[], yticks=[])
                ax.spines[:].set_visible(False)
                if not line:
                    ax.set_title(f"block {block + 1}\n{step}", fontsize=10)
        axes[line, 0].set_ylabel(part)
    return figure


@plt.rc_context(STYLE)
def said(image: np.ndarray, text: str, mask: np.ndarray | None,
         colours: Mapping[str, np.ndarray], note: str = "") -> Figure:  # fmt: skip
    """What a sentence was taken to name, and one block's cube on its way.

    Args:
        image: (H, W, 3) uint8.
        text: the sentence.
        mask: (H, W) of {0, 1}; None where the sentence was refused.
        colours: step of `STEPS` to (3, h, w, 3) in [0, 1]; empty likewise.
        note: a line below the sentence, such as why it was refused.
    """
    figure = plt.figure(figsize=(WIDTH, 3.4), layout="constrained")
    left, right = figure.subfigures(1, 2, width_ratios=(1, 1.1))
    ax = left.subplots()
    ax.imshow(image)
    ax.set_axis_off()
    if mask is not None:
        outline(ax, mask)
    ax.set_title("\n".join([quoted(text), *textwrap.wrap(note, 46)]), fontsize=10)
    if colours:
        axes = right.subplots(len(PARTS), len(STEPS))
        for line, part in enumerate(PARTS):
            for ax, step in zip(axes[line], STEPS, strict=True):
                ax.imshow(colours[step][line], interpolation="nearest")
                ax.set(xticks=[], yticks=[])
                ax.spines[:].set_visible(False)
                if not line:
                    ax.set_title(step, fontsize=10)
            axes[line, 0].set_ylabel(part)
    return figure


@plt.rc_context(STYLE)
def score_bars(splits: Mapping[str, Mapping[str, Mapping[str, float]]]) -> Figure:
    """oIoU of the model and the floors, on all sentences and on relational ones.

    Args:
        splits: split → {method: {"all": percent, "relational": percent}}.
    """
    figure, axes = plt.subplots(1, 2, figsize=(WIDTH, 3.1), sharey=True, layout="constrained")
    for ax, kind in zip(axes, ("all", "relational"), strict=True):
        wide = 0.8 / len(SHADES)
        for place, (method, colour) in enumerate(SHADES.items()):
            values = [splits[split][method][kind] for split in SPLIT_LABELS]
            at = np.arange(len(values)) + (place - (len(SHADES) - 1) / 2) * wide
            bars = ax.bar(at, values, 0.94 * wide, color=colour, label=method)
            ax.bar_label(bars, fmt="%.0f", fontsize=9, padding=1)
        ax.set_xticks(range(len(SPLIT_LABELS)), SPLIT_LABELS.values())
        ax.set_title(f"{kind} sentences")
    axes[0].set_ylabel("oIoU (%)")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=4)
    return figure


@plt.rc_context(STYLE)
def cost_lines(sides: Sequence[int], costs: Mapping[str, Mapping[str, Sequence[float]]]) -> Figure:
    """What each fusion costs a training step, against the side of the picture.

    Args:
        sides: of the picture, in pixels.
        costs: fusion → {"seconds": one a side, "megabytes": one a side}.
    """
    figure, axes = plt.subplots(1, 2, figsize=(WIDTH, 3.3), layout="constrained")
    shades = colours(costs)
    labels = {"seconds": "seconds, forward and backward", "megabytes": "MB kept for the backward"}
    for ax, (measure, label) in zip(axes, labels.items(), strict=True):
        for (fusion, own), mark in zip(costs.items(), "osD^", strict=False):
            sns.lineplot(x=list(sides), y=list(own[measure]), ax=ax, color=shades[fusion],
                         marker=mark, label=fusion, legend=False)  # fmt: skip
        ax.set(xscale="log", yscale="log", xlabel="side of the picture (pixels)", ylabel=label)
        ax.set_xticks(sides, [str(side) for side in sides])
        low, high = ax.get_ylim()
        marks = [m * 10.0**e for e in range(-3, 5) for m in (1, 2, 5) if low <= m * 10.0**e <= high]
        ax.set_yticks(marks, [f"{mark:g}" for mark in marks])
        ax.minorticks_off()
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=4)
    return figure


@plt.rc_context(STYLE)
def noun_maps(image: np.ndarray, maps: Mapping[str, np.ndarray]) -> Figure:
    """How much each pixel is each noun, in cosines.

    Args:
        image: (H, W, 3) uint8.
        maps: noun to (h, w) in [-1, 1].
    """
    figure, axes = plt.subplots(
        1, len(maps) + 1, figsize=(WIDTH, WIDTH / (len(maps) + 1.4) + 0.3), layout="constrained"
    )
    axes[0].imshow(image)
    axes[0].set_title("picture")
    top = max(float(np.abs(values).max()) for values in maps.values())
    for ax, (noun, values) in zip(axes[1:], maps.items(), strict=True):
        shown = ax.imshow(values, vmin=-top, vmax=top, cmap="PuOr_r", interpolation="nearest")
        ax.set_title(f"“{noun}”")
    for ax in axes:
        ax.set_axis_off()
    bar = figure.colorbar(shown, ax=axes[1:], shrink=0.8)
    bar.set_label("how much it is the noun")
    return figure


@plt.rc_context(STYLE)
def arm_points(arms: Mapping[str, Mapping[str, Sequence[float]]], mine: str) -> Figure:
    """oIoU of arms trained alike, a dot a seed and a bar at their mean, on each split.

    Args:
        arms: name → {split: one number a seed, in percent}.
        mine: the arm that is the paper's.
    """
    figure, axes = plt.subplots(
        1, len(SPLIT_LABELS), figsize=(WIDTH, 0.36 * len(arms) + 1.1), sharey=True,
        layout="constrained",
    )  # fmt: skip
    for ax, (split, label) in zip(axes, SPLIT_LABELS.items(), strict=True):
        for line, (name, own) in enumerate(arms.items()):
            colour = KEPT["ReMamber"] if name.startswith(mine) else BLACK
            ax.plot(own[split], [line] * len(own[split]), "o", color=colour, alpha=0.6)
            ax.plot(np.mean(own[split]), line, "|", color=colour, markersize=14)
        ax.axvline(np.mean(arms[mine][split]), color=KEPT["ReMamber"], linestyle=":", linewidth=1)
        ax.set(title=label, xlabel="oIoU (%)")
        ax.grid(axis="x")
    axes[0].set_yticks(range(len(arms)), arms)
    axes[0].invert_yaxis()
    return figure

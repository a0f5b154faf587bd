"""Figures of fused features: as colours in one basis, as likeness to the support, as clouds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from matplotlib.figure import Figure

from hmnet_lite.workbook.figures.palette import BG, FG, SUPPORT
from hmnet_lite.workbook.figures.parts import STYLE, WIDTH, outline

CLOUDS = {
    "query BG": (BG, "s"),
    "query FG": (FG, "o"),
    "support FG": (SUPPORT, "X"),
}


@plt.rc_context(STYLE)
def feature_table(
    pictures: Sequence[tuple[np.ndarray, np.ndarray]],
    colours: Mapping[str, np.ndarray],
    likeness: Mapping[str, np.ndarray],
) -> Figure:
    """Two lines an episode: features as colours, and their cosine with the support's prototype.

    Args:
        pictures: the query and its mask of each episode, (H, W, 3) uint8 and (H, W).
        colours: name of a fusion to (episodes, h, w, 3) in [0, 1], all in one basis.
        likeness: the same names to (episodes, h, w) in [-1, 1].

    Raises:
        ValueError: other names, or another number of episodes.
    """
    if list(colours) != list(likeness) or any(len(x) != len(pictures) for x in colours.values()):
        raise ValueError(
            f"colours of {', '.join(colours)} and likeness of {', '.join(likeness)} for "
            f"{len(pictures)} episodes; expected the same names and as many episodes each"
        )
    columns, lines = len(colours) + 1, 2 * len(pictures)
    side = WIDTH / (columns + 0.5)
    figure, axes = plt.subplots(
        lines, columns, figsize=(WIDTH, side * lines + 0.35), layout="constrained", squeeze=False
    )
    figure.get_layout_engine().set(w_pad=0.02, h_pad=0.02, wspace=0, hspace=0)
    for ax in axes.flat:
        ax.set_axis_off()
    for i, (image, mask) in enumerate(pictures):
        axes[2 * i, 0].imshow(image)
        outline(axes[2 * i, 0], mask)
        for column, name in enumerate(colours, 1):
            axes[2 * i, column].imshow(np.asarray(colours[name][i], float), interpolation="nearest")
            shown = axes[2 * i + 1, column].imshow(
                np.asarray(likeness[name][i], float), vmin=-1, vmax=1, cmap="cividis",
                interpolation="nearest",
            )  # fmt: skip
    for ax, name in zip(axes[0], ["query", *colours], strict=True):
        ax.set_title(name.replace(" attention", "\nattention").replace(" + ", " +\n"), fontsize=10)
    bar = figure.colorbar(shown, ax=axes[1::2, 1:], shrink=0.8, ticks=[-1, 0, 1], aspect=30)
    bar.set_label("cosine with the prototype")
    return figure


@plt.rc_context(STYLE)
def clouds(panels: Mapping[str, Mapping[str, np.ndarray]], explained: Sequence[float]) -> Figure:
    """The first two components of single pixels, a panel a fusion.

    Args:
        panels: name of a fusion to {one of `CLOUDS`: (pixels, 2)}.
        explained: share of the variance of either component, in [0, 1].
    """
    columns = min(len(panels), 3)
    rows = -(-len(panels) // columns)
    figure, axes = plt.subplots(
        rows, columns, figsize=(WIDTH, 2.7 * rows + 0.6), sharex=True, sharey=True,
        layout="constrained", squeeze=False,
    )  # fmt: skip
    for ax in axes.flat[len(panels) :]:
        ax.set_axis_off()
    for ax, (title, parts) in zip(axes.flat, panels.items(), strict=False):
        for name, (colour, mark) in CLOUDS.items():
            x, y = np.asarray(parts[name], float).T
            sns.scatterplot(x=x, y=y, ax=ax, color=colour, marker=mark, s=16, alpha=0.55,
                            linewidth=0, label=name, legend=False)  # fmt: skip
        ax.set_title(title)
        ax.set_aspect("equal")
    for ax in axes.flat:
        ax.set_ylabel("")
    figure.supylabel(f"component 2 ({100 * explained[1]:.0f} % of the variance)", fontsize=11)
    figure.supxlabel(f"component 1 ({100 * explained[0]:.0f} % of the variance)", fontsize=11)
    known = axes[0, 0].get_legend_handles_labels()
    figure.legend(*known, loc="outside upper center", ncols=len(known[1]), markerscale=1.8)
    return figure

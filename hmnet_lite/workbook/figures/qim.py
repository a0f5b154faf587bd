"""Figures of who is heard: along the dial, by a scan and by QIM, and what the skip's slip does.

One function a figure: arrays in, a matplotlib Axes or Figure out. The support is
blue and the query orange, as in `state`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import cycle

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from hmnet_lite.workbook.figures.palette import (
    BLACK,
    BLUE,
    OWN,
    QUERY,
    REST,
    SIGNED,
    SUPPORT,
    VERMILLION,
    YELLOW,
    colours,
)
from hmnet_lite.workbook.figures.parts import (
    DASHES,
    GAP_LABELS,
    MARKERS,
    STYLE,
    WIDTH,
    pale,
    picture,
)

#: who writes into an output, in the order of bars: colour and hatch
WRITERS = {
    "support": (SUPPORT, ""),
    "own pixel": (OWN, ""),
    "other query FG": (QUERY, "//"),
    "query BG": (REST, ".."),
}


@plt.rc_context(STYLE)
def dial_panels(
    panels: Mapping[str, Mapping[str, Sequence[np.ndarray]]],
    gaps: Sequence[str],
    *,
    ylabel: str,
    bottom: float | None = None,
) -> Figure:
    """Measures along the dial of intra-class gaps: means over episodes, bars of 95 % confidence.

    Args:
        panels: title to {name of a curve: for each gap the (episodes,) values}.
        gaps: the dial's positions, from narrow to wide.
        ylabel: of all panels.
        bottom: where the vertical axis begins; by default where the values do.

    Raises:
        ValueError: a curve has other than one set of values for each gap.
    """
    figure, axes = plt.subplots(
        1, len(panels), figsize=(WIDTH, 3.5), sharey=True, layout="constrained", squeeze=False
    )
    for ax, (title, curves) in zip(axes[0], panels.items(), strict=True):
        looks = _looks(curves)
        for turn, (name, values) in enumerate(curves.items()):
            if len(values) != len(gaps):
                raise ValueError(
                    f"{name!r} has values at {len(values)} gaps; expected {len(gaps)}: "
                    + ", ".join(gaps)
                )
            mean = np.array([np.mean(v) for v in values])
            error = [1.96 * np.std(v, ddof=1) / np.sqrt(len(v)) for v in values]
            x = np.arange(len(gaps)) + 0.04 * (turn - (len(curves) - 1) / 2)
            ax.errorbar(x, mean, error, **looks[name], capsize=3, label=name)
        ax.set_xticks(range(len(gaps)), [GAP_LABELS.get(gap, gap) for gap in gaps])
        ax.set_title(title)
        ax.margins(x=0.08)
    axes[0, 0].set_ylabel(ylabel)
    axes[0, 0].set_ylim(bottom=bottom)
    figure.supxlabel("intra-class gap, from narrow to wide", fontsize=11)
    known = axes[0, 0].get_legend_handles_labels()
    figure.legend(*known, loc="outside upper center", ncols=len(known[1]))
    return figure


@plt.rc_context(STYLE)
def writer_bars(rows: Mapping[str, Mapping[str, float]], *, ax: Axes | None = None) -> Axes:
    """What an output is made of, as stacked bars of 100 %.

    Args:
        rows: label to the share of each of `WRITERS`; shares add up to 1.
        ax: where to draw; a new figure by default.

    Raises:
        ValueError: shares of other writers, or that do not add up to 1.
    """
    ax = ax or plt.subplots(figsize=(WIDTH, 0.38 * len(rows) + 0.9), layout="constrained")[1]
    for label, shares in rows.items():
        if set(shares) != set(WRITERS) or abs(sum(shares.values()) - 1) > 1e-3:
            raise ValueError(
                f"{label!r} has {dict(shares)}; expected shares of {', '.join(WRITERS)} that add "
                "up to 1"
            )
    left = np.zeros(len(rows))
    for name, (colour, hatch) in WRITERS.items():
        width = np.array([100 * shares[name] for shares in rows.values()])
        bars = ax.barh(range(len(rows)), width, 0.7, left, color=colour, hatch=hatch,
                       edgecolor="white", label=name)  # fmt: skip
        for bar, value, start in zip(bars, width, left, strict=True):
            if value >= 5:
                ax.text(
                    start + value / 2, bar.get_y() + 0.35, f"{value:.0f}", ha="center", va="center",
                    fontsize=9, color="white" if colour == SUPPORT else BLACK,
                    bbox=dict(facecolor=colour, edgecolor="none", pad=1) if hatch else None,
                )  # fmt: skip
        left = left + width
    ax.set_yticks(range(len(rows)), list(rows))
    ax.set(
        xlim=(0, 100),
        ylim=(len(rows) - 0.5, -0.5),
        xlabel="share of the output without its skip (%)",
    )
    ax.grid(False)
    ax.tick_params(axis="y", length=0)
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=len(WRITERS))
    return ax


@plt.rc_context(STYLE)
def hearing_matrices(
    matrices: Mapping[str, np.ndarray], *, segment: int = 0, decades: int = 5
) -> Figure:
    """Who hears whom: row p, column q dark where output pixel p depends on input pixel q.

    Args:
        matrices: title to (pixels, pixels) sizes of derivatives, in the order of the scan; blank
            where they are exactly zero. Scaled by each matrix's largest.
        segment: pixels between two recaps, marked by thin lines; 0: none.
        decades: range of the logarithmic colours.
    """
    figure, axes = plt.subplots(
        1, len(matrices), figsize=(WIDTH, 3.3), layout="constrained", squeeze=False
    )
    norm = LogNorm(10.0**-decades, 1, clip=True)
    for ax, (title, matrix) in zip(axes[0], matrices.items(), strict=True):
        matrix = np.asarray(matrix, float)
        shown = np.ma.masked_equal(matrix / matrix.max(), 0)
        image = ax.imshow(shown, cmap="viridis_r", norm=norm, interpolation="nearest")
        for at in range(segment, len(matrix), segment) if segment else ():
            for line in (ax.axhline, ax.axvline):
                line(at - 0.5, color="0.8", linewidth=0.5)
        ax.set(title=title, xlabel="input pixel q", xticks=[], yticks=[])
        ax.grid(False)
        ax.spines[:].set_visible(True)
    axes[0, 0].set_ylabel("output pixel p")
    figure.colorbar(image, ax=list(axes[0]), label="derivative, 1 = largest", shrink=0.8)
    return figure


@plt.rc_context(STYLE)
def skip_slip(D: np.ndarray, difference: np.ndarray) -> Figure:
    """The released skip: one number for all channels, and what that changes.

    Args:
        D: (channels,) skip of every channel; the published code uses D[0] for all.
        difference: (channels, pixels), output with the slip minus output without.
    """
    D, order = np.asarray(D, float), np.argsort(D)
    figure, (left, right) = plt.subplots(
        1, 2, figsize=(WIDTH, 3.4), width_ratios=(1.25, 1), layout="constrained"
    )
    left.axhline(
        D[0], color=VERMILLION, linestyle="--", label="as released: $D_0$ for every channel"
    )
    left.plot(D[order], "o", color=BLUE, markersize=4, label="Mamba: one D a channel")
    left.plot(np.flatnonzero(order == 0), D[:1], "D", color=VERMILLION, markersize=8,
              markeredgecolor="white")  # fmt: skip
    left.set(xlabel="channels, sorted by D", ylabel="D")
    left.legend(loc="lower center", bbox_to_anchor=(0.5, 1))
    top = np.abs(difference).max()
    image = right.imshow(difference[order], cmap=SIGNED, vmin=-top, vmax=top, aspect="auto",
                         interpolation="nearest")  # fmt: skip
    right.set(title="difference of QIM's output", xlabel="query pixels", ylabel="channels, sorted")
    right.xaxis.set_major_locator(MaxNLocator(integer=True))
    right.grid(False)
    figure.colorbar(image, ax=right)
    return figure


@plt.rc_context(STYLE)
def stage_lines(
    panels: Mapping[str, Mapping[str, np.ndarray]], stages: Sequence[str], *, ylabel: str
) -> Figure:
    """A measure from stage to stage of networks, as its change since the first stage.

    Args:
        panels: title to {name of a network: (stages,) values}.
        stages: names, from input to output.
        ylabel: what is measured.
    """
    figure, axes = plt.subplots(
        1, len(panels), figsize=(WIDTH, 3.4), sharey=True, layout="constrained", squeeze=False
    )
    for ax, (title, networks) in zip(axes[0], panels.items(), strict=True):
        looks = _looks(networks)
        for name, values in networks.items():
            values = np.asarray(values, float)
            ax.plot(range(len(stages)), values - values[0], **looks[name], label=name)
        ax.axhline(0, color="0.5", linewidth=0.8, zorder=0)
        ax.set_xticks(range(len(stages)), stages)
        ax.set_title(title)
        ax.margins(x=0.15)
    axes[0, 0].set_ylabel(ylabel)
    known = axes[0, 0].get_legend_handles_labels()
    figure.legend(*known, loc="outside upper center", ncols=len(known[1]))
    return figure


@plt.rc_context(STYLE)
def who_is_heard(
    images: tuple[np.ndarray, np.ndarray],
    maps: tuple[np.ndarray, np.ndarray],
    pixel: tuple[int, int],
    shares: Mapping[str, Mapping[str, float]],
) -> Figure:
    """From where one query pixel's output comes: support pixels, query pixels, and their sums.

    Args:
        images: support and query, (H, W, 3) uint8.
        maps: how loud each pixel of the support as it is scanned, and of the query, is at the
            chosen one, (height, width) each, ≥ 0; both in the same unit.
        pixel: (row, column) of the chosen pixel of the query's map.
        shares: for `writer_bars`.

    Raises:
        ValueError: the pixel is not on the query's map.
    """
    if not all(0 <= i < n for i, n in zip(pixel, maps[1].shape, strict=True)):
        raise ValueError(f"pixel {pixel} is not on the map of {maps[1].shape}")
    figure = plt.figure(figsize=(WIDTH, 5.0), layout="constrained")
    upper, lower = figure.subfigures(2, 1, height_ratios=(3.4, 1.6))
    axes = upper.subplots(1, 2)
    others = maps[1].copy()
    others[pixel] = 0  # a pixel hears itself the loudest; that would drown the rest
    loudest = max(maps[0].max(), others.max()) or 1
    both = (SUPPORT, QUERY)
    titles = (
        "the support, as loud as it is heard",
        "the query, likewise; framed: the chosen pixel",
    )
    for ax, image, loud, colour, title in zip(
        axes, images, (maps[0], others), both, titles, strict=True
    ):
        grey = np.asarray(image, float).mean(-1, keepdims=True)
        picture(ax, np.broadcast_to(pale(grey, 0.45), image.shape), title)
        veil = np.zeros((*loud.shape, 4))
        veil[..., :3] = to_rgb(colour)
        veil[..., 3] = 0.9 * np.sqrt(loud / loudest)  # the root lets faint ones show
        extent = (-0.5, image.shape[1] - 0.5, image.shape[0] - 0.5, -0.5)
        ax.imshow(veil, extent=extent, interpolation="nearest")
    height, width = (n / m for n, m in zip(images[1].shape, maps[1].shape, strict=False))
    axes[1].add_patch(
        Rectangle(
            (pixel[1] * width - 0.5, pixel[0] * height - 0.5), width, height, facecolor=YELLOW,
            edgecolor=BLACK, linewidth=2,
        )
    )  # fmt: skip
    writer_bars(shares, ax=lower.subplots())
    return figure


def _looks(names: Iterable[str]) -> dict[str, dict]:
    """Colour, dash and mark of each of a panel's curves."""
    return {
        name: dict(color=colour, linestyle=dash, marker=mark)
        for (name, colour), dash, mark in zip(
            colours(names).items(), cycle(DASHES), cycle(MARKERS), strict=False
        )
    }

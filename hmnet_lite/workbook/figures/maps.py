"""Maps of the networks: boxes and arrows, what is frozen, what is computed, what is trained."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from hmnet_lite.workbook.figures.palette import BLACK, BLUE, COMPUTED, FROZEN, ORANGE, TRAINED
from hmnet_lite.workbook.figures.parts import STYLE, WIDTH

Point = tuple[float, float]
Box = tuple[float, float, float, float, str, str]  # left, bottom, width, height, text, kind

LOOKS = {
    "given": dict(facecolor="white", edgecolor="0.4"),
    "frozen": dict(facecolor=FROZEN, edgecolor="0.4"),
    "computed": dict(facecolor=COMPUTED, edgecolor=ORANGE),
    "trained": dict(facecolor=TRAINED, edgecolor=BLUE),
}
MEANING = {
    "given": "given",
    "frozen": "frozen, learned elsewhere",
    "computed": "computed, nothing learned",
    "trained": "trained on episodes",
}

LITE_BOXES: tuple[Box, ...] = (
    (0, 31, 14, 9, "query\npicture", "given"),
    (0, 15, 14, 9, "support\npictures", "given"),
    (0, 2, 14, 7, "support masks", "given"),
    (20, 15, 14, 25, "backbone\n\npicture →\nmap of\nfeatures", "frozen"),
    (41, 33, 15, 10, "prior maps\nlook-alikes of\nthe target", "computed"),
    (41, 2, 15, 10, "prototype\nmean feature of\nthe target", "computed"),
    (63, 11, 17, 24, "Mamba mixer\n\nthe query reads\nthe support", "trained"),
    (86, 18, 14, 10, "decoder\nfeatures →\nmask", "trained"),
)
LITE_ARROWS: tuple[tuple[Point, ...], ...] = (
    ((14, 35.5), (20, 35.5)),
    ((14, 19.5), (20, 19.5)),
    ((34, 38), (41, 38)),  # features to the prior
    ((34, 29), (63, 29)),  # the query's features
    ((34, 18), (63, 18)),  # the supports' features
    ((48.5, 18), (48.5, 12)),  # supports to the prototype
    ((14, 5.5), (41, 5.5)),  # masks to the prototype
    ((37.5, 5.5), (37.5, 35), (41, 35)),  # masks to the prior
    ((56, 38), (71.5, 38), (71.5, 35)),
    ((56, 7), (71.5, 7), (71.5, 11)),
    ((80, 23), (86, 23)),
    ((27, 40), (27, 44.5), (93, 44.5), (93, 28)),  # fine features to the decoder
)

PUBLISHED_BOXES: tuple[Box, ...] = (
    (0, 44, 11, 8, "query\npicture", "given"),
    (0, 27, 11, 8, "support\npictures", "given"),
    (0, 11, 11, 8, "support\nmasks", "given"),
    (16, 26, 11, 27, "backbone\n\nResNet-50\nor VGG-16", "frozen"),
    (36, 47, 16, 8, "base learner\n(PSPNet head)", "frozen"),
    (36, 33, 16, 8, "two priors", "computed"),
    (36, 15, 16, 11, "reduce,\nprototype,\nmerge", "trained"),
    (66, 1, 14, 7, "style distance", "computed"),
    (66, 14, 14, 13, "Mamba mixer\n\nself, hybrid,\nself, …", "trained"),
    (66, 36, 14, 8, "decoder\n(ASPP)", "trained"),
    (89.5, 15, 10.5, 30, "ensemble\n\nwhom to\nbelieve?", "trained"),
)
PUBLISHED_ARROWS: tuple[tuple[Point, ...], ...] = (
    ((11, 48), (16, 48)),
    ((11, 31), (16, 31)),
    ((27, 51), (36, 51)),  # F4 to the base learner
    ((31.5, 51), (31.5, 38.5), (36, 38.5)),  # F4 to the priors
    ((49, 47), (49, 41)),  # Fb to the priors
    ((52, 51), (94.7, 51), (94.7, 45)),  # base foreground
    ((44, 33), (44, 26)),  # priors to the merge
    ((21, 26), (21, 4.5), (66, 4.5)),  # F2 to the style distance
    ((24, 26), (24, 23), (36, 23)),  # F2 and F3 to the merge
    ((11, 17), (36, 17)),  # masks to the merge
    ((33.5, 17), (33.5, 35.5), (36, 35.5)),  # masks to the priors
    ((52, 23.8), (66, 23.8)),
    ((52, 18.2), (66, 18.2)),
    ((73, 27), (73, 36)),
    ((80, 40), (89.5, 40)),
    ((80, 4.5), (86, 4.5), (86, 22), (89.5, 22)),
    ((94.7, 15), (94.7, 12.7)),
)
# shape's name: (where it is written, alignment, what is written before it)
SHAPE_LABELS = {
    "picture": ((5.5, 53.3), "center", ""),
    "low": ((22, 12.6), "left", "F2  "),
    "mid": ((22, 10.2), "left", "F3  "),
    "deep": ((32.3, 44.2), "left", "F4\n"),
    "base": ((50, 44.2), "left", "Fb  "),
    "prior": ((44.7, 29.6), "left", ""),
    "mask": ((12, 18.4), "left", ""),
    "query_in": ((59, 25.4), "center", ""),
    "support_in": ((59, 16.6), "center", ""),
    "query_out": ((73.8, 31.5), "left", ""),
    "meta_logits": ((80.6, 41.4), "left", ""),
    "base_foreground": ((74, 52.3), "center", ""),
    "style_distance": ((80.6, 6), "left", "ψ  "),
    "scores": ((94.7, 11.3), "center", ""),
}


@plt.rc_context(STYLE)
def network_map() -> Figure:
    """HMNet-lite as boxes and arrows."""
    figure, ax = plt.subplots(figsize=(WIDTH, 4.1), layout="constrained")
    ax.set(xlim=(0, 100), ylim=(-4, 48))
    draw_map(ax, LITE_BOXES, LITE_ARROWS, legend=(0, 14, 46, 76))
    ax.plot([48.5, 48.5], [43, 44.5], color=BLACK, lw=1.3)  # the priors go along
    for x, y, side, text in (
        (70, 45, "center", "fine features and priors, for sharp edges"),
        (61, 29.4, "right", "query's features"),
        (61, 18.4, "right", "supports' · mask"),
    ):
        ax.text(x, y, text, ha=side, va="bottom", fontsize=9)
    return figure


@plt.rc_context(STYLE)
def published_map(shapes: Mapping[str, Sequence[int]]) -> Figure:
    """The published HMNet as boxes and arrows, with the shape of what goes along each arrow.

    Args:
        shapes: name to a shape without its batch axis. Names: picture, mask, low, mid, deep, base,
            prior, query_in, support_in, query_out, meta_logits, base_foreground, style_distance,
            scores.

    Raises:
        ValueError: a shape is missing or not known.
    """
    if set(shapes) != set(SHAPE_LABELS):
        raise ValueError(f"shapes has {sorted(shapes)}; expected {sorted(SHAPE_LABELS)}")
    figure, ax = plt.subplots(figsize=(WIDTH, 5.3), layout="constrained")
    ax.set(xlim=(-0.5, 100.5), ylim=(-6, 58))
    draw_map(ax, PUBLISHED_BOXES, PUBLISHED_ARROWS, legend=(0, 14, 44, 76))
    for name, ((x, y), side, before) in SHAPE_LABELS.items():
        text = before + " × ".join(map(str, shapes[name]))
        ax.text(x, y, text, ha=side, va="center", fontsize=8.5, color="0.25")
    for x, y, text in (
        (59, 22.3, "query"),
        (59, 19.7, "support"),
        (94.7, 7.6, "background,\nforeground"),
    ):
        ax.text(x, y, text, ha="center", va="center", fontsize=8.5)
    return figure


def draw_map(
    ax: Axes,
    boxes: Iterable[Box],
    arrows: Iterable[Sequence[Point]],
    *,
    legend: Sequence[float],
) -> None:
    """Boxes, arrows along their corners, and a legend of the kinds at the lower edge.

    Args:
        ax: with its limits set; its axes are hidden.
        boxes: in the units of the axes, of a kind in `LOOKS` each.
        arrows: the corners of each, from its tail to its tip.
        legend: the left of each kind's entry.
    """
    ax.set_axis_off()
    for left, bottom, width, height, text, kind in boxes:
        shape = "round,pad=0,rounding_size=1.2"
        ax.add_patch(
            FancyBboxPatch((left, bottom), width, height, boxstyle=shape, lw=1.5, **LOOKS[kind])
        )
        ax.text(left + width / 2, bottom + height / 2, text, ha="center", va="center", fontsize=9.5)
    tip = dict(arrowstyle="-|>", mutation_scale=12, lw=1.3, color=BLACK, shrinkA=0, shrinkB=0)
    for corners in arrows:
        ax.plot(*zip(*corners[:-1], strict=True), color=BLACK, lw=1.3, solid_capstyle="round")
        ax.add_patch(FancyArrowPatch(corners[-2], corners[-1], **tip))
    low = ax.get_ylim()[0] + 0.5
    for left, (kind, meaning) in zip(legend, MEANING.items(), strict=True):
        ax.add_patch(plt.Rectangle((left, low), 3, 2.5, lw=1.2, **LOOKS[kind]))
        ax.text(left + 4, low + 1.25, meaning, va="center", fontsize=9)

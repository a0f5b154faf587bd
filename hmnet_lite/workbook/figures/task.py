"""Figures of the task: episodes, predictions, tables of pictures, grids of pixels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from hmnet_lite.scoring.metrics import as_mask, mask_iou
from hmnet_lite.workbook.figures.palette import BLUE, FALSE_ALARM, HIT, MISSED
from hmnet_lite.workbook.figures.parts import STYLE, WIDTH, grid, joined, outline, picture


@plt.rc_context(STYLE)
def episode_picture(episode: Any, *, answer: bool = True) -> Figure:
    """The task: supports with the target outlined, the query, and the query's answer.

    Args:
        episode: an :class:`~hmnet_lite.data.episode.Episode`, or anything like it.
        answer: False leaves the answer to the reader.
    """
    shots = len(episode.support_images)
    figure, axes = grid(shots + 2, columns=4 if shots > 2 else shots + 2, largest=3.2, above=0.3)
    styles = tuple(episode.support_styles) or ("",) * shots
    for shot, ax in enumerate(axes[:shots]):
        title = "support" if shots == 1 else f"support {shot + 1}"
        picture(ax, episode.support_images[shot], joined(title, styles[shot]))
        outline(ax, episode.support_masks[shot])
    query, last = axes[shots : shots + 2]
    picture(query, episode.query_image, joined("query", episode.query_style))
    if answer:
        picture(last, episode.query_image, f"answer: {episode.class_name}")
        outline(last, episode.query_mask)
    else:
        picture(last, np.full_like(episode.query_image, 235), "answer: where?")
        last.text(0.5, 0.5, "?", transform=last.transAxes, ha="center", va="center", fontsize=60)
    return figure


@plt.rc_context(STYLE)
def prediction_grid(
    episodes: Sequence[Any], predictions: Mapping[str, Sequence[Any]], *, side: float | None = None
) -> Figure:
    """Episodes x (support, query with the truth outlined, every method's prediction).

    A prediction is painted on the greyed query: hits, false alarms and missed pixels, with the
    foreground IoU of that one picture above it. Ignored pixels stay unpainted.

    Args:
        episodes: the rows.
        predictions: name to one (H, W) mask for each episode, as ``Scores.update`` takes them.
        side: of a panel, in inches; by default they fill the notebook's width.

    Raises:
        ValueError: no episodes, or a method has another number of predictions than episodes.
    """
    if not len(episodes):
        raise ValueError("there are no episodes to show; expected at least one")
    for name, masks in predictions.items():
        if len(masks) != len(episodes):
            raise ValueError(
                f"{name!r} has {len(masks)} predictions for {len(episodes)} episodes; expected "
                "one each, in the same order"
            )
    rows, columns = len(episodes), 2 + len(predictions)
    side = side or min(WIDTH / columns, 2.6)
    figure, axes = plt.subplots(
        rows,
        columns,
        figsize=(side * columns, (side + 0.28) * rows + 0.7),
        layout="constrained",
        squeeze=False,
    )
    for row, (episode, line) in enumerate(zip(episodes, axes, strict=True)):
        more = len(episode.support_images) - 1
        picture(line[0], episode.support_images[0], f"support (+{more})" if more else "support")
        outline(line[0], episode.support_masks[0])
        picture(line[1], episode.query_image, f"query: {episode.class_name}")
        outline(line[1], episode.query_mask)
        for ax, (name, masks) in zip(line[2:], predictions.items(), strict=True):
            iou = mask_iou(masks[row], episode.query_mask)
            value = "IoU undefined" if iou is None else f"IoU {100 * iou:.0f} %"
            picture(
                ax,
                paint_prediction(episode.query_image, masks[row], episode.query_mask),
                f"{name}\n{value}" if row == 0 else value,
            )
    if predictions:
        figure.legend(
            handles=[
                Patch(facecolor=colour, edgecolor="0.3", label=label)
                for colour, label in (
                    (HIT, "hit"),
                    (FALSE_ALARM, "false alarm"),
                    (MISSED, "missed"),
                )
            ],
            loc="outside lower center",
            ncols=3,
        )
    return figure


def paint_prediction(image: np.ndarray, prediction: Any, target: np.ndarray) -> np.ndarray:
    """``image`` (H, W, 3) in light grey, its pixels tinted ``HIT``, ``FALSE_ALARM``, ``MISSED``.

    Ignored pixels (255) stay grey. Returns uint8 (H, W, 3).
    """
    found, truth = as_mask(prediction), np.asarray(target)
    grey = np.asarray(image, dtype=float).mean(-1, keepdims=True)
    painted = np.repeat(127.5 + grey / 2, 3, axis=-1)
    for colour, where in (
        (HIT, found & (truth == 1)),
        (FALSE_ALARM, found & (truth == 0)),
        (MISSED, ~found & (truth == 1)),
    ):
        tint = 255 * np.array(to_rgb(colour))
        painted[where] = 0.75 * tint + 0.25 * grey[where]
    return painted.round().astype(np.uint8)


@plt.rc_context(STYLE)
def picture_table(
    rows: Mapping[str, Sequence[np.ndarray]],
    columns: Sequence[str] = (),
    *,
    masks: Mapping[str, Sequence[np.ndarray]] | None = None,
    captions: Mapping[str, Sequence[str]] | None = None,
    side: float | None = None,
) -> Figure:
    """Pictures in labelled rows, under column titles.

    Args:
        rows: row's name to its pictures, (H, W, 3) uint8 each, as many in every row.
        columns: one title for each column, or none.
        masks: row's name to (H, W) masks of {0, 1, 255} to outline in its pictures.
        captions: row's name to a line above each of its pictures.
        side: of a picture, in inches; by default they fill the notebook's width.

    Raises:
        ValueError: no pictures, rows of different lengths, or another number of titles.
    """
    lengths = {name: len(line) for name, line in rows.items()}
    if not lengths or len(set(lengths.values())) != 1 or not all(lengths.values()):
        raise ValueError(f"rows hold {lengths} pictures; expected as many in each, at least one")
    count = next(iter(lengths.values()))
    if columns and len(columns) != count:
        raise ValueError(f"{len(columns)} column titles for {count} columns; expected one each")
    masks, captions = masks or {}, captions or {}
    label = 0.11 * max(map(len, rows)) + 0.1  # inches that the longest row name takes
    side = side or min((WIDTH - label) / count, 2.4)
    height = sum(side + (0.22 if name in captions else 0.04) for name in rows)
    height += 0.22 if columns else 0
    figure, axes = plt.subplots(
        len(rows), count, figsize=(label + side * count, height), layout="constrained",
        squeeze=False,
    )  # fmt: skip
    figure.get_layout_engine().set(w_pad=0.02, h_pad=0.02, wspace=0.0, hspace=0.0)
    for row, (line, (name, images)) in enumerate(zip(axes, rows.items(), strict=True)):
        tops = columns if columns and row == 0 else [""] * count
        words = zip(tops, captions.get(name, [""] * count), strict=True)
        for position, (ax, image, above) in enumerate(zip(line, images, words, strict=True)):
            picture(ax, image, "\n".join(filter(None, above)))
            if name in masks:
                outline(ax, masks[name][position])
        line[0].annotate(
            name, (0, 0.5), (-6, 0), xycoords="axes fraction", textcoords="offset points",
            ha="right", va="center", fontsize=STYLE["axes.titlesize"],
        )  # fmt: skip
    return figure


@plt.rc_context(STYLE)
def pixel_grids(grids: Mapping[str, np.ndarray], *, side: float = 1.9) -> Figure:
    """Small masks, every pixel with its value: 1 dark, 0 light, 255 hatched.

    Args:
        grids: title to (H, W) integers or bools in {0, 1, 255}.
        side: of a grid, in inches.
    """
    figure, axes = plt.subplots(
        1, len(grids), figsize=(side * len(grids), side + 0.3), layout="constrained", squeeze=False
    )
    for ax, (title, values) in zip(axes[0], grids.items(), strict=True):
        values = np.asarray(values).astype(int)
        height, width = values.shape
        ax.set(xlim=(0, width), ylim=(height, 0), aspect="equal", title=title)
        ax.set_axis_off()
        for (row, column), value in np.ndenumerate(values):
            ax.add_patch(
                plt.Rectangle(
                    (column, row), 1, 1, facecolor=BLUE if value == 1 else "white",
                    edgecolor="0.6", hatch="////" if value == 255 else None,
                )
            )  # fmt: skip
            ax.text(
                column + 0.5, row + 0.5, value, ha="center", va="center",
                color="white" if value == 1 else "0.35", fontsize=10 if value == 255 else 12,
                bbox=dict(facecolor="white", edgecolor="none", pad=1) if value == 255 else None,
            )  # fmt: skip
    return figure


def zoomed_support(episode: Any, cells: int = 16) -> tuple[np.ndarray, np.ndarray]:
    """The first support as a zooming network's mixer is shown it: cut to the box of its class.

    Args:
        episode: with `support_images` and `support_masks`.
        cells: sides of the map on which the network cuts.

    Returns:
        (H, W, 3) uint8 and (H, W) uint8 of {0, 1}.
    """
    import torch
    import torch.nn.functional as F

    from hmnet_lite.models.zoom import zoom

    image = torch.from_numpy(episode.support_images[0]).permute(2, 0, 1)[None].float()
    mask = torch.from_numpy(episode.support_masks[:1] == 1).float()
    share = F.interpolate(F.adaptive_avg_pool2d(mask, cells)[None], image.shape[-2:])[0]
    cut = zoom(torch.cat([image, mask[None]], dim=1), share)[0][0].permute(1, 2, 0).numpy()
    return cut[..., :3].clip(0, 255).astype(np.uint8), (cut[..., 3] > 0.5).astype(np.uint8)

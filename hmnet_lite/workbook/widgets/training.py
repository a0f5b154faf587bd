"""The training film: masks while networks were trained, beside their loss."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hmnet_lite.scoring.metrics import mask_iou
from hmnet_lite.workbook.figures.palette import colours
from hmnet_lite.workbook.figures.task import paint_prediction, picture_table
from hmnet_lite.workbook.widgets.live import Live, Picture, in_steps, still

POINTS = 120  # of a loss curve, each the mean of the steps around it
COARSE = 2  # answers are kept at the picture's side over this


def training_film(
    episodes: Sequence[Any],
    runs: Mapping[str, Mapping[int, np.ndarray]],
    losses: Mapping[str, Sequence[float]],
    titles: Sequence[str] = (),
) -> Live:
    """Masks of fixed episodes while networks were trained, and where on the loss curve that was.

    Controls: how much of the training was done, play, and the threshold of the masks.

    Args:
        episodes: with `query_image` and `query_mask`.
        runs: network's name to its snapshots: percent of the training done to foreground
            probabilities, (episodes, H, W) in [0, 1]. All networks have the same percents.
        losses: the same names, each to the loss of every step.
        titles: one for each episode, or none.

    Raises:
        ValueError: no runs, or snapshots or losses that do not fit each other or the episodes.
    """
    moments = {name: tuple(snapshots) for name, snapshots in runs.items()}
    if len(set(moments.values())) != 1 or not all(moments.values()):
        raise ValueError(f"runs have snapshots at {moments}; expected the same for every network")
    if list(losses) != list(runs):
        raise ValueError(f"losses of {list(losses)}; expected those of {list(runs)}")
    for name, snapshots in runs.items():
        for percent, maps in snapshots.items():
            if len(maps) != len(episodes):
                raise ValueError(
                    f"{name!r} has {len(maps)} maps at {percent} %; expected one for each of "
                    f"{len(episodes)} episodes"
                )
    data = {
        "networks": list(runs),
        "colours": list(colours(runs).values()),
        "percents": list(next(iter(moments.values()))),
        "titles": list(titles or [f"episode {i + 1}" for i in range(len(episodes))]),
        "query": [
            {
                "image": Picture(e.query_image[::COARSE, ::COARSE]),
                "mask": np.ascontiguousarray(e.query_mask[::COARSE, ::COARSE]),
            }
            for e in episodes
        ],
        "answers": {
            name: [[in_steps(p[::COARSE, ::COARSE]) for p in maps] for maps in snapshots.values()]
            for name, snapshots in runs.items()
        },
        "losses": {name: smoothed(loss) for name, loss in losses.items()},
    }
    alt = "Masks of fixed pictures by each network when its training was done"
    return Live("training", data, still(_still(data)), alt)


def smoothed(loss: Sequence[float]) -> np.ndarray:
    """(`POINTS` at most,) float32: means over as many pieces of the steps, in order."""
    pieces = np.array_split(np.asarray(loss, float), min(POINTS, len(loss)))
    return np.array([piece.mean() for piece in pieces], np.float32)


def _still(data: Mapping[str, Any]) -> Any:
    """The last moment: a line a network, a column an episode."""
    rows, captions = {}, {}
    for name in data["networks"]:
        pairs = list(zip(data["query"], data["answers"][name][-1], strict=True))
        masks = [p > 255 * 0.5 for _, p in pairs]
        rows[name] = [
            paint_prediction(q["image"].image, m, q["mask"])
            for (q, _), m in zip(pairs, masks, strict=True)
        ]
        captions[name] = [
            f"IoU {100 * (mask_iou(m, q['mask']) or 0):.0f} %"
            for (q, _), m in zip(pairs, masks, strict=True)
        ]
    return picture_table(rows, data["titles"], captions=captions)

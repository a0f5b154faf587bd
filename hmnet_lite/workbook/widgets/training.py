"""The live picture of notebook 07: masks while networks were trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hmnet_lite.workbook.widgets.parts import jpeg, live_picture


def training_replay(
    episodes: Sequence[Any],
    runs: Mapping[str, Mapping[int, np.ndarray]],
    titles: Sequence[str] = (),
) -> Any:
    """Masks of fixed episodes while networks were trained.

    Controls: how much of the training was done, and the probability a pixel needs to be foreground.

    Args:
        episodes: with `query_image` and `query_mask`.
        runs: network's name to its snapshots: percent of the training done to foreground
            probabilities, (episodes, H, W) in [0, 1]. All networks have the same percents.
        titles: one above each episode, or none.

    Raises:
        ValueError: no runs, or snapshots that do not fit each other or the episodes.
    """
    import ipywidgets

    from hmnet_lite.scoring.metrics import mask_iou
    from hmnet_lite.workbook.figures.task import paint_prediction, picture_table

    moments = {name: tuple(snapshots) for name, snapshots in runs.items()}
    if len(set(moments.values())) != 1 or not all(moments.values()):
        raise ValueError(f"runs have snapshots at {moments}; expected the same for every network")
    for name, snapshots in runs.items():
        for percent, maps in snapshots.items():
            if len(maps) != len(episodes):
                raise ValueError(
                    f"{name!r} has {len(maps)} maps at {percent} %; expected one for each of "
                    f"{len(episodes)} episodes"
                )

    def draw(done: int, threshold: float) -> bytes:
        rows = {"truth": [e.query_image for e in episodes]}
        captions = {"truth": [getattr(e, "class_name", "") for e in episodes]}
        for name, snapshots in runs.items():
            masks = [p > threshold for p in snapshots[done]]
            pairs = list(zip(episodes, masks, strict=True))
            rows[name] = [paint_prediction(e.query_image, m, e.query_mask) for e, m in pairs]
            captions[name] = [
                f"IoU {100 * (mask_iou(m, e.query_mask) or 0):.0f} %" for e, m in pairs
            ]
        truth = {"truth": [e.query_mask for e in episodes]}
        return jpeg(picture_table(rows, titles, captions=captions, masks=truth))

    options = [(f"{percent} %", percent) for percent in next(iter(moments.values()))]
    wide = {"style": {"description_width": "130px"}, "layout": {"width": "480px"}}
    return live_picture(
        draw,
        done=ipywidgets.SelectionSlider(
            options=options, value=options[-1][1], description="training done", **wide
        ),
        threshold=ipywidgets.FloatSlider(
            value=0.5, min=0.05, max=0.95, step=0.05, description="threshold",
            continuous_update=False, **wide,
        ),
    )  # fmt: skip

"""Swap the support: show the mixer, and nothing else, the right support, a wrong one, or none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hmnet_lite.analysis.swap import SHOWN, swapped_supports
from hmnet_lite.data.episode import Episode
from hmnet_lite.models.lite import HMNet
from hmnet_lite.scoring.metrics import mask_iou
from hmnet_lite.workbook.figures.task import paint_prediction, picture_table
from hmnet_lite.workbook.widgets.live import Live, in_steps, seen_as, still


def swap_the_support(
    networks: Mapping[str, HMNet],
    episodes: Mapping[str, Episode],
    others: Mapping[str, Episode],
) -> Live:
    """See which networks listen to their mixer's support.

    Controls: the gap, what the mixer is shown, the threshold of the masks.

    Args:
        networks: name to network.
        episodes: name of a gap to its episode.
        others: the same names, each to an episode of another class, whose support is the wrong one.
    """
    given = list(episodes.values()), [others[gap] for gap in episodes]
    answers = {name: swapped_supports(model, *given) for name, model in networks.items()}
    data = {
        "networks": list(networks),
        "gaps": list(episodes),
        "shown": list(SHOWN),
        "answers": {
            name: {
                gap: [in_steps(own[shown][i].numpy()) for shown in SHOWN]
                for i, gap in enumerate(episodes)
            }
            for name, own in answers.items()
        },
        "query": {gap: seen_as(e.query_image, e.query_mask) for gap, e in episodes.items()},
        "supports": {
            gap: [seen_as(e.support_images[0], e.support_masks[0]) for e in (episode, others[gap])]
            for gap, episode in episodes.items()
        },
    }
    alt = "Answers of networks whose mixer is shown the right support, another class's, or none"
    return Live("swap", data, still(_still(data)), alt)


def _still(data: Mapping[str, Any]) -> Any:
    """The first gap: a line a network, a column for each support."""
    gap = data["gaps"][0]
    query = data["query"][gap]
    image, mask = query["image"].image, query["mask"]
    rows, captions = {}, {}
    for name in data["networks"]:
        masks = [p > 255 * 0.5 for p in data["answers"][name][gap]]
        rows[name] = [paint_prediction(image, m, mask) for m in masks]
        captions[name] = [f"IoU {100 * (mask_iou(m, mask) or 0):.0f} %" for m in masks]
    return picture_table(rows, data["shown"], captions=captions)

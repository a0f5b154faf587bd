"""Walk the network: a map of HMNet-lite; each box shows its maps, its shape and what it costs."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from hmnet_lite.analysis.fused_pca import fit_basis
from hmnet_lite.analysis.walk import Stop, walk
from hmnet_lite.data.episode import Episode
from hmnet_lite.models.lite import HMNet
from hmnet_lite.workbook.figures.task import picture_table, zoomed_support
from hmnet_lite.workbook.widgets.live import Live, as_bytes, seen_as, still

#: stop → (left, top, width, height) on a field of 100 × 42, what it is, what it does
BOXES: dict[str, tuple[tuple[float, ...], str, str]] = {
    "query": ((0, 1, 12, 10), "given", "The picture to look in."),
    "support": (
        (0, 22, 12, 10),
        "given",
        "The picture that shows the thing, and its mask, which says which cells count.",
    ),
    "backbone": (
        (16, 1, 11, 31),
        "frozen",
        "An EfficientNet trained on photographs: a cell for every 16 pixels, three depths on top "
        "of each other. For sharp edges the decoder also gets its finer map.",
    ),
    "metric": (
        (31, 1, 11, 31),
        "frozen",
        "Plays down the directions in which drawings of one class differ: a matrix for each depth, "
        "fitted once to the base classes, no gradient.",
    ),
    "evidence": (
        (46, 26, 14, 10),
        "computed",
        "Seven maps of likeness between query and support, for each depth and for all together; a "
        "batch norm scales them. Counted here, too: all sums and products between the boxes.",
    ),
    "merge": (
        (62, 8, 9, 18),
        "trained",
        "1 × 1 convolutions bring query and support to the mixer's width. The query gets the "
        "prototype and the evidence beside it, the support its mask.",
    ),
    "block 1": (
        (74, 8, 9.5, 18),
        "trained",
        "A self block: either picture scans itself in four directions.",
    ),
    "block 2": (
        (86.5, 8, 10.5, 18),
        "trained",
        "A hybrid block: SRM reads the support before every patch of the query, QIM lets every "
        "pixel meet the support's state alone; the two are added.",
    ),
    "decoder": (
        (84.5, 31, 14.5, 10),
        "trained",
        "Three views of the mixed map, then the finer features and the evidence: the probability "
        "of foreground, at twice the resolution.",
    ),
}
ARROWS = (  # corners, tail to tip
    ((12, 6), (16, 6)),
    ((12, 27), (16, 27)),
    ((27, 6), (31, 6)),
    ((27, 27), (31, 27)),
    ((42, 15), (62, 15)),  # both embedded maps to the merge
    ((42, 29), (46, 29)),  # to the evidence
    ((60, 29), (66, 29), (66, 26)),
    ((60, 33.5), (84.5, 33.5)),
    ((21.5, 32), (21.5, 39), (84.5, 39)),  # fine features
    ((71, 17), (74, 17)),
    ((83.5, 17), (86.5, 17)),
    ((91.75, 26), (91.75, 31)),
)
EVIDENCE = {  # of the seven maps of all depths together, those that are shown: places from the end
    "best match with the thing, stretched": 2,
    "cosine with the prototype, stretched": 1,
    "share of the thing among look-alikes": 5,
    "best match with the rest": 6,
}
COSTS = ("shape", "trained", "frozen", "operations", "seconds")  # what a box tells of its `Stop`


def walk_the_network(model: HMNet, episode: Episode) -> Live:
    """Click a box of the network's map: its maps, its shapes, its share of numbers and work.

    Controls: the box, the map.

    Args:
        model: an HMNet-lite with a self and a hybrid block, on the CPU.
        episode: what it looks at.
    """
    data = walk_data(walk(model, episode))
    whole = episode.support_images[0], episode.support_masks[0]
    zoomed = zoomed_support(episode) if model.config.zoom else whole
    data["pictures"] = {
        "query": seen_as(episode.query_image, episode.query_mask),
        "support": seen_as(*whole),
        "zoomed": seen_as(*zoomed),
    }
    alt = "HMNet-lite as boxes and arrows, and the feature maps that each box gives"
    return Live("maps", data, still(_still(data)), alt)


def walk_data(stops: list[Stop]) -> dict[str, Any]:
    """What is told and drawn of each box.

    Returns:
        "boxes": name to box, kind, text, and for parts of the network shape, trained and frozen
        numbers, operations, seconds; "maps": name of a part to the names of its maps, each with
        "values", (height, width, 3) uint8, three principal components, or (height, width) uint8
        where it is one channel, and "of", the picture that it lies on; "arrows".
    """
    found = {stop.name: stop for stop in stops}
    boxes: dict[str, dict[str, Any]] = {}
    for name, (box, kind, text) in BOXES.items():
        boxes[name] = {"box": box, "kind": kind, "text": text}
        if name in found:
            boxes[name] |= {key: getattr(found[name], key) for key in COSTS}
    maps = {
        name: {
            title: {
                "values": _colours(x) if len(x) > 1 else as_bytes(x[0].numpy()),
                "of": _place(name, title),
            }
            for title, x in _shown(stop).items()
        }
        for name, stop in found.items()
    }
    return {"boxes": boxes, "arrows": ARROWS, "maps": maps}


def _shown(stop: Stop) -> dict[str, torch.Tensor]:
    """A stop's maps; of the evidence those that can be read one by one, from 0 to 1."""
    if stop.name != "evidence":
        return dict(stop.maps)
    maps = stop.maps["query"]
    return {title: maps[-k][None].clamp(0, 1) for title, k in EVIDENCE.items()}


def _place(stop: str, title: str) -> str:
    """Which picture a map lies on: the support is cut to its class, if at all, in the merge."""
    if title != "support":
        return "query"
    return "support" if stop in ("backbone", "metric") else "zoomed"


def _colours(x: torch.Tensor) -> np.ndarray:
    """(channels, height, width) → (height, width, 3) uint8, the map's own three components."""
    return as_bytes(fit_basis([x[None]]).colours(x))


def _still(data: dict[str, Any]) -> Any:
    """The first map of every part."""
    shown = []
    for own in data["maps"].values():
        image = next(iter(own.values()))["values"]
        image = image if image.ndim == 3 else image[..., None].repeat(3, -1)
        factor = max(1, 128 // len(image))
        shown.append(np.kron(image, np.ones((factor, factor, 1), np.uint8)))
    return picture_table({"": shown}, list(data["maps"]))

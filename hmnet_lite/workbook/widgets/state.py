"""The forgetting explorer: what of the state is the support's, step by step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from einops import rearrange

from hmnet_lite.analysis.forgetting import read_patches
from hmnet_lite.analysis.look import HybridLook, Scan, look
from hmnet_lite.analysis.split import split_state
from hmnet_lite.data.episode import Episode
from hmnet_lite.maps import reading_order
from hmnet_lite.models.lite import HMNet
from hmnet_lite.workbook.figures.parts import DIRECTION_NAMES
from hmnet_lite.workbook.figures.state import scan_position
from hmnet_lite.workbook.figures.task import zoomed_support
from hmnet_lite.workbook.widgets.live import Live, seen_as, still

LOOKS = 4  # the paper's measure of a single reading is taken LOOKS² times along the query


def forgetting_explorer(
    model: HMNet,
    episodes: Mapping[str, Episode],
    *,
    ratios: Sequence[int] = (1, 2),
) -> Live:
    """Step through the scan of a query and watch whose memory the state holds.

    Controls: the episode, the direction, how the support is read, how many pixels were read, play.

    Args:
        model: an HMNet-lite whose first hybrid block scans the support.
        episodes: name to episode.
        ratios: the recap ratios α to choose from, the last one first shown; 1 is a single reading
            of the whole support. Other α than the network's own are a "what if".
    """
    seen = look(model, list(episodes.values()))
    hybrid, zoomed = seen.hybrid[0], model.config.zoom
    data = {
        "names": list(episodes),
        "ratios": list(ratios),
        "size": list(hybrid.size),
        "directions": list(DIRECTION_NAMES[: model.config.directions]),
        "orders": [orders(hybrid.size, ratio) for ratio in ratios],
        "memory": {
            name: [memory(hybrid, i, ratio) for ratio in ratios] for i, name in enumerate(episodes)
        },
        "query": {name: seen_as(e.query_image, e.query_mask) for name, e in episodes.items()},
        "support": {
            name: seen_as(
                *(zoomed_support(e) if zoomed else (e.support_images[0], e.support_masks[0]))
            )
            for name, e in episodes.items()
        },
    }
    alt = "The path of a scan over the query, and the support's share of the state along it"
    return Live("state", data, still(_still(data)), alt)


def orders(size: tuple[int, int], ratio: int) -> np.ndarray:
    """(directions, steps) float32: which pixel, numbered row by row, is read at each step."""
    return reading_order(*size, ratio).numpy().astype(np.float32)


@torch.no_grad()
def memory(seen: HybridLook, episode: int, ratio: int) -> dict[str, Any]:
    """Whose memory the state is along the scan, in two measures.

    Args:
        seen: a hybrid block of a `look`.
        episode: which of its batch.
        ratio: α; 1 reads the support once, whole.

    Returns:
        "support", "query": (directions, steps) float16, ‖h^support‖ and ‖h^query‖ after each step,
        1 = ‖H_S‖. "cosine": (directions, readings) float16, the paper's largest cosine of the
        state with a support pixel's writing; "at": (readings,) float32, how many steps had been
        read; "patch": steps between two recaps, 0 for none.
    """
    support_scan, query_scan, patch = seen.scans(ratio)
    support_scan, query_scan = (_one(scan, episode) for scan in (support_scan, query_scan))
    recap, groups = ratio > 1, query_scan[3].shape[1]
    parts = split_state(support_scan, query_scan, segment=patch if recap else 0)

    def sizes(x: torch.Tensor) -> torch.Tensor:  # (1, k c, ..., n) → (k, ...)
        return rearrange(x[0], "(k c) ... n -> k ... (c n)", k=groups).norm(dim=-1)

    start = sizes(parts.start).clamp_min(1e-12)[:, None]
    readings = read_patches(
        support_scan, query_scan, patch if recap else patch // LOOKS**2, recap=recap
    )
    return {
        "support": (sizes(parts.support) / start).numpy().astype(np.float16),
        "query": (sizes(parts.query) / start).numpy().astype(np.float16),
        "cosine": readings.max_cosine()[0].numpy().astype(np.float16),
        "at": readings.at.numpy().astype(np.float32),
        "patch": patch if recap else 0,
    }


def _one(scan: Scan, episode: int) -> Scan:
    u, delta, A, B, C, D = scan
    chosen = slice(episode, episode + 1)
    return u[chosen], delta[chosen], A, B[chosen], C[chosen], D


def _still(data: Mapping[str, Any]) -> Any:
    """The first episode, direction 0, the last ratio, a third of the way."""
    name, ratio = data["names"][0], data["ratios"][-1]
    found, size = data["memory"][name][-1], tuple(data["size"])
    support, query = (found[kind][0].astype(float) for kind in ("support", "query"))
    share, order = support / (support + query), data["orders"][-1].astype(int)[0]
    image = data["query"][name]["image"].image
    return scan_position(image, order, size, share, len(share) // 3, ratio=ratio)

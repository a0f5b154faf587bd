"""The fusion comparer: two ways of fusing side by side, their features as colours in one basis."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from hmnet_lite.analysis.fused_pca import fit_basis, to_prototype
from hmnet_lite.analysis.fusion import class_mean, fusions
from hmnet_lite.analysis.look import look
from hmnet_lite.data.episode import Episode
from hmnet_lite.models.lite import HMNet
from hmnet_lite.workbook.figures.task import picture_table
from hmnet_lite.workbook.widgets.live import Live, as_bytes, seen_as, still

THING, REST = 0.5, 0.9  # share of a cell from which it is the thing's, or something else's


def fusion_comparer(model: HMNet, episodes: Mapping[str, Episode]) -> Live:
    """Compare what two fusions make of a query: as colours, in the plane, and by a cosine.

    Controls: the episode, the two fusions, colours or cosine, the pixel.

    Args:
        model: an HMNet-lite with SRM and QIM; all fusions are computed with its weights.
        episodes: name to episode, pictures of one size.
    """
    data = comparer_data(model, episodes)
    data["query"] = [seen_as(e.query_image, e.query_mask) for e in episodes.values()]
    data["episodes"] = list(episodes)
    alt = "A query's features after each way of fusing, as colours in one basis"
    return Live("fused_pca", data, still(_still(data)), alt)


@torch.no_grad()
def comparer_data(model: HMNet, episodes: Mapping[str, Episode]) -> dict[str, Any]:
    """Every fusion's features in one basis, fitted to all that is shown, and their cosines.

    Features count by direction: they are made unit vectors first.

    Returns:
        "fusions": names; "colours": (fusions, episodes, h, w, 3) uint8, the three components from
        low to high; "support": (episodes, 3) uint8, the support's mean FG feature, likewise;
        "cosine": (fusions, episodes, h, w) float16, with that mean; "part": (episodes, h, w)
        uint8, 1 on the thing, 0 on the rest, 255 between; "start": a pixel of the first thing;
        "explained": 3 shares of the variance.
    """
    seen = look(model, list(episodes.values()))
    fused = fusions(seen.hybrid[0], seen.support_class)
    support = seen.hybrid[0].record["scan_in_support"]
    unit = {name: F.normalize(x, dim=1) for name, x in fused.items()}
    basis = fit_basis(unit.values())
    mean = F.normalize(class_mean(support, seen.support_class), dim=1)[..., None, None]
    cosine = [to_prototype(x, support, seen.support_class) for x in fused.values()]
    part = np.full(seen.query_class.shape, 255, np.uint8)
    part[(seen.query_class > THING).numpy()] = 1
    part[(seen.query_other > REST).numpy()] = 0
    return {
        "fusions": list(fused),
        "colours": np.stack([as_bytes(basis.colours(x)) for x in unit.values()]),
        "support": as_bytes(basis.colours(mean))[:, 0, 0],
        "cosine": torch.stack(cosine).numpy().astype(np.float16),
        "part": part,
        "start": list(divmod(int(seen.query_class[0].argmax()), part.shape[-1])),
        "explained": [float(x) for x in basis.explained],
    }


def _still(data: Mapping[str, Any]) -> Any:
    """Every fusion's colours, a line an episode."""
    larger = np.ones((8, 8, 1), np.uint8)
    rows = {
        name: [np.kron(colours[i], larger) for colours in data["colours"]]
        for i, name in enumerate(data["episodes"])
    }
    titles = [name.replace(" ", "\n", 1) for name in data["fusions"]]
    return picture_table(rows, titles)

"""The pixel inspector: click a query pixel and see who wrote its output, exactly."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure

from hmnet_lite.analysis.look import HybridLook, Look, look
from hmnet_lite.analysis.writers import Written, written_by_qim, written_by_srm
from hmnet_lite.data.episode import Episode
from hmnet_lite.maps import patch_size
from hmnet_lite.workbook.figures.qim import WRITERS, who_is_heard
from hmnet_lite.workbook.figures.task import zoomed_support
from hmnet_lite.workbook.widgets.live import Live, seen_as, still

LEVELS = 15  # above 0 of a map: the eye tells no more apart, and few travel lightly
FOREGROUND = 0.5  # share of a cell from which on it counts as the class's


def pixel_inspector(
    networks: Mapping[str, torch.nn.Module],
    episodes: Mapping[str, Episode],
    *,
    start: tuple[int, int] | None = None,
) -> Live:
    """Choose a query pixel and see from where its output comes.

    Controls: network, gap, hybrid block (where there are several), SRM or QIM, direction, pixel.

    Args:
        networks: name to an HMNet-lite with at least one hybrid block.
        episodes: name of a gap to its episode.
        start: (row, column) of the map shown first; the middle of the class by default.
    """
    given = list(episodes.values())
    seen = {name: look(model, given) for name, model in networks.items()}
    shown = {
        name: "zoomed" if getattr(model.config, "zoom", False) else "whole"
        for name, model in networks.items()
    }
    data = {
        "networks": list(networks),
        "gaps": list(episodes),
        "start": list(start or _middle(seen[next(iter(seen))].query_class[0] >= FOREGROUND)),
        "blocks": {
            name: {gap: blocks_data(own, i) for i, gap in enumerate(episodes)}
            for name, own in seen.items()
        },
        "shown": shown,
        "pictures": {gap: pictures(e, set(shown.values())) for gap, e in episodes.items()},
    }
    alt = (
        "A query pixel, and maps of who wrote its output: support pixels blue, query pixels orange"
    )
    return Live("qim", data, still(_still(data)), alt)


def _still(data: Mapping[str, Any]) -> Figure:
    """How the inspector begins: the first network, gap and block, SRM, all directions."""
    network, gap, pixel = data["networks"][0], data["gaps"][0], tuple(data["start"])
    block = next(iter(data["blocks"][network][gap].values()))
    path, shown = block["SRM"], data["pictures"][gap]
    output = pixel[0] * path["size"][1] + pixel[1]
    loud = [
        (path[kind][0, output] / 255.0).reshape(path[f"{kind}_size"]) ** 2
        for kind in ("support", "query")
    ]
    images = (shown[data["shown"][network]]["image"].image, shown["query"]["image"].image)
    shares = {
        name: dict(zip(WRITERS, own["shares"][output].tolist(), strict=True))
        for name, own in block.items()
    }
    return who_is_heard(images, (loud[0], loud[1]), pixel, shares)


def blocks_data(seen: Look, episode: int) -> dict[str, dict]:
    """Every hybrid block's paths, as the inspector draws them: "block 2" → "SRM" → `path_data`."""
    marked = (seen.query_class[episode] >= FOREGROUND).flatten()
    return {
        f"block {hybrid.index + 1}": {
            name: path_data(written, hybrid, marked, own_is_all=name == "QIM")
            for name, written in paths(hybrid, episode).items()
        }
        for hybrid in seen.hybrid
    }


def paths(seen: HybridLook, episode: int) -> dict[str, Written]:
    """SRM's outputs taken apart, and QIM's where it meets the mean state."""
    found = {"SRM": written_by_srm(seen, episode)}
    if seen.block.config.qim not in ("off", "each"):
        found["QIM"] = written_by_qim(seen, episode)
    return found


def path_data(
    written: Written, seen: HybridLook, marked: torch.Tensor, *, own_is_all: bool = False
) -> dict[str, Any]:
    """Maps and shares of every output of one path.

    Args:
        written: the path's outputs, taken apart.
        seen: its block.
        marked: (query pixels,) bool, the query's FG.
        own_is_all: what the query wrote is the pixel's own, as in QIM, whose samples are blended.

    Returns:
        "support" and "query": (views, outputs, pixels) uint8, views being all directions together
        and then each. A value v is heard (v / 255)² as loud as the output's loudest pixel, its own
        aside, the root rounded to a 15th. "shares": (outputs, 4) float32 of `WRITERS`, by the norms
        of what each wrote; "skip": (outputs,) float16, the norm of D u, 1 = all of these. And the
        maps' sizes.
    """
    outputs = written.query.shape[2]
    own = torch.eye(outputs, dtype=torch.bool)
    loud = [
        torch.cat([x.sum(0).norm(dim=0)[None], x.norm(dim=1)]) if len(x) > 1 else x.norm(dim=1)
        for x in (written.support, written.query)
    ]  # (views, outputs, pixels)
    others = loud[1] if own_is_all else loud[1].masked_fill(own, 0)
    loudest = torch.maximum(*(x.amax(-1) for x in (loud[0], others))).clamp_min(1e-12)
    maps = [(x / loudest[..., None]).clamp(0, 1).sqrt() for x in loud]
    support, query = (x.sum(0) for x in (written.support, written.query))  # (c, outputs, pixels)
    if own_is_all:
        parts = [support.sum(-1), query.sum(-1), *[torch.zeros_like(written.skip)] * 2]
    else:
        rest = query.masked_fill(own, 0)
        parts = [support.sum(-1), query.diagonal(dim1=1, dim2=2)]
        parts += [rest[..., marked].sum(-1), rest[..., ~marked].sum(-1)]
    sizes = torch.stack([x.norm(dim=0) for x in parts], dim=-1)  # (outputs, 4)
    total = sizes.sum(-1).clamp_min(1e-12)
    met = patch_size(*seen.size, seen.block.intercept_ratio) if own_is_all else seen.size
    return {
        **{
            kind: (LEVELS * x).round().mul(255 / LEVELS).round().byte().numpy()
            for kind, x in zip(("support", "query"), maps, strict=True)
        },
        "shares": (sizes / total[:, None]).numpy(),
        "skip": (written.skip.norm(dim=0) / total).numpy().astype(np.float16),
        "size": list(seen.size),
        "support_size": list(seen.support_size()),
        "query_size": list(met),
    }


def pictures(episode: Episode, ways: set[str]) -> dict[str, dict]:
    """The query and its support, whole or as zooming networks see it, with their masks."""
    found = {"query": seen_as(episode.query_image, episode.query_mask)}
    if "whole" in ways:
        found["whole"] = seen_as(episode.support_images[0], episode.support_masks[0])
    if "zoomed" in ways:
        found["zoomed"] = seen_as(*zoomed_support(episode))
    return found


def _middle(marked: torch.Tensor) -> tuple[int, int]:
    """The marked cell that is nearest to the marked cells' mean; the map's middle if none is."""
    cells = marked.nonzero().float()
    if not len(cells):
        return marked.shape[0] // 2, marked.shape[1] // 2
    row, column = cells[(cells - cells.mean(0)).norm(dim=1).argmin()].int().tolist()
    return row, column

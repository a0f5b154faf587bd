"""Evidence maps: all that similarity says about where the class is, with nothing trained.

For each depth of the backbone and for all together, seven maps over the query: the best cosine with
a foreground and with a background pixel of the support (PFENet, Tian et al., 2020, eq. 2-4); the
foreground share of the support pixels that are most alike (a softmax, as in DCAMA, Shi et al.,
2022); the cosine with the foreground and the background prototype; and the first and the fourth of
them stretched to [0, 1] over the picture.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from hmnet_lite.models.prior import min_max

KINDS = 7  # maps a depth
SHARPNESS = 10.0  # of the softmax: a cosine higher by 0.1 counts e times as much
FOREGROUND, BACKGROUND = 0.5, 0.1  # share of the fullest cell from, and of a cell up to, which


def evidence_maps(
    query: Sequence[Tensor],
    support: Sequence[Tensor],
    shares: Tensor,
    known: Tensor | None = None,
) -> Tensor:
    """Seven maps of each depth, then of all depths together, averaged over shots.

    Args:
        query: of each depth, (batch, channels, height, width), unit vectors.
        support: of each depth, (batch, shots, channels, h, w), unit vectors.
        shares: (batch, shots, h, w) in [0, 1], the share of each cell that the class covers.
        known: the share of each cell that is not ignored; what is ignored (255 in a mask, as the
            padding of a photograph) is neither foreground nor background. None: all is known.

    Returns:
        (batch, 7·(depths + 1), height, width).
    """
    size, shots = query[0].shape[-2:], shares.shape[1]
    weight = 1 / math.sqrt(len(query))  # of a depth in the vectors of all depths together
    known = torch.ones_like(shares) if known is None else known
    shares, known = (x.flatten(0, 1).flatten(1) for x in (shares, known))  # (b·k, s)
    pairs = [
        (q.flatten(2).repeat_interleave(shots, dim=0).mT, s.flatten(0, 1).flatten(2))
        for q, s in zip(query, support, strict=True)
    ]  # (b·k, q, c), (b·k, c, s)
    cosines = [q @ s for q, s in pairs]  # (b·k, q, s)
    maps = [_maps(c, [s], shares, known) for c, (_, s) in zip(cosines, pairs, strict=True)]
    together = sum(cosines) * weight**2
    maps.append(_maps(together, [s * weight for _, s in pairs], shares, known))
    found = torch.cat(maps, dim=1).unflatten(-1, size)  # (b·k, maps, height, width)
    return found.unflatten(0, (-1, shots)).mean(1)


def _maps(cosines: Tensor, support: Sequence[Tensor], shares: Tensor, known: Tensor) -> Tensor:
    """(batch, query, support), the support's vectors in parts, shares → (batch, 7, query)."""
    inside = shares >= FOREGROUND * shares.amax(-1, keepdim=True)
    outside = (shares <= BACKGROUND) & (known >= 0.5)
    best = [cosines.masked_fill(~where[:, None], -1).amax(-1) for where in (inside, outside)]
    voices = SHARPNESS * cosines + known.log()[:, None]  # a cell counts as much as is known of it
    alike = voices.softmax(-1) @ (shares / known.clamp_min(1e-6))[..., None]
    prototypes = []
    for weights in (shares * inside, known - shares):
        length = sum((s @ weights[..., None]).square().sum((1, 2)) for s in support).sqrt()
        prototypes.append((cosines @ weights[..., None])[..., 0] / (length[:, None] + 1e-6))
    stretched = [min_max(x[:, None])[:, 0] for x in (best[0], prototypes[0])]
    return torch.stack([*best, alike[..., 0], *prototypes, *stretched], dim=1)

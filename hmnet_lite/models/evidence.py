"""Evidence maps: all that similarity says about where the class is, with nothing trained.

For each depth of the backbone and for all together, seven maps over the query: the best cosine with
a foreground and with a background pixel of the support (PFENet, Tian et al., 2020, eq. 2-4); the
foreground share of the support pixels that are most alike (a softmax, as in DCAMA, Shi et al.,
2022); the cosine with the foreground and the background prototype; and the first and the fourth of
them stretched to [0, 1] over the picture.
"""

from __future__ import annotations

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
    *,
    together: bool = True,
) -> Tensor:
    """Seven maps of each depth, then of all depths together, averaged over shots.

    Args:
        query: of each depth, (batch, channels, height, width), unit vectors.
        support: of each depth, (batch, shots, channels, h, w), unit vectors.
        shares: (batch, shots, h, w) in [0, 1], the share of each cell that the class covers.
        known: the share of each cell that is not ignored; what is ignored (255 in a mask, as the
            padding of a photograph) is neither foreground nor background. None: all is known.
        together: whether the seven of all depths together follow; of one depth they are its own.

    Returns:
        (batch, 7·(depths + 1), height, width), or 7·depths.
    """
    size, shots = query[0].shape[-2:], shares.shape[1]
    known = torch.ones_like(shares) if known is None else known
    shares, known = (x.flatten(0, 1).flatten(1) for x in (shares, known))  # (b·k, s)
    inside = shares >= FOREGROUND * shares.amax(-1, keepdim=True)
    outside = (shares <= BACKGROUND) & (known >= 0.5)
    barred = [torch.zeros_like(shares).masked_fill(~where, -2) for where in (inside, outside)]
    weights = torch.stack([shares * inside, known - shares], dim=-1)  # (b·k, s, 2): prototypes
    voices = torch.stack([shares, known], dim=-1)

    maps, cosines, dots, lengths = [], [], [], []
    for q, s in zip(query, support, strict=True):
        q = q.flatten(2)[:, None].expand(-1, shots, -1, -1).flatten(0, 1)  # (b·k, c, q)
        s = s.flatten(0, 1).flatten(2)  # (b·k, c, s)
        cosines.append(q.mT @ s)  # (b·k, q, s)
        dots.append(cosines[-1] @ weights)
        lengths.append((s @ weights).square().sum(1))  # (b·k, 2), squared
        maps += _maps(cosines[-1], dots[-1], lengths[-1], barred, voices)
    if together:  # vectors of unit length again
        whole = [sum(parts) / len(query) for parts in (cosines, dots, lengths)]
        maps += _maps(*whole, barred, voices)
    found = torch.stack(maps, dim=1).unflatten(-1, size)  # (b·k, maps, height, width)
    return found.unflatten(0, (-1, shots)).mean(1)


def _maps(cosines: Tensor, dots: Tensor, lengths: Tensor, barred: Sequence[Tensor],
          voices: Tensor) -> list[Tensor]:  # fmt: skip
    """The seven maps of one depth, (batch, query) each.

    Args:
        cosines: (batch, query, support).
        dots, lengths: with the prototypes (batch, query, 2), and their squared lengths (batch, 2).
        barred: for foreground and background, (batch, support), 0 where a cell may be the best.
        voices: (batch, support, 2): what of a cell is the class, and what is known.
    """
    best = [(cosines + off[:, None]).amax(-1).clamp_min(-1) for off in barred]
    # a softmax, no larger than exp(SHARPNESS): a cell counts as much as is known of it
    of_class, of_all = ((SHARPNESS * cosines).exp() @ voices).unbind(-1)
    alike = of_class / of_all.clamp_min(1e-6)
    # nothing outside the class, or nothing of it: a prototype of length 0, whose root has no slope
    prototypes = (dots / (lengths.clamp_min(1e-12).sqrt()[:, None] + 1e-6)).unbind(-1)
    stretched = [min_max(x[:, None])[:, 0] for x in (best[0], prototypes[0])]
    return [*best, alike, *prototypes, *stretched]

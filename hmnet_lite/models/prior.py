"""Prior maps: where the query looks like the support's foreground, with nothing learned.

Two kinds of evidence: the cosine of every query pixel with a foreground and a background prototype,
which are masked means of the support's features (the published HMNet's two maps), and its best
cosine with any single foreground pixel of the support (PFENet, Tian et al., 2020, eq. 2-4).
`prior_maps` is HMNet-lite's choice; the released model's stands in `hmnet/prior.py`.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from einops import einsum
from torch import Tensor

SMALL = 1e-7


def masked_mean(features: Tensor, masks: Tensor) -> Tensor:
    """Prototype of every shot.

    Args:
        features: (batch, shots, channels, height, width).
        masks: (batch, shots, height, width), weights in [0, 1].

    Returns:
        (batch, shots, channels): Σ features · mask / Σ mask (zero where the mask is empty).
    """
    total = einsum(features, masks, "b k c h w, b k h w -> b k c")
    return total / (masks.sum((-2, -1)) + 0.0005)[..., None]


def similarity(query: Tensor, prototypes: Tensor) -> Tensor:
    """Cosine of each query pixel with each prototype.

    (batch, channels, height, width), (batch, shots, channels) → (batch, shots, height, width)
    """
    dots = einsum(query, prototypes, "b c h w, b k c -> b k h w")
    norms = query.norm(dim=1)[:, None] * prototypes.norm(dim=-1)[..., None, None]
    return dots / (norms + SMALL)


def min_max(x: Tensor) -> Tensor:
    """Stretch each map to [0, 1] over its pixels."""
    low, high = x.amin((-2, -1), keepdim=True), x.amax((-2, -1), keepdim=True)
    return (x - low) / (high - low + SMALL)


def best_match(query: Tensor, support: Tensor, masks: Tensor) -> Tensor:
    """Largest cosine of each query pixel with a foreground pixel of the support.

    Args as in `prior_maps`. A support pixel is foreground where its mask is at least half of the
    mask's largest value, so that a small object still has some.

    Returns:
        (batch, shots, height, width) in [-1, 1].
    """
    h, w = query.shape[-2:]
    query, support = F.normalize(query.flatten(2), dim=1), F.normalize(support.flatten(3), dim=2)
    cosine = einsum(query, support, "b c q, b k c s -> b k q s")
    masks = masks.flatten(2)
    background = masks < 0.5 * masks.amax(-1, keepdim=True)  # (b, k, s)
    best = cosine.masked_fill(background[:, :, None], -1).amax(-1)
    return best.unflatten(-1, (h, w))


def prior_maps(query: Tensor, support: Tensor, masks: Tensor) -> Tensor:
    """The three prior maps, averaged over shots.

    Args:
        query: (batch, channels, height, width) deep features.
        support: (batch, shots, channels, height, width).
        masks: (batch, shots, height, width) in [0, 1]: 1 on the class.

    Returns:
        (batch, 3, height, width) in [0, 1]: the best match with a support pixel; similarity to
        the foreground prototype; its contrast max(foreground - background, 0).
    """
    match = min_max(best_match(query, support, masks))
    foreground = min_max(similarity(query, masked_mean(support, masks)))
    background = min_max(similarity(query, masked_mean(support, 1 - masks)))
    contrast = (foreground - background).clamp_min(0)
    return torch.stack([x.mean(1) for x in (match, foreground, contrast)], dim=1)

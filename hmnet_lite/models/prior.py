"""Prior maps: where the query looks like the support's foreground, with nothing learned.

Two kinds of evidence: the cosine of every query pixel with a foreground and a background prototype,
which are masked means of the support's features (the published HMNet's two maps), and its best
cosine with any single foreground pixel of the support (PFENet, Tian et al., 2020, eq. 2-4).
`prior_maps` is HMNet-lite's choice, `published_prior_maps` that of the released model.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from einops import einsum
from torch import Tensor

from hmnet_lite.maps import resize

PRIORS = 3  # maps that `prior_maps` gives
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


def published_prior_maps(
    queries: Sequence[Tensor], supports: Sequence[Tensor], masks: Tensor
) -> Tensor:
    """The released model's two prior maps: of two kinds of features, the sharper answer is kept.

    Args:
        queries: one map for each kind of features, (batch, channels, height, width).
        supports: the same kinds, (batch, shots, channels, side, side).
        masks: (batch, shots, side, side) in [0, 1]: 1 on the class.

    Returns:
        (batch, 2, side, side) in [0, 1], averaged over shots: similarity to the foreground
        prototype, from the kind with the largest cosine; its contrast max(foreground -
        background, 0), from the kind with the largest contrast. The first kind wins a tie.
    """
    foregrounds, contrasts, best_cosines = [], [], []
    for query, support in zip(queries, supports, strict=True):
        cosine = similarity(query, masked_mean(support, masks))  # (b, k, h, w)
        foreground, background = (
            resize(min_max(x), *masks.shape[-2:])
            for x in (cosine, similarity(query, masked_mean(support, 1 - masks)))
        )
        foregrounds.append(foreground)
        contrasts.append((foreground - background).clamp_min(0))
        best_cosines.append(cosine.amax((-2, -1)))
    best_contrasts = [x.amax((-2, -1)) for x in contrasts]
    kept = _sharpest(foregrounds, best_cosines), _sharpest(contrasts, best_contrasts)
    return torch.stack([x.mean(1) for x in kept], dim=1)


def _sharpest(maps: list[Tensor], sharpness: list[Tensor]) -> Tensor:
    """For each image and shot the map of the kind with the largest sharpness.

    Maps (batch, shots, height, width) and sharpness (batch, shots), one of each a kind.
    """
    winner = torch.stack(sharpness).argmax(0)[None, ..., None, None]
    return torch.stack(maps).take_along_dim(winner, dim=0)[0]

"""The released model's two prior maps (after SCCAN and BAM, which the paper builds on)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from hmnet_lite.maps import resize
from hmnet_lite.models.prior import masked_mean, min_max, similarity


def published_prior_maps(
    queries: Sequence[Tensor], supports: Sequence[Tensor], masks: Tensor
) -> Tensor:
    """The released model's two prior maps: of two kinds of features, the sharper answer is kept.

    Args:
        queries: one map for each kind of features, (batch, channels, height, width).
        supports: the same kinds, (batch, shots, channels, side, side).
        masks: (batch, shots, side, side) in [0, 1]: 1 on the class. What a mask ignores (255)
            counts as background here, as it did when the released weights were trained; leaving
            it out would show them a prior they never saw. (HMNet-lite's leaves it out.)

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

"""The released model's decoder (ASPP, as in PFENet and SCCAN, which the paper builds on)."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class PublishedDecoder(nn.Module):
    """The released model's: ASPP with a whole-picture branch, residual refinement, classifier.

    Args:
        dim: channels of the mixed query map.
    """

    def __init__(self, dim: int):
        super().__init__()
        mean = nn.Sequential(nn.Conv2d(dim, dim, 1), nn.ReLU())
        near = nn.Sequential(nn.Conv2d(dim, dim, 1), nn.ReLU())
        wide = [
            nn.Sequential(nn.Conv2d(dim, dim, 3, padding=d, dilation=d), nn.ReLU())
            for d in (6, 12, 18)
        ]
        self.context = nn.ModuleList([mean, near, *wide])
        self.merge = nn.Sequential(nn.Conv2d(5 * dim, dim, 1, bias=False), nn.ReLU())
        self.refine = nn.Sequential(
            nn.Conv2d(dim, dim, 3, padding=1, bias=False), nn.ReLU(),
            nn.Conv2d(dim, dim, 3, padding=1, bias=False), nn.ReLU(),
        )  # fmt: skip
        self.classify = nn.Sequential(
            nn.Conv2d(dim, dim, 3, padding=1, bias=False), nn.ReLU(), nn.Dropout(0.1),
            nn.Conv2d(dim, 2, 1),
        )  # fmt: skip

    def forward(self, mixed: Tensor) -> Tensor:
        """(batch, dim, height, width) → logits (batch, 2, height, width)."""
        mean, *rest = self.context
        whole = mean(mixed.mean((-2, -1), keepdim=True)).expand_as(mixed)
        x = self.merge(torch.cat([whole, *(branch(mixed) for branch in rest)], dim=1))
        return self.classify(x + self.refine(x))

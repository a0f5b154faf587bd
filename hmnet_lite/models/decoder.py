"""From mixed query features to a mask: HMNet-lite's decoder and the published one."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def conv(inputs: int, outputs: int, size: int = 3, dilation: int = 1) -> nn.Sequential:
    """Convolution, group norm, ReLU: the one building brick here. Keeps height and width."""
    padding = dilation * (size // 2)
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, size, padding=padding, dilation=dilation, bias=False),
        nn.GroupNorm(8, outputs),
        nn.ReLU(),
    )


class Decoder(nn.Module):
    """HMNet-lite's: ASPP-style context at stride 16 (Chen et al., 2017), then a stride-8 skip.

    Args:
        dim: channels of the mixed query map; a multiple of 8.
        fine_channels: channels of the backbone's stride-8 map.
        extra: channels of maps shown again at stride 8 (the priors).
    """

    def __init__(self, dim: int, fine_channels: int, extra: int):
        super().__init__()
        self.context = nn.ModuleList([conv(dim, dim, 1), conv(dim, dim), conv(dim, dim, 3, 3)])
        self.merge = conv(3 * dim, dim, 1)
        self.edges = conv(fine_channels, dim // 2, 1)
        self.refine = nn.Sequential(conv(dim + dim // 2 + extra, dim), conv(dim, dim))
        self.classify = nn.Conv2d(dim, 2, 1)

    def forward(self, mixed: Tensor, fine: Tensor, extra: Tensor) -> Tensor:
        """(batch, dim, h, w), (batch, fine_channels, 2h, 2w), (batch, extra, h, w) →
        logits (batch, 2, 2h, 2w): background, foreground."""
        x = mixed + self.merge(torch.cat([branch(mixed) for branch in self.context], dim=1))
        x, extra = (
            F.interpolate(v, fine.shape[-2:], mode="bilinear", align_corners=False)
            for v in (x, extra)
        )
        return self.classify(self.refine(torch.cat([x, self.edges(fine), extra], dim=1)))


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

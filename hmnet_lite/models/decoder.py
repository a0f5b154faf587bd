"""From mixed query features to a mask: HMNet-lite's decoder."""

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

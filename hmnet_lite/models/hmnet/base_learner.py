"""The published HMNet's second opinion: a base learner, and the ensemble that weighs it (BAM).

The *base learner* is a PSPNet head trained on the base classes alone: where it sees one of them,
there is no novel class, so its answer is evidence for background. How far to trust the few-shot
answer itself depends on how alike query and support look: their *style distance*. Learned 1×1
merges put the three together (BAM; Lang et al., CVPR 2022).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from einops import einsum
from torch import Tensor, nn

from hmnet_lite.maps import resize
from hmnet_lite.models.backbones import Frozen
from hmnet_lite.models.prior import SMALL

BINS = (1, 2, 3, 6)  # sides of the pooled pyramid


class PyramidPooling(nn.Module):
    """PSPNet's pyramid (Zhao et al., 2017): the map's means over 1, 4, 9 and 36 regions, behind it.

    Args:
        channels: of the map, a multiple of 4.
    """

    def __init__(self, channels: int):
        super().__init__()
        self.features = nn.ModuleList(
            nn.Sequential(
                nn.AdaptiveAvgPool2d(side),
                nn.Conv2d(channels, channels // len(BINS), 1, bias=False),
                nn.BatchNorm2d(channels // len(BINS)),
                nn.ReLU(inplace=True),
            )
            for side in BINS
        )

    def forward(self, x: Tensor) -> Tensor:
        """(batch, channels, height, width) → (batch, 2·channels, height, width)."""
        return torch.cat([x, *(resize(pool(x), *x.shape[-2:]) for pool in self.features)], dim=1)


class BaseLearner(Frozen):
    """Segments the base classes, and lends its features to the prior. Frozen.

    Args:
        channels: of the backbone's deepest map.
        classes: background and the base classes: 16 for PASCAL-5i, 61 for COCO-20i.
        dim: channels of its features.
    """

    def __init__(self, channels: int, classes: int, dim: int = 512):
        super().__init__()
        self.pyramid = PyramidPooling(channels)
        self.reduce = nn.Sequential(
            nn.Conv2d(2 * channels, dim, 3, padding=1, bias=False), nn.BatchNorm2d(dim)
        )
        self.classify = nn.Conv2d(dim, classes, 1)
        self.freeze()

    @torch.no_grad()
    def forward(self, deep: Tensor) -> Tensor:
        """Features Fb: (batch, channels, height, width) → (batch, dim, height, width), signed."""
        return self.reduce(self.pyramid(deep))

    @torch.no_grad()
    def foreground(self, features: Tensor, left_out: Tensor | None = None) -> Tensor:
        """Probability of any base class.

        Args:
            features: (batch, dim, height, width) of `forward`.
            left_out: (batch,) int64, a class of each picture that does not count: in training
                the episode's own, which is a base class there. None: every class counts.

        Returns:
            (batch, 1, height, width).
        """
        classes = self.classify(F.relu(features)).softmax(1)
        if left_out is not None:
            own = F.one_hot(left_out, classes.shape[1]).bool()[..., None, None]
            classes = classes.masked_fill(own, 0)
        return classes[:, 1:].sum(1, keepdim=True)


def gram_matrix(x: Tensor) -> Tensor:
    """Which channels fire together: cosines between channels, over pixels.

    (…, channels, height, width) → (…, channels, channels)
    """
    x = x.flatten(-2)
    norms = x.norm(dim=-1)
    return x @ x.mT / (norms[..., :, None] * norms[..., None, :] + SMALL)


def style_distance(query: Tensor, support: Tensor) -> Tensor:
    """ψ, how unlike two pictures look: Frobenius distance of their Gram matrices / channels.

    (batch, channels, h, w), (batch, shots, channels, h, w) → (batch, shots).
    """
    difference = gram_matrix(query)[:, None] - gram_matrix(support)
    return torch.linalg.matrix_norm(difference) / query.shape[1]


class Ensemble(nn.Module):
    """Few-shot answer, style distance and base learner → the final two maps (BAM).

        ψ̄  = Σ_k w_k ψ_k
        bg = base_merge[style_merge[P_bg, ψ̄], base foreground]
        fg = style_merge[P_fg, ψ̄]

    Both merges begin as (1, 0), that is, as the few-shot answer alone.

    Args:
        shots: K; more than one brings a small network that weighs them.
        reweight_bias: whether its two convolutions have biases.
    """

    def __init__(self, shots: int = 1, reweight_bias: bool = False):
        super().__init__()
        self.style_merge = nn.Conv2d(2, 1, 1, bias=False)
        self.base_merge = nn.Conv2d(2, 1, 1, bias=False)
        with torch.no_grad():
            for merge in (self.style_merge, self.base_merge):
                merge.weight.copy_(torch.tensor([1.0, 0.0]).view(1, 2, 1, 1))
        self.reweight = None
        if shots > 1:
            self.reweight = nn.Sequential(
                nn.Conv2d(shots, 2, 1, bias=reweight_bias),
                nn.ReLU(),
                nn.Conv2d(2, shots, 1, bias=reweight_bias),
            )

    def mean_style(self, style: Tensor) -> Tensor:
        """ψ̄: (batch, shots) → (batch,).

        The weights are made from the sorted distances and, in the released model, never put back
        in the shots' order: its un-sorting is the identity. So the smallest distance's weight goes
        to shot 0, whatever shot 0's distance is, and the order of the shots matters.
        """
        if self.reweight is None:
            return style[:, 0]
        weights = self.reweight(style.sort(dim=1).values[..., None, None])[..., 0, 0].softmax(1)
        return einsum(weights, style, "b k, b k -> b")

    def forward(self, logits: Tensor, style: Tensor, base_foreground: Tensor) -> Tensor:
        """Weigh the answers.

        Args:
            logits: (batch, 2, height, width), the few-shot answer: background, foreground.
            style: (batch, shots) from `style_distance`.
            base_foreground: (batch, 1, height, width) from `BaseLearner.foreground`.

        Returns:
            (batch, 2, height, width) scores: background, foreground. They are linear in
            probabilities but need not lie in [0, 1]; the larger one decides.
        """
        background, foreground = logits.softmax(1).split(1, dim=1)
        mean = self.mean_style(style)[:, None, None, None].expand_as(background)
        background = self.style_merge(torch.cat([background, mean], dim=1))
        foreground = self.style_merge(torch.cat([foreground, mean], dim=1))
        background = self.base_merge(torch.cat([background, base_foreground], dim=1))
        return torch.cat([background, foreground], dim=1)

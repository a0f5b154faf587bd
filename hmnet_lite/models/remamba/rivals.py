"""The twister's rivals, each in its place: other ways for a map to hear a text.

All end in the twister's spatial scan over `dim` channels (paper, section 4.3), so that they differ
in how the text comes in. SRM and QIM are HMNet's, with words in the place of the support.
"""

from __future__ import annotations

import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from hmnet_lite.mamba.twister import RecappedScan, SpatialScan
from hmnet_lite.models.remamba.config import ReMamberConfig
from hmnet_lite.models.remamba.twister import ROLES, Cube, Twister


class _Rival(nn.Module):
    """Base: where nouns are grounded, the visual map is told, as the twister's cube is."""

    def __init__(self, config: ReMamberConfig):
        super().__init__()
        dim = config.dim
        self.role, self.told = nn.Linear(dim, ROLES), nn.Conv2d(ROLES, dim, 3, padding=1)
        self.spatial = SpatialScan(dim, config.inner, config.state, config.backend)

    def forward(self, visual: Tensor, tokens: Tensor, sentence: Tensor, grounded: Tensor) -> Tensor:
        """(batch, dim, h, w) → the same; arguments as `Cube`'s."""
        roles = self.role(tokens).sigmoid()  # (batch, tokens, ROLES)
        maps = (grounded[:, :, None] * roles[..., None, None]).sum(1)
        return self.hear(visual + self.told(4 * maps), tokens, sentence)

    def hear(self, visual: Tensor, tokens: Tensor, sentence: Tensor) -> Tensor:
        """The way in which the text comes in."""
        raise NotImplementedError


class Attention(_Rival):
    """Pixels ask, tokens answer; then the spatial scan."""

    def __init__(self, config: ReMamberConfig):
        super().__init__(config)
        dim = config.dim
        self.norm = nn.LayerNorm(dim)
        self.ask, self.answer = nn.Linear(dim, dim), nn.Linear(dim, 2 * dim)
        self.out = nn.Linear(dim, dim)

    def hear(self, visual, tokens, sentence):
        size = visual.shape[-2:]
        x = self.norm(rearrange(visual, "b c h w -> b (h w) c"))
        key, value = self.answer(tokens).chunk(2, dim=-1)
        there = tokens.any(-1)[:, None]  # tokens after the end are zeros
        heard = F.scaled_dot_product_attention(self.ask(x), key, value, attn_mask=there)
        x = visual + rearrange(self.out(heard), "b (h w) c -> b c h w", h=size[0])
        return x + self.spatial(x)


class InContext(_Rival):
    """Tokens are read before the pixels, by every direction of the spatial scan."""

    def __init__(self, config: ReMamberConfig):
        super().__init__(config)
        self.into = nn.Linear(config.dim, config.inner)

    def hear(self, visual, tokens, sentence):
        there = tokens.any(-1, keepdim=True)  # tokens after the end are zeros, and stay so
        return visual + self.spatial(visual, self.into(tokens) * there)


class Recapped(InContext):
    """Tokens are read before every patch (SRM), each pixel meets the state they leave (QIM)."""

    def __init__(self, config: ReMamberConfig):
        super().__init__(config)
        self.spatial = RecappedScan(
            config.dim, config.inner, config.state, config.backend, ratio=config.recap_ratio,
            srm="srm" in config.fusion, qim="qim" in config.fusion,
        )  # fmt: skip


class NormAdaptation(_Rival):
    """Scale and shift of the normalised map come from the sentence; then the spatial scan."""

    def __init__(self, config: ReMamberConfig):
        super().__init__(config)
        self.norm = nn.GroupNorm(1, config.dim, affine=False)
        self.adapt = nn.Linear(config.dim, 2 * config.dim)

    def hear(self, visual, tokens, sentence):
        scale, shift = self.adapt(sentence)[..., None, None].chunk(2, dim=1)
        x = self.norm(visual) * (1 + scale) + shift
        return visual + x + self.spatial(x)


def fusion(config: ReMamberConfig, tokens: int) -> nn.Module:
    """The layer that a config asks for."""
    if config.fusion == "twister":
        return Twister(config, tokens)
    rivals = {"attention": Attention, "in-context": InContext, "norm": NormAdaptation}
    return rivals.get(config.fusion, Recapped)(config)


__all__ = ["Attention", "Cube", "InContext", "NormAdaptation", "Recapped", "fusion"]

"""The Mamba twister: a cube of three modalities, scanned along its channels, then over its pixels.

    cube = [ visual | global text | local interaction ]          h × w × (C_i + C_t + C_c)
    cube = cube + SSM_channel(cube)     the channels are the sequence, a channel's small map a token
    cube = cube + SSM_spatial(cube)     four directions over the pixels
    out  = visual + project(cube)

(ReMamber, section 3; that each channel's map is pooled to a small square and flattened, and that
the scans have residuals, is as released.) `literal.py` is the same, written to be read.
"""

from __future__ import annotations

import math

import torch
from einops import rearrange
from torch import Tensor, nn

from hmnet_lite.mamba.twister import ChannelScan, SpatialScan
from hmnet_lite.models.remamba.config import ReMamberConfig
from hmnet_lite.record import record_block

ROLES = 4  # ways in which a noun can matter to a sentence: the thing, what it is next to, …


class Cube(nn.Module):
    """The hybrid feature cube of one block.

    Local interaction: F_c = (F_i W_i)(F_t W_t)ᵀ, one map a token, then a convolution (section 3.2).
    Beside the paper's, where `grounded` maps are given: for each role, the sum of the nouns' maps
    weighted by how much the text gives them that role.
    """

    def __init__(self, config: ReMamberConfig, tokens: int):
        super().__init__()
        dim = config.dim
        self.with_global, self.with_local = config.global_text, config.local_text
        self.sentence = nn.Linear(dim, dim)
        self.of_image = nn.Linear(dim, dim, bias=False)
        self.of_text = nn.Linear(dim, dim, bias=False)
        self.role = nn.Linear(dim, ROLES)
        self.convolve = nn.Conv2d(tokens + ROLES, dim, 3, padding=1)
        order = torch.randperm(3 * dim) if config.permuted else torch.arange(3 * dim)
        self.register_buffer("order", order)

    def forward(self, visual: Tensor, tokens: Tensor, sentence: Tensor, grounded: Tensor) -> Tensor:
        """Build it.

        Args:
            visual: (batch, dim, h, w).
            tokens, sentence: (batch, tokens, dim), (batch, dim).
            grounded: (batch, tokens, h, w).

        Returns:
            (batch, 3·dim, h, w): visual, global, local; those that are left out are zeros.
        """
        image = self.of_image(rearrange(visual, "b c h w -> b h w c"))
        local = torch.einsum("bhwc,blc->blhw", image, self.of_text(tokens))
        local = local / math.sqrt(visual.shape[1])
        roles = torch.einsum("blhw,blr->brhw", grounded, torch.sigmoid(self.role(tokens)))
        local = self.convolve(torch.cat([local, 4 * roles], dim=1))
        spread = self.sentence(sentence)[..., None, None].expand_as(visual)
        parts = [visual, spread * self.with_global, local * self.with_local]
        return torch.cat(parts, dim=1)[:, self.order]


class Twister(nn.Module):
    """The twisting layer, with the order of its scans as a switch (`ReMamberConfig.scans`)."""

    def __init__(self, config: ReMamberConfig, tokens: int):
        super().__init__()
        self.scans = config.scans
        self.cube = Cube(config, tokens)
        if self.scans != "spatial":
            self.channel = ChannelScan(config.token_side, config.state, config.backend)
        if self.scans != "channel":
            self.spatial = SpatialScan(3 * config.dim, config.inner, config.state, config.backend)
        self.norm = nn.LayerNorm(3 * config.dim)
        self.project = nn.Linear(3 * config.dim, config.dim)

    def forward(self, visual: Tensor, tokens: Tensor, sentence: Tensor, grounded: Tensor) -> Tensor:
        """(batch, dim, h, w) → the same, having heard the text; arguments as `Cube`'s.

        Hands over to a `Recorder`: cube, and cube_channel, cube_spatial after each scan.
        """
        cube = self.cube(visual, tokens, sentence, grounded)
        record_block(cube=cube)
        cube = self.twist(cube)
        out = self.project(self.norm(rearrange(cube, "b c h w -> b h w c")))
        return visual + rearrange(out, "b h w c -> b c h w")

    def twist(self, cube: Tensor) -> Tensor:
        """(batch, 3·dim, h, w) → the same: the scans, each with its residual."""
        if self.scans == "parallel":
            return cube + self.channel(cube) + self.spatial(cube)
        names = {"channel": ["channel"], "spatial": ["spatial"],
                 "channel-spatial": ["channel", "spatial"],
                 "spatial-channel": ["spatial", "channel"]}[self.scans]  # fmt: skip
        for name in names:
            cube = cube + getattr(self, name)(cube)
            record_block(**{f"cube_{name}": cube})
        return cube

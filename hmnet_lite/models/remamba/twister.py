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
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from hmnet_lite.mamba.ssm import SSM
from hmnet_lite.maps import resize
from hmnet_lite.models.remamba.config import ReMamberConfig
from hmnet_lite.record import record_block
from hmnet_lite.scan.selective import selective_scan

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


class ChannelScan(nn.Module):
    """A 1-D Mamba along the channels: token c is channel c's map, pooled and flattened.

    Args:
        side: of the pooled map, so that a token has side² numbers.
        state: of the SSM.
        backend: of the scan.
    """

    def __init__(self, side: int, state: int, backend: str = "auto"):
        super().__init__()
        self.side, self.backend = side, backend
        features = side * side
        self.norm = nn.LayerNorm(features)
        self.ssm = SSM(features, state, math.ceil(features / 16), directions=1)
        self.out = nn.Linear(features, features, bias=False)

    def forward(self, cube: Tensor) -> Tensor:
        """(batch, channels, h, w) → what is added to it, the same shape."""
        small = F.adaptive_avg_pool2d(cube, self.side)
        tokens = self.norm(small.flatten(2))  # (batch, channels, side²): a sequence of channels
        x = F.silu(rearrange(tokens, "b c f -> b 1 f c"))
        y = selective_scan(*self.ssm(x), backend=self.backend)  # (batch, side², channels)
        y = self.out(rearrange(y, "b f c -> b c f")).unflatten(2, (self.side, self.side))
        return resize(y, *cube.shape[-2:])


class SpatialScan(nn.Module):
    """VMamba's scan over the pixels in four directions (Liu et al., 2024), channels in and out.

    Args:
        channels: of the map.
        inner: of the scan.
        state: of the SSM.
        backend: of the scan.
    """

    def __init__(self, channels: int, inner: int, state: int, backend: str = "auto"):
        super().__init__()
        self.backend = backend
        self.norm, self.norm_out = nn.LayerNorm(channels), nn.LayerNorm(inner)
        self.into = nn.Linear(channels, 2 * inner, bias=False)
        self.conv = nn.Conv2d(inner, inner, 3, padding=1, groups=inner)
        self.ssm = SSM(inner, state, math.ceil(inner / 16))
        self.out = nn.Linear(inner, channels, bias=False)

    def forward(self, x: Tensor, text: Tensor | None = None) -> Tensor:
        """What is added to a map.

        Args:
            x: (batch, channels, h, w).
            text: (batch, tokens, inner) that every direction reads before the pixels, or None.
        """
        x, z = self.into(self.norm(rearrange(x, "b c h w -> b h w c"))).chunk(2, dim=-1)
        x = F.silu(self.conv(rearrange(x, "b h w c -> b c h w")))
        reading, recap = self.ssm.read(x), None
        if text is not None:
            told = rearrange(text, "b l c -> b 1 c l").expand(-1, self.ssm.directions, -1, -1)
            _, state = selective_scan(*self.ssm(told), return_last_state=True, backend=self.backend)
            recap = torch.zeros_like(state), state  # the pixels begin where the text ended
        y, _ = reading.scan(recap=recap, backend=self.backend)
        y = self.norm_out(rearrange(y, "b c h w -> b h w c").to(z.dtype)) * F.silu(z)
        return rearrange(self.out(y), "b h w c -> b c h w")


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

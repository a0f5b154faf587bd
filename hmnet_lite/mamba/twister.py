"""Scans of a map that hears tokens: ReMamber's channel scan, VMamba's spatial scan, SRM and QIM.

Tokens are words in ReMamber and a support's pixels in few-shot segmentation; these parts do not
know which.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from hmnet_lite.mamba.hybrid import intercept_map, read_support
from hmnet_lite.mamba.ssm import SSM
from hmnet_lite.maps import resize
from hmnet_lite.scan.selective import selective_scan


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
            text: (batch, tokens, inner) that every direction reads before the pixels, zeros where
                there is none; or None.
        """
        x, z = self.into(self.norm(rearrange(x, "b c h w -> b h w c"))).chunk(2, dim=-1)
        x = F.silu(self.conv(rearrange(x, "b h w c -> b c h w")))
        y = self.scan(x, None if text is None else self._read(text))
        y = self.norm_out(rearrange(y, "b c h w -> b h w c").to(z.dtype)) * F.silu(z)
        return rearrange(self.out(y), "b h w c -> b c h w")

    def scan(self, x: Tensor, told: tuple[Tensor, Tensor] | None) -> Tensor:
        """The map's own scan; `told`: what the text keeps of a state, and the state it leaves."""
        recap = None if told is None else (torch.zeros_like(told[1]), told[1])
        return self.ssm.read(x).scan(recap=recap, backend=self.backend)[0]  # begins after the text

    def _read(self, text: Tensor) -> tuple[Tensor, Tensor]:
        told = rearrange(text, "b l c -> b 1 c l").expand(-1, self.ssm.directions, -1, -1)
        u, delta, *rest = self.ssm(told)
        there = text.any(-1).to(delta.dtype)[:, None]  # a token of zeros is no step
        return read_support(u, delta * there, *rest, backend=self.backend)[1:]


class RecappedScan(SpatialScan):
    """The spatial scan that hears tokens as HMNet's query hears its support.

    Args:
        channels, inner, state, backend: as in `SpatialScan`.
        ratio: α: the tokens are read before each of α × α patches of the map, and met by a map
            that is α times smaller.
        srm: whether they are read before the patches (SRM); otherwise the map scans itself.
        qim: whether each pixel also meets the state that they leave (QIM).
    """

    def __init__(self, channels: int, inner: int, state: int, backend: str = "auto", *,
                 ratio: int = 2, srm: bool = True, qim: bool = True):  # fmt: skip
        super().__init__(channels, inner, state, backend)
        self.ratio, self.srm, self.qim = ratio, srm, qim

    def scan(self, x: Tensor, told: tuple[Tensor, Tensor] | None) -> Tensor:
        """(batch, inner, h, w) → the same; `told` as in `SpatialScan.scan`."""
        if told is None:
            return super().scan(x, None)
        ratio, recap = (self.ratio, told) if self.srm else (1, None)
        y, _ = self.ssm.read(x).scan(ratio, recap=recap, backend=self.backend)
        if self.qim:
            met = rearrange(told[1], "b (k c) n -> b k c n", k=self.ssm.directions).mean(1)
            y = y + intercept_map(self.ssm, x, met, self.ratio, backend=self.backend)
        return y

"""VMamba's parts (Liu et al., 2024), from pixels to four maps: the shape that ReMamber starts from.

    patch embedding    3×3 stride 2, norm, GELU, 3×3 stride 2, norm: a quarter of the picture's side
    VSS layer          x = x + SS2D(norm(x));  x = x + MLP(norm(x))
    SS2D               1×1 in, depth-wise 3×3, SiLU, scan in four directions, norm, 1×1 out
    between stages     3×3 stride 2, norm: half the side, twice the channels

This is VMamba's second form: no gate in SS2D, one number of state a channel, MLPs four times as
wide. Its base size has dims 128 to 1,024 and depths 2, 2, 15, 2, ReMamber's. Maps are
channels-last, (batch, height, width, channels), between the layers.
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from hmnet_lite.mamba.ssm import SSM


class SS2D(nn.Module):
    """The scan over the pixels in four directions.

    Args:
        channels: of the map that comes in.
        out: of the map that comes out; as many when None.
        state: size of each channel's state.
        backend: see `hmnet_lite.selective_scan`.
    """

    def __init__(self, channels: int, out: int | None = None, state: int = 1,
                 backend: str = "auto"):  # fmt: skip
        super().__init__()
        self.backend = backend
        out = out or channels
        inner = 2 * out
        self.into = nn.Linear(channels, inner, bias=False)
        self.conv = nn.Conv2d(inner, inner, 3, padding=1, groups=inner, bias=False)
        self.ssm = SSM(inner, state, math.ceil(out / 16))
        self.norm = nn.LayerNorm(inner)
        self.out = nn.Linear(inner, out, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, height, width, channels) → (batch, height, width, out)."""
        x = F.silu(self.conv(rearrange(self.into(x), "b h w c -> b c h w")))
        y, _ = self.ssm.read(x).scan(backend=self.backend)
        return self.out(self.norm(rearrange(y, "b c h w -> b h w c").to(x.dtype)))


class VSSLayer(nn.Module):
    """SS2D and an MLP, each behind a norm and beside a residual."""

    def __init__(self, channels: int, state: int = 1, backend: str = "auto"):
        super().__init__()
        self.norm, self.norm_mlp = nn.LayerNorm(channels), nn.LayerNorm(channels)
        self.scan = SS2D(channels, state=state, backend=backend)
        self.mlp = nn.Sequential(
            nn.Linear(channels, 4 * channels), nn.GELU(), nn.Linear(4 * channels, channels)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(batch, height, width, channels) → the same."""
        x = x + self.scan(self.norm(x))
        return x + self.mlp(self.norm_mlp(x))


class Halve(nn.Module):
    """A 3×3 convolution of stride 2, and a norm."""

    def __init__(self, channels: int, out: int):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(channels, out, 3, 2, 1), nn.LayerNorm(out)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, height, width, channels) → (batch, height / 2, width / 2, out)."""
        x = self.conv(rearrange(x, "b h w c -> b c h w"))
        return self.norm(rearrange(x, "b c h w -> b h w c"))


class Stage(nn.Module):
    """What makes the map smaller, and the VSS layers of its size.

    Args:
        smaller: from the map before to this stage's.
        channels, depth, state: of the layers.
        backend: see `hmnet_lite.selective_scan`.
    """

    def __init__(self, smaller: nn.Module, channels: int, depth: int, state: int, backend: str):
        super().__init__()
        self.smaller = smaller
        self.layers = nn.Sequential(*(VSSLayer(channels, state, backend) for _ in range(depth)))

    def forward(self, x: Tensor) -> Tensor:
        """The map before, (batch, height, width, channels before) → this stage's."""
        return self.layers(self.smaller(x))


def stages(dims: tuple[int, ...], depths: tuple[int, ...], state: int, backend: str):
    """The stages of a VMamba, the patch embedding in the first: an `nn.ModuleList`."""
    smaller: list[nn.Module] = [
        nn.Sequential(Halve(3, dims[0] // 2), nn.GELU(), Halve(dims[0] // 2, dims[0]))
    ]
    smaller += [Halve(a, b) for a, b in pairwise(dims)]
    return nn.ModuleList(
        Stage(*parts, state, backend) for parts in zip(smaller, dims, depths, strict=True)
    )

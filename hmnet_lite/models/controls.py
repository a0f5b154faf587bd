"""Is it Mamba? Mixers of another kind and the same size, to stand where `MambaMixer` stands.

All are called as it is, (query, support) → query, and share one frame: even blocks read each map
by itself, odd ones let the query read the support:

    map = map + core(LayerNorm(map), what it may read)
    map = map + MLP(LayerNorm(map))

    convolution   1×1, depth-wise 7×7, GELU, 1×1;  of the support it is told the mean
    mlp           1×1, GELU, 1×1, no pixel hears another;  of the support it is told the mean
    attention     four heads over all pixels of the map, or of the support (PyTorch's SDPA)
    twister       ReMamber's, with tokens of the support for words: Mamba, in another place

The width of a core is the one that brings the trained parameters nearest to those of the Mamba
mixer that the same config describes.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from hmnet_lite.mamba.config import MixerConfig
from hmnet_lite.mamba.mixer import MambaMixer
from hmnet_lite.mamba.twister import ChannelScan, SpatialScan

HEADS = 4
KERNEL = 7  # side of the depth-wise convolution
SIDE = 8  # of the support's tokens, and of a channel's map in the twister's channel scan
STATE = 16  # of the twister's scans


class PixelNorm(nn.LayerNorm):
    """LayerNorm over the channels of (batch, channels, height, width)."""

    def forward(self, x: Tensor) -> Tensor:
        """The same shape; no pixel hears another."""
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2).contiguous()


class Pointwise(nn.Module):
    """1×1, GELU, 1×1 on a map and, where the support is read, its mean beside every pixel."""

    def __init__(self, dim: int, width: int, reads: bool):
        super().__init__()
        self.into = nn.Conv2d(2 * dim if reads else dim, width, 1)
        self.between = nn.Identity()
        self.out = nn.Conv2d(width, dim, 1)

    def forward(self, query: Tensor, support: Tensor | None) -> Tensor:
        """(batch, dim, height, width) → the same."""
        if support is not None:
            told = support.mean((2, 3), keepdim=True).expand_as(query)
            query = torch.cat([query, told], dim=1)
        return self.out(F.gelu(self.between(self.into(query))))


class Convolution(Pointwise):
    """The same with a depth-wise convolution before the bend: pixels hear their neighbours."""

    def __init__(self, dim: int, width: int, reads: bool):
        super().__init__(dim, width, reads)
        self.between = nn.Conv2d(width, width, KERNEL, padding=KERNEL // 2, groups=width)


class Attention(nn.Module):
    """Every pixel attends to all pixels of its own map, or of the support."""

    def __init__(self, dim: int, width: int, reads: bool):
        super().__init__()
        self.query, self.key, self.value = (nn.Conv2d(dim, width, 1) for _ in range(3))
        self.out = nn.Conv2d(width, dim, 1)

    def forward(self, query: Tensor, support: Tensor | None) -> Tensor:
        """(batch, dim, height, width) → the same."""
        read = query if support is None else support
        given = (self.query(query), self.key(read), self.value(read))
        heads = (rearrange(x, "b (n c) h w -> b n (h w) c", n=HEADS) for x in given)
        mixed = F.scaled_dot_product_attention(*heads)
        h, w = query.shape[-2:]
        return self.out(rearrange(mixed, "b n (h w) c -> b (n c) h w", h=h, w=w))


class Twister(nn.Module):
    """ReMamber's fusion (Yang et al., 2024, section 3) with a support for the sentence.

        cube = [ query | mean of the support | conv(F_q W_q (F_s W_s)ᵀ) ]
        cube = cube + SSM_channel(cube);  cube = cube + SSM_spatial(cube)

    F_s: the support pooled to 8 × 8 tokens. Where no support is read, the spatial scan alone.
    """

    def __init__(self, dim: int, width: int, reads: bool):
        super().__init__()
        parts = 3 * dim if reads else dim
        if reads:
            self.of_query = nn.Conv2d(dim, dim, 1, bias=False)
            self.of_support = nn.Conv2d(dim, dim, 1, bias=False)
            self.convolve = nn.Conv2d(SIDE**2, dim, 3, padding=1)
            self.channel = ChannelScan(SIDE, STATE)
        self.spatial = SpatialScan(parts, width, STATE)
        self.out = nn.Conv2d(parts, dim, 1)

    def forward(self, query: Tensor, support: Tensor | None) -> Tensor:
        """(batch, dim, height, width) → the same."""
        cube = query
        if support is not None:
            told = support.mean((2, 3), keepdim=True).expand_as(query)
            tokens = self.of_support(F.adaptive_avg_pool2d(support, SIDE)).flatten(2)
            together = torch.einsum("bchw,bcl->blhw", self.of_query(query), tokens)
            local = self.convolve(together / query.shape[1] ** 0.5)
            cube = torch.cat([query, told, local], dim=1)
            cube = cube + self.channel(cube)
        return self.out(cube + self.spatial(cube))


CORES: dict[str, type[nn.Module]] = {
    "convolution": Convolution, "mlp": Pointwise, "attention": Attention, "twister": Twister,
}  # fmt: skip


class ControlBlock(nn.Module):
    """One core and one MLP in the frame above; both maps go through the same weights."""

    def __init__(self, core: type[nn.Module], dim: int, width: int, reads: bool):
        super().__init__()
        self.reads_support = reads
        self.norm_core, self.norm_mlp = PixelNorm(dim), PixelNorm(dim)
        self.core = core(dim, width, reads)
        self.mlp = nn.Sequential(nn.Conv2d(dim, dim, 1), nn.GELU(), nn.Conv2d(dim, dim, 1))

    def forward(self, query: Tensor, support: Tensor) -> tuple[Tensor, Tensor]:
        """(batch, dim, height, width) each → the same; a block that reads leaves the support."""
        if self.reads_support:
            return self._step(query, self.norm_core(support)), support
        return self._step(query, None), self._step(support, None)

    def _step(self, x: Tensor, read: Tensor | None) -> Tensor:
        x = x + self.core(self.norm_core(x), read)
        return x + self.mlp(self.norm_mlp(x))


class ControlMixer(nn.Module):
    """A mixer without Mamba, as large as the Mamba mixer of the same config.

    Args:
        config: dim and depth are kept; the other switches decide the size to reach, and whether
            the support is read at all.
        kind: "convolution", "mlp", "attention" or "twister".

    Raises:
        ValueError: no such kind.
    """

    def __init__(self, config: MixerConfig, kind: str):
        super().__init__()
        if kind not in CORES:
            raise ValueError(f"kind is {kind!r}; expected one of {', '.join(CORES)}")
        self.config, self.kind = config, kind
        reads = [config.mixes and i % 2 == 1 for i in range(config.depth)]

        def blocks(width: int) -> nn.ModuleList:
            return nn.ModuleList(ControlBlock(CORES[kind], config.dim, width, r) for r in reads)

        goal = trained(MambaMixer(MixerConfig(**_mixer_fields(config))).blocks)
        self.width = matched(lambda width: trained(blocks(width)), goal, step=HEADS)
        self.blocks = blocks(self.width)
        self.norm = PixelNorm(config.dim)

    def start_silent(self) -> None:
        """Zero what every block adds, as `MambaMixer.start_silent` does."""
        for block in self.blocks:
            for last in (block.core.out, block.mlp[-1]):
                nn.init.zeros_(last.weight)
                nn.init.zeros_(last.bias)

    @torch.no_grad()
    def start_matching(self) -> None:
        """Attention and twister begin looking for what is alike; others have nothing to match."""
        for block in self.blocks:
            if self.kind == "attention":
                block.core.key.load_state_dict(block.core.query.state_dict())
            elif self.kind == "twister" and block.reads_support:
                block.core.of_support.load_state_dict(block.core.of_query.state_dict())

    def forward(self, query: Tensor, support: Tensor) -> Tensor:
        """Mix the support into the query.

        Args:
            query, support: (batch, dim, height, width), of one size.

        Returns:
            (batch, dim, height, width).

        Raises:
            ValueError: shapes that do not fit.
        """
        if query.shape != support.shape or query.ndim != 4 or query.shape[1] != self.config.dim:
            raise ValueError(
                f"query is {tuple(query.shape)} and support {tuple(support.shape)}; expected both "
                f"(batch, {self.config.dim}, height, width), of one size"
            )
        for block in self.blocks:
            query, support = block(query, support)
        return self.norm(query)


def matched(count: Callable[[int], int], goal: int, *, step: int = 1) -> int:
    """The width, a multiple of `step`, whose count is nearest to the goal; counts grow."""
    if count(step) == count(2 * step):  # nothing grows
        return step
    low = high = 1
    while count(step * high) < goal:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if count(step * middle) < goal else (low, middle)
    return step * min((low, high), key=lambda steps: abs(count(step * steps) - goal))


def trained(module: nn.Module) -> int:
    """How many numbers of a module are trained."""
    return sum(p.numel() for p in module.parameters() if p.requires_grad)


def _mixer_fields(config: MixerConfig) -> dict:
    return {name: getattr(config, name) for name in MixerConfig.__dataclass_fields__}

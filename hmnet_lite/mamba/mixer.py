"""The mixer: self and hybrid Mamba blocks in turn, over two feature maps."""

from __future__ import annotations

import torch
from einops import rearrange
from torch import Tensor, nn

from hmnet_lite.mamba.blocks import HybridMambaBlock, SelfMambaBlock
from hmnet_lite.mamba.config import MixerConfig
from hmnet_lite.maps import patch_size


class MambaMixer(nn.Module):
    """Alternate self and hybrid blocks; the query comes out having read the support.

        mixer = MambaMixer(dim=32, depth=2, qim="off")        # or MambaMixer(config)

    Args:
        dim: channels of both maps, or a whole `MixerConfig`.
        depth: number of blocks, with a dim; the other switches of `MixerConfig` go by name.
        keep_support: compute (and train) the support's half of the last blocks, too, for `both`.

    Raises:
        ValueError: a size or a switch that `MixerConfig` refuses.
    """

    def __init__(
        self,
        dim: MixerConfig | int,
        depth: int | None = None,
        *,
        keep_support: bool = False,
        **options,
    ):
        super().__init__()
        if depth is not None:
            options["depth"] = depth
        self.config = config = MixerConfig.of(dim, **options)
        self.keep_support = keep_support
        hybrid = [config.mixes and i % 2 == 1 for i in range(config.depth)]
        self.blocks = nn.ModuleList(
            (HybridMambaBlock if reads else SelfMambaBlock)(
                config, unread=not (keep_support or any(hybrid[i + 1 :]))
            )
            for i, reads in enumerate(hybrid)
        )
        self.norm = nn.LayerNorm(config.dim)

    def start_silent(self) -> None:
        """Zero what every block adds, so that training starts from the network without Mamba.

        A random block at first only disturbs the features; a silent one learns what to add (the
        residual start of ReZero, Bachlechner et al., 2020).
        """
        for block in self.blocks:
            for kind in ("query", "support"):
                nn.init.zeros_(getattr(block, f"out_{kind}").weight)
                last = getattr(block, f"mlp_{kind}")[-1]
                nn.init.zeros_(last.weight)
                nn.init.zeros_(last.bias)

    @torch.no_grad()
    def start_matching(self) -> None:
        """Begin as a matcher: what the query reads resembles what the support wrote.

        The support goes through copies of the query's parts, convolutions begin close to the pixel
        itself, hybrid blocks read in the directions they write (C = B), forget slowly and lean
        little on their skip. Ours: the paper says nothing about a start.
        """
        for block in self.blocks:
            conv = block.conv_query
            conv.weight.mul_(0.2)
            conv.weight[:, 0, 1, 1] += 1
            conv.bias.zero_()
            for part in ("in", "conv", "mlp", "out"):
                ours, theirs = (getattr(block, f"{part}_{k}") for k in ("support", "query"))
                ours.load_state_dict(theirs.state_dict())
            if not block.reads_support:
                continue
            ssm = block.ssm
            written = slice(ssm.rank, ssm.rank + ssm.state)
            ssm.select[:, written] *= 2
            ssm.select[:, ssm.rank + ssm.state :] = ssm.select[:, written]
            ssm.D.fill_(0.1)
            ssm.A_log.copy_(torch.log(torch.arange(1, ssm.state + 1) / 8).expand_as(ssm.A_log))

    def forward(self, query: Tensor, support: Tensor) -> Tensor:
        """Mix the support into the query.

        Args:
            query: (batch, dim, height, width), no side shorter than the recap ratio.
            support: likewise; or (batch, shots, dim, height, width), each read by the mixer, where
                its switch `pool_shots` is not "features".

        Returns:
            (batch, dim, height, width).

        Raises:
            TypeError: numbers of another kind than the weights, outside of autocast.
            ValueError: shapes, channels or devices that do not fit, said with the mend.
        """
        return self.both(query, support)[0]

    def both(self, query: Tensor, support: Tensor) -> tuple[Tensor, Tensor | None]:
        """As `forward`, and the support beside it; None unless `keep_support`."""
        if support.ndim == 5 and self.config.pool_shots != "features":
            support = self._several(query, support)
        else:
            self._check(query, support)
        query, support = (rearrange(x, "b c h w -> b h w c") for x in (query, support))
        for block in self.blocks:
            query, support = block(query, support)
        return self._out(query), self._out(support) if self.keep_support else None

    def _out(self, map_: Tensor) -> Tensor:
        return rearrange(self.norm(map_), "b h w c -> b c h w").contiguous()

    def _several(self, query: Tensor, supports: Tensor) -> Tensor:
        """(batch, shots, ...) → (batch·shots, ...), looked through."""
        for support in supports.unbind(1):
            self._check(query, support)
        return supports.flatten(0, 1)

    def _check(self, query: Tensor, support: Tensor) -> None:
        for name, x in (("query", query), ("support", support)):
            if x.ndim != 4 or x.shape[1] != self.config.dim:
                raise ValueError(
                    f"{name} has shape {tuple(x.shape)}; expected (batch, {self.config.dim}, "
                    "height, width): project the features to the mixer's dim first"
                )
        if query.shape != support.shape or query.device != support.device:
            raise ValueError(
                f"query is {tuple(query.shape)} on {query.device} and support "
                f"{tuple(support.shape)} on {support.device}; they must agree: average the "
                "support over its shots and resize it to the query's size"
            )
        weight = self.norm.weight
        if query.device != weight.device:
            raise ValueError(
                f"query is on {query.device} and the mixer on {weight.device}; move one of them"
            )
        kinds = {query.dtype, support.dtype, weight.dtype}
        mixed = len(kinds) > 1 and not torch.is_autocast_enabled(query.device.type)
        if mixed or not (query.is_floating_point() and support.is_floating_point()):
            raise TypeError(
                f"query is {query.dtype}, support {support.dtype} and the mixer {weight.dtype}; "
                f"expected one kind of floats: use .to({weight.dtype}), or torch.autocast"
            )
        if len(self.blocks) > 1:
            patch_size(*query.shape[-2:], self.config.recap_ratio)  # raises where one is too short

"""Self Mamba blocks (SMB) and hybrid Mamba blocks (HMB).

One block, on a query map and a support map (paper, Fig. 6; the hybrid core is its Fig. 3):

    x, z  = in_proj(LayerNorm(map))              each 2·dim channels
    x     = SiLU(depth-wise 3×3 conv(x))
    y     = core(x)                              self: each map alone; hybrid: SRM + QIM
    map   = map + out_proj(LayerNorm(y) · SiLU(z))
    map   = map + MLP(LayerNorm(map))

Query and support share the norms and the SSM; projections, convolutions and MLPs are their own.
Maps are channels-last, (batch, height, width, dim), inside the blocks.
"""

from __future__ import annotations

import math
from functools import partial

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from hmnet_lite.mamba.config import MixerConfig
from hmnet_lite.mamba.hybrid import intercept_map, intercept_map_each, one_of_many
from hmnet_lite.mamba.ssm import SSM, MapReading
from hmnet_lite.maps import patch_size, resize
from hmnet_lite.record import begin_block, record_block
from hmnet_lite.scan.precision import exact, in_full


class MambaBlock(nn.Module):
    """Base of SMB and HMB: everything but the core.

    Args:
        config: a `MixerConfig`, or its dim, the other switches then by name.
        unread: nobody reads this block's support, for no hybrid block follows. Its support half
            stays in the state dict, as released, but is neither computed nor trained.

    One core serves every backend: `MapReading.scan` reads a map where it lies or as sequences.
    """

    def __init__(self, config: MixerConfig | int, *, unread: bool = False, **options):
        super().__init__()
        self.config = config = MixerConfig.of(config, **options)
        self.unread = unread
        dim, inner = config.dim, 2 * config.dim
        self.norm_core, self.norm_mlp = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.norm_out = nn.LayerNorm(inner)
        self.ssm = SSM(inner, config.state, math.ceil(dim / 16), config.directions)
        for kind in ("query", "support"):
            self.add_module(f"in_{kind}", nn.Linear(dim, 2 * inner, bias=False))
            self.add_module(f"conv_{kind}", nn.Conv2d(inner, inner, 3, padding=1, groups=inner))
            self.add_module(f"out_{kind}", nn.Linear(inner, dim, bias=False))
            mlp = nn.Sequential(nn.Linear(dim, dim), nn.GELU(), nn.Linear(dim, dim))
            self.add_module(f"mlp_{kind}", mlp)
        if unread:
            for part in self.unread_parts():
                part.requires_grad_(False)

    reads_support = False  # whether the query's core reads the support's map

    def unread_parts(self) -> list[nn.Module]:
        """What nothing depends on when nobody reads the support that comes out."""
        after = [self.out_support, self.mlp_support]
        return after if self.reads_support else [self.in_support, self.conv_support, *after]

    def core(self, query: Tensor, support: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """(batch, 2·dim, height, width) each → the same, mixed; None where nobody reads it."""
        raise NotImplementedError

    def forward(self, query: Tensor, support: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """(batch, height, width, dim) each → the same; None for a support that nobody reads."""
        begin_block()
        xq, zq = self._project(query, self.in_query, self.conv_query)
        xs = zs = None
        if self.reads_support or not self.unread:
            xs, zs = self._project(support, self.in_support, self.conv_support, not self.unread)
        record_block(scan_in_query=xq, scan_in_support=xs)
        yq, ys = self.core(xq, xs)
        query = query + self._gate(yq.to(xq.dtype), zq, self.out_query)
        query = query + self.mlp_query(self.norm_mlp(query))
        record_block(query=query)
        if xs is None or ys is None:  # nobody reads it
            return query, None
        support = support + self._gate(ys.to(xs.dtype), zs, self.out_support)
        support = support + self.mlp_support(self.norm_mlp(support))
        record_block(support=support)
        return query, support

    def scan(self, reading: MapReading, ratio: int = 1, **options) -> tuple[Tensor, Tensor | None]:
        """`MapReading.scan` on this block's backend."""
        return reading.scan(ratio, backend=self.config.backend, **options)

    def _project(self, map_: Tensor, project: nn.Linear, conv: nn.Conv2d, gated: bool = True):
        # two products, not one cut in two: each result is then one piece of memory
        map_ = self.norm_core(map_)
        for_x, for_z = project.weight.chunk(2)
        x = rearrange(F.linear(map_, for_x), "b h w c -> b c h w")
        return F.silu(conv(x)), F.linear(map_, for_z) if gated else None  # x: channels-last

    def _gate(self, y: Tensor, z: Tensor, project: nn.Linear) -> Tensor:
        y = self.norm_out(rearrange(y, "b c h w -> b h w c"))
        return project(y * F.silu(z))


class SelfMambaBlock(MambaBlock):
    """SMB: each map scans itself in every direction (paper, 4.2 and D.1; VMamba's SS2D)."""

    def core(self, query, support):
        query_map = self.ssm.read(query)
        record_block(query_scan=query_map.sequences)
        y_query, _ = self.scan(query_map)
        if support is None:
            return y_query, None
        support_map = self.ssm.read(support)
        record_block(support_scan=support_map.sequences)
        y_support, _ = self.scan(support_map)
        return y_query, y_support


class HybridMambaBlock(MambaBlock):
    """HMB: the query reads the support by SRM and QIM; the support reads itself, α times smaller.

    Args as in `MambaBlock`; the switches srm, qim, recap, recap_ratio, support_ratio, qim_ratio,
    pool_shots, generated, detach_support_state and published_skip are those of `MixerConfig`. Where
    the batch of the support is K times the query's, each query has K supports.
    """

    reads_support = True

    def __init__(self, config: MixerConfig | int, *, unread: bool = False, **options):
        super().__init__(config, unread=unread, **options)
        if self.config.qim == "own":
            self.ssm_qim = SSM(2 * self.config.dim, self.ssm.state, self.ssm.rank, directions=1)
        if self.config.generated:
            self.generate = nn.Parameter(torch.zeros_like(self.ssm.select))

    @property
    def patch_ratio(self) -> int:
        """In how many patches a side SRM cuts the query: α, or 1 when the support is read once."""
        return self.config.recap_ratio if self.config.srm == "recap" else 1

    @property
    def shrink_ratio(self) -> int:
        """How many times smaller SRM reads the support: `support_ratio`, or as the patches are."""
        untied = self.config.srm == "recap" and self.config.support_ratio
        return untied or self.patch_ratio

    @property
    def intercept_ratio(self) -> int:
        """How many times smaller QIM reads the query: `qim_ratio`, or α."""
        return self.config.qim_ratio or self.config.recap_ratio

    def core(self, query, support):
        size, ratio = query.shape[-2:], self.patch_ratio
        support_small = resize(support, *patch_size(*size, self.shrink_ratio))
        support_map, query_map = self.ssm.read(support_small), self.ssm.read(query)
        if self.config.generated:
            query_map = query_map.shifted(self._generated(support, len(query)))

        # SRM: one pass over the small support, then a recap before each query patch
        y_support, support_state = self.scan(support_map, last_state=True)
        support_keep, shots = None, len(support) // len(query)
        if self.config.srm != "off" or shots > 1:
            support_keep = support_map.support_keep()
        if shots > 1:
            read = (support_keep, support_state)
            support_keep, support_state = one_of_many(*read, shots, self.config.pool_shots)
        recap = None if self.config.srm == "off" else (self._kept(support_keep), support_state)
        y_query, _ = self.scan(query_map, ratio, recap=recap)
        record_block(
            scan_in_support_small=support_small, support_scan=support_map.sequences,
            query_scan=partial(query_map.sequences, ratio), support_state=support_state,
            support_keep=recap and recap[0], srm_query=y_query,
        )  # fmt: skip
        if self.config.qim != "off":
            y_query = y_query + self.intercept(query, support_state)
        return y_query, None if self.unread else resize(y_support, *size)

    def _generated(self, support: Tensor, queries: int) -> Tensor:
        """What the supports' mean moves the query's selection by, (queries, directions, any)."""
        with exact(support):
            mean = in_full(support).mean((-2, -1)).unflatten(0, (queries, -1)).mean(1)
            return torch.einsum("bc,krc->bkr", mean, self.generate.to(mean.dtype))

    def _kept(self, support_keep: Tensor) -> Tensor:
        """What a recap keeps of the state it meets, by the switch."""
        match self.config.recap:
            case "reset":
                return torch.zeros_like(support_keep)
            case "add":
                return torch.ones_like(support_keep)
        return support_keep

    def intercept(self, query: Tensor, support_state: Tensor) -> Tensor:
        """QIM: every pixel of the small query meets the support state; back at full size.

        (batch, 2·dim, height, width), (batch, directions·2·dim, state) → as the query.
        """
        met_states = rearrange(support_state, "b (k c) n -> b k c n", k=self.ssm.directions)
        if self.config.detach_support_state:
            met_states = met_states.detach()
        ssm = self.ssm_qim if self.config.qim == "own" else self.ssm
        skip = ssm.D[:, 0] if self.config.published_skip else ssm.D
        ratio, backend = self.intercept_ratio, self.config.backend
        if self.config.qim == "each":
            return intercept_map_each(ssm, query, met_states, ratio, skip, backend)
        return intercept_map(ssm, query, met_states.mean(1), ratio, skip[0], backend)

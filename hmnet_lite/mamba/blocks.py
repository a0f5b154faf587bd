"""Self Mamba blocks (SMB), hybrid Mamba blocks (HMB) and the mixer that alternates them.

One block, on a query map and a support map (paper, Fig. 3; details DESIGN fact 5):

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

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from hmnet_lite.mamba.hybrid import intercept, read_support, recapped_scan
from hmnet_lite.mamba.ssm import SSM
from hmnet_lite.maps import (
    DIRECTIONS,
    from_sequences,
    inside,
    patch_size,
    patch_starts,
    reading_order,
    resize,
    to_sequences,
)
from hmnet_lite.scan.backends import choose_backend
from hmnet_lite.scan.selective import selective_scan

SRM, QIM = ("recap", "basic", "off"), ("shared", "own", "off")


class MambaBlock(nn.Module):
    """Base of SMB and HMB: everything but the core.

    Args:
        dim: channels of the maps.
        state: size of each channel's state.
        directions: 1, 2 or 4 of the traversals: rows; rows and columns; and both reversed.
        backend: see `selective_scan`. Where that is the compiled CPU scan, the core reads the maps
            where they lie (`by_map`); elsewhere it lays them out as sequences (`by_sequences`).
    """

    def __init__(self, dim: int, *, state: int = 16, directions: int = DIRECTIONS,
                 backend: str = "auto"):  # fmt: skip
        super().__init__()
        inner = 2 * dim
        self.backend = backend
        self.norm_core, self.norm_mlp = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.norm_out = nn.LayerNorm(inner)
        self.ssm = SSM(inner, state, math.ceil(dim / 16), directions)
        for kind in ("query", "support"):
            self.add_module(f"in_{kind}", nn.Linear(dim, 2 * inner, bias=False))
            self.add_module(f"conv_{kind}", nn.Conv2d(inner, inner, 3, padding=1, groups=inner))
            self.add_module(f"out_{kind}", nn.Linear(inner, dim, bias=False))
            mlp = nn.Sequential(nn.Linear(dim, dim), nn.GELU(), nn.Linear(dim, dim))
            self.add_module(f"mlp_{kind}", mlp)

    def core(self, query: Tensor, support: Tensor, trace: dict | None) -> tuple[Tensor, Tensor]:
        """(batch, 2·dim, height, width) each → the same, mixed."""
        in_place = self.in_place(query)
        if trace is not None or not in_place:
            mixed = self.by_sequences(query, support, trace)
        return self.by_map(query, support) if in_place else mixed

    def in_place(self, x: Tensor) -> bool:
        """Whether the core of such a map is the compiled one, `by_map`."""
        backend = self.backend if self.backend != "auto" else choose_backend(x)[0]
        return backend == "cpu" and x.device.type == "cpu" and x.dtype == torch.float32

    def by_sequences(self, query: Tensor, support: Tensor, trace: dict | None = None):
        """The readable core: sequences laid out, scanned and put back. `trace` is filled."""
        raise NotImplementedError

    def by_map(self, query: Tensor, support: Tensor) -> tuple[Tensor, Tensor]:
        """The same without a copy of either map."""
        raise NotImplementedError

    def forward(self, query: Tensor, support: Tensor, trace: dict | None = None):
        """(batch, height, width, dim) each → the same. `trace` is filled with what was computed."""
        xq, zq = self._project(query, self.in_query, self.conv_query)
        xs, zs = self._project(support, self.in_support, self.conv_support)
        if trace is not None:
            trace.update(scan_in_query=xq, scan_in_support=xs)
        yq, ys = self.core(xq, xs, trace)
        query = query + self._gate(yq, zq, self.out_query)
        support = support + self._gate(ys, zs, self.out_support)
        query = query + self.mlp_query(self.norm_mlp(query))
        support = support + self.mlp_support(self.norm_mlp(support))
        if trace is not None:
            trace.update(query=query, support=support)
        return query, support

    def _project(self, map_: Tensor, project: nn.Linear, conv: nn.Conv2d):
        # two products, not one cut in two: each result is then one piece of memory
        map_ = self.norm_core(map_)
        x, z = (F.linear(map_, weight) for weight in project.weight.chunk(2))
        return F.silu(conv(rearrange(x, "b h w c -> b c h w"))), z  # channels-last in memory

    def _gate(self, y: Tensor, z: Tensor, project: nn.Linear) -> Tensor:
        y = self.norm_out(rearrange(y, "b c h w -> b h w c"))
        return project(y * F.silu(z))


class SelfMambaBlock(MambaBlock):
    """SMB: each map scans itself in every direction (paper, section 4.1; VMamba's SS2D)."""

    def by_sequences(self, query, support, trace=None):
        scans = {"query": self.ssm(to_sequences(query)), "support": self.ssm(to_sequences(support))}
        if trace is not None:
            trace.update({f"{kind}_scan": scan for kind, scan in scans.items()})
        outputs = (selective_scan(*scan, backend=self.backend) for scan in scans.values())
        return tuple(self._together(y, *query.shape[-2:]) for y in outputs)

    def by_map(self, query, support):
        order = reading_order(*query.shape[-2:])
        return tuple(self.ssm.scan_map(x, order)[0] for x in (query, support))

    def _together(self, y: Tensor, height: int, width: int, ratio: int = 1) -> Tensor:
        """(batch, K·channels, length) → the directions' sum, (batch, channels, height, width)."""
        return sum(from_sequences(self._directions(y), height, width, ratio))

    def _directions(self, y: Tensor) -> Tensor:
        """(batch, K·channels, any) → (batch, K, channels, any)."""
        return rearrange(y, "b (k c) l -> b k c l", k=self.ssm.directions)


class HybridMambaBlock(SelfMambaBlock):
    """HMB: the query reads the support by SRM and QIM; the support reads itself, α times smaller.

    Args:
        dim: channels of the maps.
        recap_ratio: α.
        detach_support_state: no gradient from QIM into the support state, as published.
        published_skip: QIM's skip uses the single number D[0, 0] for every channel, a slip of the
            published code that parity needs (DESIGN fact 9). The paper has one D a channel.
        srm: "recap" reads the support before every patch, "basic" once before the whole query
            (cross Mamba, both at full size); "off": the query scans itself.
        qim: "shared" uses direction 0's parameters, "own" has its own, "off" leaves QIM out.
    """

    def __init__(self, dim, *, recap_ratio=4, detach_support_state=True, published_skip=False,
                 srm="recap", qim="shared", **kwargs):  # fmt: skip
        super().__init__(dim, **kwargs)
        self.recap_ratio = recap_ratio
        self.detach_support_state = detach_support_state
        self.published_skip = published_skip
        self.srm, self.qim = srm, qim
        if qim == "own":
            self.ssm_qim = SSM(2 * dim, self.ssm.state, self.ssm.rank, directions=1)

    @property
    def patch_ratio(self) -> int:
        """In how many patches a side SRM cuts the query: α, or 1 when the support is read once."""
        return self.recap_ratio if self.srm == "recap" else 1

    def by_sequences(self, query, support, trace=None):
        size, ratio = query.shape[-2:], self.patch_ratio
        small = patch_size(*size, ratio)
        support_small = resize(support, *small)

        # SRM: one pass over the small support, then a recap before each query patch
        support_scan = self.ssm(to_sequences(support_small))
        y_support, P, H_S = read_support(*support_scan, backend=self.backend)
        u, delta, A, B, C, D = self.ssm(to_sequences(query, ratio))
        if not (real := inside(*size, ratio)[: self.ssm.directions].to(u.device)).all():
            delta = delta * real.repeat_interleave(u.shape[1] // len(real), dim=0)
        query_scan = (u, delta, A, B, C, D)
        if self.srm == "off":
            y_query = selective_scan(*query_scan, backend=self.backend)
        else:
            y_query = recapped_scan(
                *query_scan, P, H_S, segment=small[0] * small[1], backend=self.backend
            )
        out_query = self._together(y_query, *size, ratio)
        out_support = self._together(y_support, *small)
        if trace is not None:
            trace.update(
                support_scan=support_scan, query_scan=query_scan, recap_keep=P, support_state=H_S,
                srm_query=y_query, srm_support=y_support, scan_in_support_small=support_small,
            )  # fmt: skip
        return out_query + self._intercept(query, H_S, trace), resize(out_support, *size)

    def by_map(self, query, support):
        size, ratio = query.shape[-2:], self.patch_ratio
        small = patch_size(*size, ratio)
        support = resize(support, *small)
        out_support, low_rank, H_S = self.ssm.scan_map(support, reading_order(*small))
        order, starts = reading_order(*size, ratio), patch_starts(*size, ratio)
        recap = None if self.srm == "off" else (self.ssm.kept(low_rank), H_S)
        out_query, *_ = self.ssm.scan_map(query, order, starts, recap)
        return out_query + self._intercept(query, H_S), resize(out_support, *size)

    def _intercept(self, query: Tensor, H_S: Tensor, trace: dict | None = None) -> Tensor | float:
        """QIM: every pixel of the small query meets the mean support state; back at full size."""
        if self.qim == "off":
            return 0.0
        small = patch_size(*query.shape[-2:], self.recap_ratio)
        query_small = resize(query, *small)
        met_state = self._directions(H_S).mean(1)
        if self.detach_support_state:
            met_state = met_state.detach()
        ssm = self.ssm if self.qim == "shared" else self.ssm_qim
        u, delta, A, B, C, D = ssm(rearrange(query_small, "b c h w -> b 1 c (h w)"))
        skip = D[0] if self.published_skip else D
        y = intercept(u, delta, A, B[:, 0], C[:, 0], skip, met_state)
        if trace is not None:
            trace.update(met_state=met_state, qim_query=y, scan_in_query_small=query_small)
        y = rearrange(y, "b c (h w) -> b c h w", h=small[0])
        return resize(y.contiguous(memory_format=torch.channels_last), *query.shape[-2:])


class MambaMixer(nn.Module):
    """Alternate self and hybrid blocks; the query comes out having read the support.

    Args:
        dim: channels of both maps.
        depth: number of blocks; even blocks (0, 2, …) are self, odd ones hybrid.
        state: size of each channel's state.
        recap_ratio, detach_support_state, published_skip, srm, qim: see `HybridMambaBlock`. With
            srm and qim both "off" nothing of the support could reach the query, and all blocks are
            self blocks.
        directions: 1, 2 or 4, see `MambaBlock`.
        backend: see `selective_scan`.

    The mixer takes and gives (batch, dim, height, width), of any size with no side shorter than
    the recap ratio.

    Raises:
        ValueError: a size or a switch that is not as above.
    """

    def __init__(self, dim: int, depth: int, *, state: int = 16, recap_ratio: int = 4,
                 detach_support_state: bool = True, published_skip: bool = False,
                 srm: str = "recap", qim: str = "shared", directions: int = DIRECTIONS,
                 backend: str = "auto"):  # fmt: skip
        super().__init__()
        if dim < 1 or depth < 0 or state < 1 or recap_ratio < 1:
            raise ValueError(
                f"dim={dim}, depth={depth}, state={state}, recap_ratio={recap_ratio}: expected "
                "dim, state and recap_ratio of at least 1 and depth of at least 0"
            )
        for name, value, known in (
            ("srm", srm, SRM), ("qim", qim, QIM), ("directions", directions, (1, 2, 4))
        ):  # fmt: skip
            if value not in known:
                raise ValueError(f"{name}={value!r}; expected one of {known}")
        self.dim, self.recap_ratio = dim, recap_ratio
        hybrid = dict(recap_ratio=recap_ratio, detach_support_state=detach_support_state,
                      published_skip=published_skip, srm=srm, qim=qim)  # fmt: skip
        shared = dict(state=state, directions=directions, backend=backend)
        mixed = srm != "off" or qim != "off"
        self.blocks = nn.ModuleList(
            HybridMambaBlock(dim, **hybrid, **shared) if i % 2 and mixed
            else SelfMambaBlock(dim, **shared)
            for i in range(depth)
        )  # fmt: skip
        self.norm = nn.LayerNorm(dim)

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

    def forward(self, query: Tensor, support: Tensor, trace: list | None = None) -> Tensor:
        """Mix the support into the query.

        Args:
            query, support: (batch, dim, height, width).
            trace: a list that receives one dict a block with what it computed (states,
                sequences, features); the result does not change.

        Returns:
            (batch, dim, height, width).

        Raises:
            ValueError: shapes, channels or devices that do not fit, said with the mend.
        """
        self._check(query, support)
        query, support = (rearrange(x, "b c h w -> b h w c") for x in (query, support))
        for block in self.blocks:
            record = None if trace is None else {}
            query, support = block(query, support, record)
            if trace is not None:
                trace.append(record)
        return rearrange(self.norm(query), "b h w c -> b c h w").contiguous()

    def _check(self, query: Tensor, support: Tensor) -> None:
        for name, x in (("query", query), ("support", support)):
            if x.ndim != 4 or x.shape[1] != self.dim:
                raise ValueError(
                    f"{name} has shape {tuple(x.shape)}; expected (batch, {self.dim}, height, "
                    "width): project the features to the mixer's dim first"
                )
        if query.shape != support.shape or query.device != support.device:
            raise ValueError(
                f"query is {tuple(query.shape)} on {query.device} and support "
                f"{tuple(support.shape)} on {support.device}; they must agree: average the "
                "support over its shots and resize it to the query's size"
            )
        if len(self.blocks) > 1:
            patch_size(*query.shape[-2:], self.recap_ratio)  # raises where a side is too short

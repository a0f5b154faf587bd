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

from hmnet_lite.hybrid import intercept, read_support, recapped_scan, resize
from hmnet_lite.scan import selective_scan
from hmnet_lite.traverse import DIRECTIONS, check_ratio, from_sequences, to_sequences


class SSM(nn.Module):
    """The selection parameters of one block: from a sequence to Δ, B, C, for four directions.

    Args:
        channels: d_inner, channels of the sequence.
        state: size of each channel's state.
        rank: rank of the Δ projection.
    """

    def __init__(self, channels: int, state: int, rank: int):
        super().__init__()
        self.rank, self.state = rank, state
        self.select = nn.Parameter(torch.empty(DIRECTIONS, rank + 2 * state, channels))
        self.delta_weight = nn.Parameter(torch.empty(DIRECTIONS, channels, rank))
        self.delta_bias = nn.Parameter(torch.empty(DIRECTIONS, channels))
        # S4D-real initialisation (Gu et al., 2022): A = -1, -2, …, -state for every channel
        rates = torch.arange(1, state + 1, dtype=torch.float32)
        self.A_log = nn.Parameter(rates.log().repeat(DIRECTIONS, channels, 1))
        self.D = nn.Parameter(torch.ones(DIRECTIONS, channels))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Mamba's initialisation: Δ starts log-uniform in [0.001, 0.1] (Mamba, section 3.6)."""
        for k in range(DIRECTIONS):
            nn.init.kaiming_uniform_(self.select[k], a=math.sqrt(5))
        nn.init.uniform_(self.delta_weight, -(self.rank**-0.5), self.rank**-0.5)
        with torch.no_grad():
            low, high = math.log(0.001), math.log(0.1)
            delta = torch.exp(torch.empty_like(self.delta_bias).uniform_(low, high))
            self.delta_bias.copy_(delta + torch.log(-torch.expm1(-delta)))  # softplus inverse

    @property
    def A(self) -> Tensor:
        """(directions, channels, state), negative."""
        return -torch.exp(self.A_log.float())

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Arguments of a scan over all directions at once, each direction a group.

        Args:
            x: (batch, directions, channels, length); the first K directions' parameters serve.

        Returns:
            u, delta (batch, K·channels, length), A (K·channels, state), B, C
            (batch, K, state, length), D (K·channels,).
        """
        K = x.shape[1]
        selected = torch.einsum("bkcl,krc->bkrl", x, self.select[:K])
        low_rank, B, C = selected.split([self.rank, self.state, self.state], dim=2)
        delta = torch.einsum("bkrl,kcr->bkcl", low_rank, self.delta_weight[:K])
        delta = F.softplus(delta + self.delta_bias[:K, :, None])
        u, delta = (rearrange(v, "b k c l -> b (k c) l") for v in (x, delta))
        A, D = self.A[:K].flatten(0, 1), self.D[:K].flatten()
        return u, delta, A, B, C, D


class MambaBlock(nn.Module):
    """Base of SMB and HMB: everything but the core."""

    def __init__(self, dim: int, *, state: int = 16, backend: str = "auto"):
        super().__init__()
        inner = 2 * dim
        self.backend = backend
        self.norm_core, self.norm_mlp = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.norm_out = nn.LayerNorm(inner)
        self.ssm = SSM(inner, state, math.ceil(dim / 16))
        for kind in ("query", "support"):
            self.add_module(f"in_{kind}", nn.Linear(dim, 2 * inner, bias=False))
            self.add_module(f"conv_{kind}", nn.Conv2d(inner, inner, 3, padding=1, groups=inner))
            self.add_module(f"out_{kind}", nn.Linear(inner, dim, bias=False))
            mlp = nn.Sequential(nn.Linear(dim, dim), nn.GELU(), nn.Linear(dim, dim))
            self.add_module(f"mlp_{kind}", mlp)

    def core(self, query: Tensor, support: Tensor, trace: dict | None) -> tuple[Tensor, Tensor]:
        """(batch, 2·dim, height, width) each → the same, mixed."""
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
        x, z = project(self.norm_core(map_)).chunk(2, dim=-1)
        return F.silu(conv(rearrange(x, "b h w c -> b c h w").contiguous())), z

    def _gate(self, y: Tensor, z: Tensor, project: nn.Linear) -> Tensor:
        y = self.norm_out(rearrange(y, "b c h w -> b h w c"))
        return project(y * F.silu(z))


class SelfMambaBlock(MambaBlock):
    """SMB: each map scans itself in four directions (paper, section 4.1; VMamba's SS2D)."""

    def core(self, query, support, trace):
        scans = {"query": self.ssm(to_sequences(query)), "support": self.ssm(to_sequences(support))}
        if trace is not None:
            trace.update({f"{kind}_scan": scan for kind, scan in scans.items()})
        outputs = (selective_scan(*scan, backend=self.backend) for scan in scans.values())
        return tuple(sum(from_sequences(_directions(y), *query.shape[-2:])) for y in outputs)


class HybridMambaBlock(MambaBlock):
    """HMB: the query reads the support by SRM and QIM; the support reads itself, α times smaller.

    Args:
        dim: channels of the maps.
        recap_ratio: α.
        detach_support_state: no gradient from QIM into the support state, as published.
        published_skip: QIM's skip uses the single number D[0, 0] for every channel, a slip of the
            published code that parity needs (DESIGN fact 9). The paper has one D a channel.
    """

    def __init__(self, dim, *, recap_ratio=4, detach_support_state=True, published_skip=False,
                 **kwargs):  # fmt: skip
        super().__init__(dim, **kwargs)
        self.recap_ratio = recap_ratio
        self.detach_support_state = detach_support_state
        self.published_skip = published_skip

    def core(self, query, support, trace):
        height, width = query.shape[-2:]
        ratio = self.recap_ratio
        small = (height // ratio, width // ratio)
        support_small, query_small = resize(support, *small), resize(query, *small)

        # SRM: one pass over the small support, then a recap before each query patch
        support_scan = self.ssm(to_sequences(support_small))
        y_support, P, H_S = read_support(*support_scan, backend=self.backend)
        query_scan = self.ssm(to_sequences(query, ratio))
        y_query = recapped_scan(
            *query_scan, P, H_S, segment=small[0] * small[1], backend=self.backend
        )
        out_query = sum(from_sequences(_directions(y_query), height, width, ratio))
        out_support = sum(from_sequences(_directions(y_support), *small))

        # QIM: every pixel of the small query meets the mean support state, direction 0's SSM
        met_state = _directions(H_S).mean(1)
        if self.detach_support_state:
            met_state = met_state.detach()
        u, delta, A, B, C, D = self.ssm(to_sequences(query_small)[:, :1])
        skip = D[0] if self.published_skip else D
        y_met = intercept(u, delta, A, B[:, 0], C[:, 0], skip, met_state)
        out_met = rearrange(y_met, "b c (h w) -> b c h w", h=small[0])

        if trace is not None:
            trace.update(
                support_scan=support_scan, query_scan=query_scan, recap_keep=P, support_state=H_S,
                met_state=met_state, srm_query=y_query, srm_support=y_support, qim_query=y_met,
                scan_in_query_small=query_small, scan_in_support_small=support_small,
            )  # fmt: skip
        return out_query + resize(out_met, height, width), resize(out_support, height, width)


def _directions(y: Tensor) -> Tensor:
    """(batch, K·channels, any) → (batch, K, channels, any)."""
    return rearrange(y, "b (k c) l -> b k c l", k=DIRECTIONS)


class MambaMixer(nn.Module):
    """Alternate self and hybrid blocks; the query comes out having read the support.

    Args:
        dim: channels of both maps.
        depth: number of blocks; even blocks (0, 2, …) are self, odd ones hybrid.
        state: size of each channel's state.
        recap_ratio, detach_support_state, published_skip: see `HybridMambaBlock`.
        backend: see `selective_scan`.

    The mixer takes and gives (batch, dim, height, width). Sides that are not multiples of the
    recap ratio are refused with the mend.
    """

    def __init__(self, dim: int, depth: int, *, state: int = 16, recap_ratio: int = 4,
                 detach_support_state: bool = True, published_skip: bool = False,
                 backend: str = "auto"):  # fmt: skip
        super().__init__()
        if dim < 1 or depth < 0 or state < 1 or recap_ratio < 1:
            raise ValueError(
                f"dim={dim}, depth={depth}, state={state}, recap_ratio={recap_ratio}: expected "
                "dim, state and recap_ratio of at least 1 and depth of at least 0"
            )
        self.dim, self.recap_ratio = dim, recap_ratio
        hybrid = dict(recap_ratio=recap_ratio, detach_support_state=detach_support_state,
                      published_skip=published_skip)  # fmt: skip
        shared = dict(state=state, backend=backend)
        self.blocks = nn.ModuleList(
            HybridMambaBlock(dim, **hybrid, **shared) if i % 2 else SelfMambaBlock(dim, **shared)
            for i in range(depth)
        )
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
            check_ratio(*query.shape[-2:], self.recap_ratio)

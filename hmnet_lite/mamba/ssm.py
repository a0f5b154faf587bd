"""The selection parameters of a block: from what is read to Δ, B and C, for several directions.

Two ways to run them, with the same numbers: `forward` makes the arguments of `selective_scan` from
sequences (readable, any device), `scan_map` reads a map where it lies (compiled, CPU).
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from hmnet_lite.maps import DIRECTIONS


class SSM(nn.Module):
    """Mamba's selection (Gu and Dao, 2023, section 3.2), one set of parameters a direction.

    Args:
        channels: d_inner, channels of the sequence.
        state: size of each channel's state.
        rank: rank of the Δ projection.
        directions: how many of the traversals are read.
    """

    def __init__(self, channels: int, state: int, rank: int, directions: int = DIRECTIONS):
        super().__init__()
        self.rank, self.state, self.directions = rank, state, directions
        self.select = nn.Parameter(torch.empty(directions, rank + 2 * state, channels))
        self.delta_weight = nn.Parameter(torch.empty(directions, channels, rank))
        self.delta_bias = nn.Parameter(torch.empty(directions, channels))
        # S4D-real initialisation (Gu et al., 2022): A = -1, -2, …, -state for every channel
        rates = torch.arange(1, state + 1, dtype=torch.float32)
        self.A_log = nn.Parameter(rates.log().repeat(directions, channels, 1))
        self.D = nn.Parameter(torch.ones(directions, channels))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Mamba's initialisation: Δ starts log-uniform in [0.001, 0.1] (Mamba, section 3.6)."""
        for k in range(self.directions):
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
            x: (batch, any, channels, length): the first K = min(any, directions) are read, each
                with its own parameters.

        Returns:
            u, delta (batch, K·channels, length), A (K·channels, state), B, C
            (batch, K, state, length), D (K·channels,).
        """
        x = x[:, : self.directions]
        K = x.shape[1]
        selected = torch.einsum("bkcl,krc->bkrl", x, self.select[:K])
        low_rank, B, C = selected.split([self.rank, self.state, self.state], dim=2)
        delta = torch.einsum("bkrl,kcr->bkcl", low_rank, self.delta_weight[:K])
        delta = F.softplus(delta + self.delta_bias[:K, :, None])
        u, delta = (rearrange(v, "b k c l -> b (k c) l") for v in (x, delta))
        A, D = self.A[:K].flatten(0, 1), self.D[:K].flatten()
        return u, delta, A, B, C, D

    def scan_map(
        self,
        x: Tensor,
        order: Tensor,
        starts: Tensor | None = None,
        recap: tuple[Tensor, Tensor] | None = None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Scan a map in all directions where it lies: no sequence is laid out or put back.

        Selection works pixel by pixel, so it may as well be done before the map is put in order.

        Args:
            x: (batch, channels, height, width), float32 on a CPU; free of copies when it is
                channels-last in memory.
            order, starts: (at least `directions`, …) from `reading_order` and `patch_starts`.
            recap: (P, H_S), each (batch, directions·channels, state), read before every patch.

        Returns:
            y (batch, channels, height, width) summed over directions, channels-last in memory;
            the low-rank form of Δ, (batch, directions, pixels, rank), for `kept`; the last state
            (batch, directions·channels, state).
        """
        from hmnet_kernels import map_scan_cpu

        K, height = self.directions, x.shape[-2]
        pixels = rearrange(x, "b c h w -> b (h w) c")
        selected = rearrange(pixels @ self.select.flatten(0, 1).T, "b p (k s) -> b k p s", k=K)
        low_rank, B, C = selected.split([self.rank, self.state, self.state], dim=-1)
        A, D, bias = self.A.flatten(0, 1), self.D.flatten(), self.delta_bias.flatten()
        y, last_state = map_scan_cpu(
            pixels, low_rank, self.delta_weight.flatten(0, 1), A, B, C, D, order=order[:K],
            starts=None if starts is None else starts[:K], delta_bias=bias, delta_softplus=True,
            recap=recap,
        )  # fmt: skip
        return rearrange(y, "b (h w) c -> b c h w", h=height), low_rank, last_state

    def kept(self, low_rank: Tensor) -> Tensor:
        """What reading a whole map keeps of the state it meets, P = exp(A ΣΔ).

        Args:
            low_rank: (batch, directions, pixels, rank) of `scan_map`.

        Returns:
            (batch, directions·channels, state).
        """
        delta = low_rank @ self.delta_weight.mT + self.delta_bias[:, None]  # (b, k, p, c)
        total = F.softplus(delta).sum(2)
        return torch.exp(total[..., None] * self.A).flatten(1, 2)

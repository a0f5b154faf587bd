"""The selection parameters of a block: from what is read to Δ, B and C, for several directions.

Selection looks at one pixel at a time, so it can be done before a map is put in any order (`read`)
or after (`forward`), with the same numbers. All of it is computed in float32 (float64 for float64
maps) whatever the precision around it: steps add up over thousands of pixels, so a rounded Δ would
be a different memory.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from hmnet_lite.maps import (
    DIRECTIONS,
    from_sequences,
    patch_size,
    patch_steps,
    reading_order_on,
    to_sequences,
)
from hmnet_lite.scan.map_scan import map_intercept, map_scan, reads_maps
from hmnet_lite.scan.precision import exact, in_full
from hmnet_lite.scan.selective import selective_scan


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
        return -torch.exp(in_full(self.A_log))

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
        with exact(x):
            x = in_full(x)
            selected = torch.einsum("bkcl,krc->bkrl", x, self.select_weight(K, x))
            low_rank, B, C = selected.split([self.rank, self.state, self.state], dim=2)
            delta = self.step_sizes(low_rank.mT).mT
            u, delta = (rearrange(v, "b k c l -> b (k c) l") for v in (x, delta))
        A, D = self.A[:K].flatten(0, 1), self.D[:K].flatten()
        return u, delta, A, B, C, D

    def step_sizes(self, low_rank: Tensor) -> Tensor:
        """Δ from its low-rank form: (batch, K, length, rank) → (batch, K, length, channels)."""
        K = low_rank.shape[1]
        weight, bias = (x[:K].to(low_rank.dtype) for x in (self.delta_weight, self.delta_bias))
        return F.softplus(low_rank @ weight.mT + bias[:, None])

    def select_weight(self, directions: int, like: Tensor) -> Tensor:
        """The selection's matrices, (directions, rank + 2·state, channels), in `like`'s dtype."""
        return self.select[:directions].to(like.dtype)

    def read(self, x: Tensor, directions: int | None = None) -> MapReading:
        """Select Δ, B and C at every pixel of a map: pixel by pixel, before any order is chosen.

        Args:
            x: (batch, channels, height, width); free of copies when channels-last in memory.
            directions: for the first so many only; all when None.
        """
        K = directions or self.directions
        with exact(x):
            pixels = in_full(rearrange(x, "b c h w -> b (h w) c"))
            weight = self.select_weight(K, pixels).flatten(0, 1)
            selected = rearrange(pixels @ weight.T, "b p (k s) -> b k p s", k=K)
        low_rank, B, C = selected.split([self.rank, self.state, self.state], dim=-1)
        return MapReading(self, pixels, x.shape[-2:], low_rank, B, C)


@dataclass(frozen=True, eq=False)
class MapReading:
    """What an SSM selected at every pixel of a map; scanned in place, or laid out as sequences."""

    ssm: SSM
    pixels: Tensor  # (batch, height·width, channels): u
    size: tuple[int, int]
    low_rank: Tensor  # (batch, directions, height·width, rank): Δ before its weight and bias
    B: Tensor  # (batch, directions, height·width, state)
    C: Tensor  # likewise
    _delta: list[Tensor] = field(default_factory=list, init=False, repr=False)

    def scan(
        self,
        ratio: int = 1,
        *,
        recap: tuple[Tensor, Tensor] | None = None,
        last_state: bool = False,
        backend: str = "auto",
    ) -> tuple[Tensor, Tensor | None]:
        """Scan the map in all directions, in place where the backend can.

        Args:
            ratio: α, or 1 for the whole map as one patch.
            recap: (support_keep, support_state), each (batch, directions·channels, state), read
                before every patch.
            last_state: whether it is wanted, too.
            backend: as in `selective_scan`.

        Returns:
            y (batch, channels, height, width), summed over directions; the last state
            (batch, directions·channels, state), or None.
        """
        if reads_maps(self.pixels, backend):
            return self.scan_in_place(ratio, recap=recap, backend=backend)
        return self.scan_sequences(ratio, recap=recap, last_state=last_state, backend=backend)

    def scan_in_place(
        self, ratio: int = 1, *, recap=None, backend: str = "auto"
    ) -> tuple[Tensor, Tensor]:
        """`scan`, the map where it lies: no sequence is laid out or put back."""
        ssm, K = self.ssm, self.ssm.directions
        exact_parts = (ssm.delta_weight, ssm.D, ssm.delta_bias)
        weight, D, bias = (in_full(x).flatten(0, 1) for x in exact_parts)
        y, last_state = map_scan(
            self.pixels, self.low_rank, weight, ssm.A.flatten(0, 1), self.B, self.C, D,
            order=reading_order_on(self.pixels.device, K, *self.size, ratio),
            starts=patch_steps(K, *self.size, ratio),
            delta_bias=bias, delta_softplus=True, recap=recap, backend=backend,
        )  # fmt: skip
        return rearrange(y, "b (h w) c -> b c h w", h=self.size[0]), last_state

    def scan_sequences(self, ratio: int = 1, *, recap=None, last_state=False, backend="auto"):
        """`scan`, the readable way: sequences laid out, scanned and put back."""
        if recap is not None:
            recap = (*recap, math.prod(patch_size(*self.size, ratio)))
        found = selective_scan(
            *self.sequences(ratio), recap=recap, return_last_state=last_state, backend=backend
        )
        y, state = found if last_state else (found, None)
        y = rearrange(y, "b (k c) l -> b k c l", k=self.ssm.directions)
        return sum(from_sequences(y, *self.size, ratio)), state

    def intercept_in_place(self, state: Tensor, skip: Tensor) -> Tensor:
        """QIM where the map lies, on direction 0's parameters; of a reading of that one alone.

        Args:
            state: (batch, channels, state), what every pixel meets.
            skip: (channels,) D, or the one number that the released code uses for all.

        Returns:
            y (batch, height·width, channels).
        """
        ssm = self.ssm
        weight, bias = (in_full(x[0]) for x in (ssm.delta_weight, ssm.delta_bias))
        return map_intercept(
            self.pixels, self.low_rank, weight, ssm.A[0], self.B, self.C,
            in_full(skip).expand(self.pixels.shape[-1]), in_full(state),
            delta_bias=bias, delta_softplus=True,
        )  # fmt: skip

    def shifted(self, selected: Tensor) -> MapReading:
        """The same pixels, every one's Δ (low-rank), B and C moved by the same amounts.

        Args:
            selected: (batch, directions, rank + 2·state).
        """
        ssm = self.ssm
        parts = selected[:, :, None].split([ssm.rank, ssm.state, ssm.state], dim=-1)
        own = (self.low_rank, self.B, self.C)
        return MapReading(ssm, self.pixels, self.size, *map(torch.add, own, parts))

    @property
    def delta(self) -> Tensor:
        """Δ at every pixel, (batch, directions, height·width, channels)."""
        if not self._delta:  # once; a cached_property's lock is more than a compiler looks through
            with exact(self.low_rank):
                self._delta.append(self.ssm.step_sizes(self.low_rank))
        return self._delta[0]

    def support_keep(self) -> Tensor:
        """What reading this whole map keeps of the state it meets, P = exp(A ΣΔ).

        (batch, directions·channels, state).
        """
        return torch.exp(self.delta.sum(2)[..., None] * self.ssm.A).flatten(1, 2)

    def sequences(self, ratio: int = 1) -> tuple[Tensor, ...]:
        """The same reading as arguments (u, delta, A, B, C, D) of `selective_scan`.

        The values are the selected ones, put in order; padding steps have Δ = 0.
        """
        height, K = self.size[0], self.ssm.directions

        def lay_out(x: Tensor) -> Tensor:  # (b, k, p, any) → (b, k, any, length)
            maps = rearrange(x, "b k (h w) c -> k b c h w", h=height)
            lines = [to_sequences(maps[min(k, len(maps) - 1)], ratio)[:, k] for k in range(K)]
            return torch.stack(lines, dim=1)

        u, delta = lay_out(self.pixels[:, None]), lay_out(self.delta)  # padded with zeros
        u, delta = (rearrange(v, "b k c l -> b (k c) l") for v in (u, delta))
        A, D = self.ssm.A.flatten(0, 1), self.ssm.D.flatten()
        return u, delta, A, lay_out(self.B), lay_out(self.C), D

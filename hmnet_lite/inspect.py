"""Open the hidden state: what of it came from the support, and what from the query.

The scan is linear in its state, so for given Δ, A and B any state is *exactly* the sum of what the
support wrote and what the query wrote:

    h_t = h_t^support + h_t^query

Each part obeys the same recurrence; the support part starts at H_S and has no drive, the query
part starts at zero. No approximation and nothing learned: this is the honest measure of support
forgetting. The paper's own measure (Fig. 5), the cosine of h_t with H_S, stands beside it.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from einops import rearrange
from torch import Tensor

from hmnet_lite.hybrid import read_support
from hmnet_lite.scan_chunked import chunked_scan


@dataclass(frozen=True)
class StateSplit:
    """States along a query scan, each (batch, channels, length, state)."""

    support: Tensor  # what is left of the support's writing
    query: Tensor  # what the query has written so far
    start: Tensor  # H_S, (batch, channels, state)

    @property
    def whole(self) -> Tensor:
        """The state itself: the sum of both parts."""
        return self.support + self.query

    def support_share(self) -> Tensor:
        """‖h^support‖ / (‖h^support‖ + ‖h^query‖) at every step, (batch, length), in [0, 1].

        Norms over channels and state: 1 when all of the memory is of the support, 0 when it is
        forgotten.
        """
        support, query = (_norm(x) for x in (self.support, self.query))
        return support / (support + query).clamp_min(1e-12)

    def support_kept(self) -> Tensor:
        """‖h^support‖ / ‖H_S‖ at every step, (batch, length): decay alone, however much is written.

        Recaps can take it above 1: slowly forgetting entries pile the support up.
        """
        return _norm(self.support) / self._start_norm()

    def query_written(self) -> Tensor:
        """‖h^query‖ / ‖H_S‖ at every step, (batch, length): what the support is diluted with."""
        return _norm(self.query) / self._start_norm()

    def _start_norm(self) -> Tensor:
        return self.start.flatten(1).norm(dim=-1, keepdim=True).clamp_min(1e-12)

    def cosine(self) -> Tensor:
        """Cosine of the state with H_S at every step, (batch, length) (paper, Fig. 5)."""
        state = rearrange(self.whole, "b c l n -> b l (c n)")
        start = rearrange(self.start, "b c n -> b 1 (c n)")
        return torch.cosine_similarity(state, start, dim=-1)


@torch.no_grad()
def split_state(support_scan, query_scan, *, segment: int = 0) -> StateSplit:
    """Split the query scan's states into the support's part and the query's.

    Args:
        support_scan, query_scan: (u, delta, A, B, C, D) each, as `SSM.forward` gives them and as
            a block's trace holds them.
        segment: 0 reads the support once and then the query (cross Mamba by concatenation);
            a positive number recaps the support before every `segment` query steps (SRM).

    Raises:
        ValueError: the two scans have different channels or batch.
    """
    u, delta, A, B, C, _ = query_scan
    if support_scan[0].shape[:2] != u.shape[:2]:
        raise ValueError(
            f"the support scan is {tuple(support_scan[0].shape)} and the query scan "
            f"{tuple(u.shape)}; batch and channels must agree: take both from one block's trace"
        )
    _, P, H_S = read_support(*support_scan, backend="chunked")
    zero = torch.zeros_like(H_S)
    if segment:
        ask = dict(return_states=True, segment=segment)
        support = chunked_scan(torch.zeros_like(u), delta, A, B, C, recap=(P, H_S), **ask)[2]
        query = chunked_scan(u, delta, A, B, C, recap=(P, zero), **ask)[2]
    else:
        carried = dict(initial_state=H_S, return_states=True)
        support = chunked_scan(torch.zeros_like(u), delta, A, B, C, **carried)[2]
        query = chunked_scan(u, delta, A, B, C, return_states=True)[2]
    return StateSplit(support, query, H_S)


def one_direction(scan, k: int):
    """Direction k's part of a scan's arguments (u, delta, A, B, C, D)."""
    u, delta, A, B, C, D = scan
    channels = u.shape[1] // B.shape[1]
    own = slice(k * channels, (k + 1) * channels)
    return u[:, own], delta[:, own], A[own], B[:, k : k + 1], C[:, k : k + 1], D[own]


def _norm(states: Tensor) -> Tensor:
    """(batch, channels, length, state) → (batch, length)."""
    return rearrange(states, "b c l n -> b l (c n)").norm(dim=-1)

"""Open the hidden state: what of it, and of the output, came from the support and from the query.

The scan is linear in its state, so for given Δ, A and B any state is *exactly* the sum of what the
support wrote and what the query wrote:

    h_t = h_t^support + h_t^query

Each part obeys the same recurrence; the support part starts at H_S and has no drive, the query
part starts at zero. No approximation and nothing learned: this is the honest measure of support
forgetting. `forgetting` holds it against the paper's own measure (Fig. 5).

The output C_t · h_t is linear in the state, so it splits as well, down to the single pixel:
pixel s has written C_t · exp(A (T_t - T_s)) ⊙ B_s Δ_s u_s of it, with T the sum of all Δ so far.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from einops import rearrange
from torch import Tensor

from hmnet_lite.mamba.hybrid import read_support
from hmnet_lite.maps import from_sequences, reading_order
from hmnet_lite.scan.selective import selective_scan


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
        """Cosine of the state with H_S at every step, (batch, length)."""
        state = rearrange(self.whole, "b c l n -> b l (c n)")
        start = rearrange(self.start, "b c n -> b 1 (c n)")
        return torch.cosine_similarity(state, start, dim=-1)


@torch.no_grad()
def split_state(support_scan, query_scan, *, segment: int = 0) -> StateSplit:
    """Split the query scan's states into the support's part and the query's.

    Args:
        support_scan, query_scan: (u, delta, A, B, C, D) each, as `SSM.forward` gives them and
            what a `Recorder` received gives: seen.blocks[1]["query_scan"]().
        segment: 0 reads the support once and then the query (cross Mamba by concatenation);
            a positive number recaps the support before every `segment` query steps (SRM).

    Raises:
        ValueError: the two scans have different channels or batch.
    """
    u, delta, A, B, C, _ = query_scan
    _check_pair(support_scan, query_scan)
    _, support_keep, support_state = read_support(*support_scan)

    def states(written: Tensor, start: Tensor) -> Tensor:
        recap = (support_keep, start, segment or u.shape[-1])  # one recap from zero: the start
        return selective_scan(written, delta, A, B, C, recap=recap, return_states=True)[1]

    support = states(torch.zeros_like(u), support_state)
    query = states(u, torch.zeros_like(support_state))
    return StateSplit(support, query, support_state)


@torch.no_grad()
def split_output(support_scan, query_scan, marked: Tensor, *, segment: int = 0):
    """Split the query scan's outputs into what each writer has put into them. Exact, too.

    Args:
        support_scan, query_scan, segment: as in `split_state`.
        marked: (batch, groups, length) of 0 and 1, the query pixels to tell from the rest, as
            each of B's groups (directions) reads them.

    Returns:
        A dict of (batch, channels, length) each, which add up to y: "support"; "own", what the
        step itself has just written; "marked" and "rest", what earlier query steps have written;
        "skip", D u, which passes the state by.

    Raises:
        ValueError: scans or marks that do not fit.
    """
    u, delta, A, B, C, D = query_scan
    _check_pair(support_scan, query_scan)
    if marked.shape != (len(u), B.shape[1], u.shape[-1]):
        raise ValueError(
            f"marked is {tuple(marked.shape)}; expected (batch, groups, length) = "
            f"{(len(u), B.shape[1], u.shape[-1])}: lay the mask out with `to_sequences`, too"
        )
    channels = u.shape[1] // B.shape[1]
    marked = marked.to(u.dtype).repeat_interleave(channels, dim=1)
    _, support_keep, support_state = read_support(*support_scan)

    def read(written: Tensor, start: Tensor) -> Tensor:
        recap = (support_keep, start, segment or u.shape[-1])
        return selective_scan(written, delta, A, B, C, recap=recap)

    own = (B * C).sum(2).repeat_interleave(channels, dim=1) * delta * u
    return {
        "support": read(torch.zeros_like(u), support_state),
        "own": own,
        "marked": read(u * marked, torch.zeros_like(support_state)) - own * marked,
        "rest": read(u * (1 - marked), torch.zeros_like(support_state)) - own * (1 - marked),
        "skip": D[:, None] * u,
    }


@torch.no_grad()
def contributions(support_scan, query_scan, step: int, *, segment: int = 0):
    """What every single pixel has put into one output of the query scan, D u aside.

    Args:
        support_scan, query_scan, segment: as in `split_state`.
        step: which output, 0 to length - 1.

    Returns:
        (batch, channels, support length), summed over the readings of the support, and
        (batch, channels, length), zero after `step`. Together they sum to C_t · h_t.

    Raises:
        ValueError: scans that do not fit, or no such step.
    """
    u, delta, A, B, C, _ = query_scan
    u_s, delta_s, _, B_s, _, _ = support_scan
    _check_pair(support_scan, query_scan)
    length = u.shape[-1]
    if not 0 <= step < length:
        raise ValueError(f"step is {step}; expected 0 to {length - 1}, the steps of the query scan")
    segment = segment or length
    per_group = u.shape[1] // B.shape[1]
    B, C, B_s = (x.repeat_interleave(per_group, dim=1) for x in (B, C, B_s))  # (b, c, n, l)
    readings = torch.arange(length, device=u.device) // segment + 1  # of the support, by each step
    reading = delta_s.sum(-1, keepdim=True)  # (b, c, 1): how much time one of them takes
    time = delta.cumsum(-1) + readings * reading  # (b, c, l): T
    read = C[..., step, None]  # (b, c, n, 1)

    def weight(elapsed: Tensor, written: Tensor) -> Tensor:
        kept = torch.exp(A[..., None] * elapsed[:, :, None])  # (b, c, n, l)
        return (read * kept * written).sum(2)

    past = slice(0, step + 1)
    query = torch.zeros_like(u)
    query[..., past] = weight(time[..., step, None] - time[..., past], B[..., past])
    support = torch.zeros_like(u_s)
    for start in range(0, step + 1, segment):  # the reading before this step, T at its end
        end = time[..., start, None] - delta[..., start, None]
        written = end - reading + delta_s.cumsum(-1)
        support += weight(time[..., step, None] - written, B_s)
    return support * delta_s * u_s, query * delta * u


def heard(support_scan, query_scan, pixel: tuple[int, int], sizes, *, ratio: int = 1):
    """`contributions` to one query pixel, all directions added, laid out as maps.

    Args:
        support_scan, query_scan: of all directions, as in `split_state`.
        pixel: (row, column) of the query map.
        sizes: ((height, width) of the support as it is scanned, (height, width) of the query).
        ratio: α; 1 is a single reading of the support.

    Returns:
        (batch, channels, height, width) of the support and of the query; channels of one
        direction.

    Raises:
        ValueError: the query map's sides are not multiples of the ratio.
    """
    maps = heard_by_direction(support_scan, query_scan, pixel, sizes, ratio=ratio)
    support, query = (sum(each) for each in zip(*maps, strict=True))
    return support, query


def heard_by_direction(
    support_scan, query_scan, pixel: tuple[int, int], sizes, *, ratio: int = 1
) -> list[tuple[Tensor, Tensor]]:
    """`heard`, one pair of maps a direction; arguments and errors as there."""
    (_, (height, width)), segment = sizes, query_scan[0].shape[-1] // ratio**2
    if height % ratio or width % ratio:
        raise ValueError(
            f"the query map is {height} × {width} and the recap ratio {ratio}; this view of it "
            "needs patches of one size: choose a map whose sides are multiples of the ratio"
        )
    cell = pixel[0] * width + pixel[1]
    steps = (reading_order(height, width, ratio) == cell).int().argmax(-1)
    lines = [
        contributions(*(one_direction(s, k) for s in (support_scan, query_scan)), int(step),
                      segment=segment)
        for k, step in enumerate(steps[: query_scan[3].shape[1]])
    ]  # fmt: skip
    support, query = (torch.stack(line, dim=1) for line in zip(*lines, strict=True))
    maps = from_sequences(support, *sizes[0]), from_sequences(query, height, width, ratio)
    return list(zip(*maps, strict=True))


def one_direction(scan, k: int):
    """Direction k's part of a scan's arguments (u, delta, A, B, C, D)."""
    u, delta, A, B, C, D = scan
    channels = u.shape[1] // B.shape[1]
    own = slice(k * channels, (k + 1) * channels)
    return u[:, own], delta[:, own], A[own], B[:, k : k + 1], C[:, k : k + 1], D[own]


def _check_pair(support_scan, query_scan) -> None:
    support, query = (scan[0].shape for scan in (support_scan, query_scan))
    if support[:2] != query[:2]:
        raise ValueError(
            f"the support scan is {tuple(support)} and the query scan {tuple(query)}; batch and "
            "channels must agree: take both from one block"
        )


def _norm(states: Tensor) -> Tensor:
    """(batch, channels, length, state) → (batch, length)."""
    return rearrange(states, "b c l n -> b l (c n)").norm(dim=-1)

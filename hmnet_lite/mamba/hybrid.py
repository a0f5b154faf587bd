"""Hybrid Mamba: how the query reads the support. SRM and QIM (paper, section 4).

Cross Mamba by concatenation scans [support, query] as one line, and the state forgets the support
as it walks the query. The **support recapped Mamba** (SRM, eq. 5-8) scans the support again before
every query patch. The **query intercepted Mamba** (QIM, eq. 9-10) lets every query pixel meet the
support state and itself, so that no other query pixel can be preferred to the support.

Both are simpler than they look. The SSM is linear in its state and a recap reads the same
support every time, so a recap of any length is one affine map,

    h ← P ⊙ h + H_S        P = exp(A Σ_t Δ_t),   H_S = the state after the support,

with P the `support_keep` and H_S the `support_state` of the code, and QIM has no recurrence at all.
`srm_literal` is the paper's wording, kept as the check.
"""

from __future__ import annotations

import torch
from einops import einsum, rearrange
from torch import Tensor

from hmnet_lite.mamba.ssm import SSM
from hmnet_lite.maps import patch_size, resize
from hmnet_lite.record import record_block
from hmnet_lite.scan.backends import is_transformed
from hmnet_lite.scan.map_scan import intercepts_maps
from hmnet_lite.scan.selective import selective_scan


def read_support(u, delta, A, B, C, D=None, *, backend: str = "auto"):
    """First pass over the support: what `selective_scan`'s recap is made of.

        y, *read = read_support(*support_scan)
        y = selective_scan(*query_scan, recap=(*read, segment))

    Args as in `selective_scan` (delta already positive).

    Returns:
        y (batch, channels, length): the support's own outputs.
        support_keep (batch, channels, state): P, what one recap keeps of the state it meets.
        support_state (batch, channels, state): H_S.
    """
    y, support_state = selective_scan(u, delta, A, B, C, D, return_last_state=True, backend=backend)
    support_keep = torch.exp(delta.sum(-1, keepdim=True) * A)
    return y, support_keep, support_state


def srm_literal(support, query, A, D, segment: int, *, backend: str = "auto"):
    """SRM word by word (eq. 5-8): one long line, the support before each query patch, one scan.

    Equal to `selective_scan` with a recap, which at patches of the support's size is half the work.

    Args:
        support, query: (u, delta, B, C) of each, shapes as in `selective_scan`.

    Returns:
        (query y, support y of the first pass, support_state after it). The line is scanned in two
        pieces, for the state between them is the support state.
    """
    M, patches = support[0].shape[-1], query[0].shape[-1] // segment
    u, delta, B, C = (
        torch.cat([x for part in q.split(segment, -1) for x in (s, part)], dim=-1)
        for s, q in zip(support, query, strict=True)
    )
    first, rest = ([x[..., part] for x in (u, delta, B, C)] for part in (slice(M), slice(M, None)))
    y_support, state = selective_scan(
        *first[:2], A, *first[2:], D, return_last_state=True, backend=backend
    )
    y = selective_scan(*rest[:2], A, *rest[2:], D, initial_state=state, backend=backend)
    rounds = rearrange(torch.cat([y_support, y], dim=-1), "b c (r t) -> b c r t", r=patches)
    return rearrange(rounds[..., M:], "b c r t -> b c (r t)"), y_support, state


def one_of_many(support_keep, support_state, shots: int, how: str) -> tuple[Tensor, Tensor]:
    """Recaps of several supports as one recap.

    Args:
        support_keep, support_state: (batch·shots, channels, state), the shots of an episode beside
            each other.
        how: "recaps" reads one support after the other, h ← P₂ (P₁ h + H₁) + H₂, which is affine
            again and equal to a scan of them all in a row; else both are averaged.

    Returns:
        support_keep, support_state (batch, channels, state).
    """
    keeps, states = (
        rearrange(x, "(b k) c n -> k b c n", k=shots) for x in (support_keep, support_state)
    )
    if how != "recaps":
        return keeps.mean(0), states.mean(0)
    keep, state = keeps[0], states[0]
    for next_keep, next_state in zip(keeps[1:], states[1:], strict=True):
        keep, state = next_keep * keep, next_keep * state + next_state
    return keep, state


def intercept(u, delta, A, B, C, D, support_state) -> Tensor:
    """QIM (eq. 9-10): every query pixel meets the support state and itself, no other query pixel.

        y_t = C_t · (Ā_t ⊙ H_S) + (C_t · B_t) Δ_t u_t + D u_t          H_S the support_state

    Args:
        u, delta: (batch, channels, length), delta already positive.
        A: (channels, state). B, C: (batch, state, length). D: (channels,), or a scalar tensor to
            do as the released code does (`MixerConfig.published_skip`).
        support_state: (batch, channels, state).

    Returns:
        (batch, channels, length). Memory grows with batch x channels x length only: the sum over
        the state is a loop whose terms are recomputed in the backward pass.
    """
    own = einsum(B, C, "b n l, b n l -> b l")[:, None] * delta * u
    skip = D[:, None] * u if D.ndim else D * u
    given = delta, A, C, support_state
    met = _meet(*given) if is_transformed(*given) else _MeetState.apply(*given)
    return met + own + skip


def intercept_map(ssm: SSM, query: Tensor, state: Tensor, ratio: int, skip: Tensor | None = None,
                  backend: str = "auto") -> Tensor:  # fmt: skip
    """QIM on a map: read α times smaller, with direction 0's parameters, and brought back to size.

    Args:
        ssm: whose selection it is.
        query: (batch, channels, height, width).
        state: (batch, channels, state), what every pixel meets.
        ratio: α.
        skip: D, as `intercept` takes it; direction 0's when None.
        backend: see `hmnet_lite.selective_scan`.

    Returns:
        (batch, channels, height, width).

    Hands over to a `Recorder`: met_state, qim_query, scan_in_query_small.
    """
    size = query.shape[-2:]
    small = patch_size(*size, ratio)
    query_small = resize(query, *small)
    skip = ssm.D[0] if skip is None else skip
    if intercepts_maps(query_small, backend):
        y = ssm.read(query_small, directions=1).intercept_in_place(state, skip).mT
    else:
        u, delta, A, B, C, _ = ssm(rearrange(query_small, "b c h w -> b 1 c (h w)"))
        y = intercept(u, delta, A, B[:, 0], C[:, 0], skip, state)
    record_block(met_state=state, qim_query=y, scan_in_query_small=query_small)
    y = rearrange(y, "b c (h w) -> b c h w", h=small[0])
    return resize(y.contiguous(memory_format=torch.channels_last), *size)


def intercept_map_each(ssm: SSM, query: Tensor, states: Tensor, ratio: int,
                       skip: Tensor | None = None, backend: str = "auto") -> Tensor:  # fmt: skip
    """QIM of every direction, with its own parameters and its own state; their mean. Ours.

    Args as in `intercept_map`, but for

        states: (batch, directions, channels, state).
        skip: (directions, channels), or (directions,); D when None.

    Returns:
        (batch, channels, height, width). No pixel meets another, so no order is needed.

    Hands over to a `Recorder`: as `intercept_map`, with all states.
    """
    size = query.shape[-2:]
    small = patch_size(*size, ratio)
    query_small = resize(query, *small)
    skip = ssm.D if skip is None else skip
    line = rearrange(query_small, "b c h w -> b 1 c (h w)")
    u, delta, A, B, C, _ = ssm(line.expand(-1, states.shape[1], -1, -1))
    lines = (rearrange(x, "b (k c) l -> k b c l", k=states.shape[1]) for x in (u, delta))
    each = zip(
        *lines, A.chunk(states.shape[1]), B.unbind(1), C.unbind(1), skip, states.unbind(1),
        strict=True,
    )  # fmt: skip
    y = torch.stack([intercept(*given) for given in each]).mean(0)
    record_block(met_state=states, qim_query=y, scan_in_query_small=query_small)
    y = rearrange(y, "b c (h w) -> b c h w", h=small[0])
    return resize(y.contiguous(memory_format=torch.channels_last), *size)


def _meet(delta, A, C, H) -> Tensor:
    """Σ_n C_n exp(Δ A_n) H_n, plainly: what `torch.func` can transform."""
    return torch.einsum("bcln,bcn,bnl->bcl", torch.exp(delta[..., None] * A[:, None]), H, C)


class _MeetState(torch.autograd.Function):
    """`_meet`, one state index at a time, recomputed in the backward pass.

    Autograd through the plain expression would keep (batch, channels, length, state).
    """

    @staticmethod
    def forward(ctx, delta, A, C, H):
        ctx.save_for_backward(delta, A, C, H)
        out = torch.zeros_like(delta)
        for n in range(A.shape[1]):
            out.addcmul_(torch.exp(delta * A[:, n, None]), H[:, :, n, None] * C[:, None, n])
        return out

    @staticmethod
    def backward(ctx, grad):
        delta, A, C, H = ctx.saved_tensors
        d_delta, dA, dC, dH = (torch.zeros_like(x) for x in (delta, A, C, H))
        for n in range(A.shape[1]):
            kept = torch.exp(delta * A[:, n, None]) * grad
            dC[:, n] = (kept * H[:, :, n, None]).sum(1)
            kept *= C[:, None, n]
            dH[:, :, n] = kept.sum(-1)
            kept *= H[:, :, n, None]  # gradient of the exponent Δ A_n
            dA[:, n] = (kept * delta).sum((0, 2))
            d_delta.addcmul_(kept, A[:, n, None].expand_as(kept[0]))
        return d_delta, dA, dC, dH

"""Mamba's implicit attention over two pictures: what each pixel puts into each output, exactly.

For given Δ, A, B and C a scan is linear in its inputs, so it is a matrix (Ali et al., "The Hidden
Attention of Mamba Models", 2024), here with the support as further columns:

    y_t = Σ_s a_ts u_s^support + Σ_{r ≤ t} b_tr u_r + D u_t
    b_tr = C_t · exp(A (T_t - T_r)) ⊙ B_r Δ_r        T the sum of all Δ so far, recaps included
    a_ts = C_t · exp(A (T_t - T_j)) ⊙ F_j ⊙ w_s      w_s: what is left of B_s Δ_s after one reading

F_j counts the readings up to patch j: F_1 = 1, F_j = P ⊙ Q ⊙ F_(j-1) + 1, a recap adding to what
is left of the one before. Every channel has a matrix of its own.

This is exact for one scan. Δ, B and C come from the pixels, too: a matrix says what was summed, not
what the output would be if a pixel were another.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from einops import einsum, rearrange
from torch import Tensor

from hmnet_lite.analysis.look import HybridLook, Scan
from hmnet_lite.mamba.hybrid import read_support
from hmnet_lite.maps import reading_order, reading_times

CHANNELS = 2  # whose matrices are filled at a time: few stay in the processor's cache


@dataclass(frozen=True, eq=False)
class Attention:
    """The matrices of one direction's scan."""

    support: Tensor  # (batch, channels, query steps, support steps)
    query: Tensor  # (batch, channels, query steps, query steps), zero above the diagonal

    def output(self, support_u: Tensor, query_u: Tensor) -> Tensor:
        """What the scan gives without its skip D u: (batch, channels, query steps)."""
        parts = ((self.support, support_u), (self.query, query_u))
        return sum(einsum(m, u, "b c t s, b c s -> b c t") for m, u in parts)


@torch.no_grad()
def implicit_attention(support_scan: Scan, query_scan: Scan, *, segment: int = 0) -> Attention:
    """The matrices of a scan of one direction.

    Args:
        support_scan, query_scan: (u, delta, A, B, C, D) of one direction (`one_direction`).
        segment: 0 reads the support once; a positive number before every `segment` query steps.

    Raises:
        ValueError: more than one direction at once, or scans that do not fit.
    """
    u, delta, A, B, C, _ = query_scan
    _, delta_s, _, B_s, *_ = support_scan
    if B.shape[1] != 1 or support_scan[0].shape[:2] != u.shape[:2]:
        raise ValueError(
            f"B is {tuple(B.shape)}, u {tuple(u.shape)} and the support's u "
            f"{tuple(support_scan[0].shape)}; expected both scans of one direction of one block: "
            "take it with `one_direction`"
        )
    (batch, channels, length), segment = u.shape, segment or u.shape[-1]
    B, C, B_s = (x[:, 0] for x in (B, C, B_s))  # (b, n, l)
    _, P, _ = read_support(*support_scan)
    inner = rearrange(delta, "b c (r l) -> b c r l", l=segment).cumsum(-1)  # Σ Δ within a patch
    Q = torch.exp(inner[..., -1, None] * A[:, None])  # (b, c, r, n)
    reading = delta_s.sum(-1)  # (b, c)
    after = delta_s.flip(-1).cumsum(-1).flip(-1) - delta_s  # Σ Δ still to come in one reading

    times = torch.arange(length, device=u.device)
    recaps = reading[..., None] * (times // segment + 1)
    T = delta.cumsum(-1) + recaps
    late = times[:, None] < times  # r > t: not yet read
    F, readings = torch.ones_like(P), []
    for j in range(length // segment):
        if j:
            F = P * Q[:, :, j - 1] * F + 1
        readings.append(F)
    F = torch.stack(readings, dim=2)  # (b, c, r, n)
    support = u.new_zeros(batch, channels, length, delta_s.shape[-1])
    query = u.new_zeros(batch, channels, length, length)
    for few in torch.arange(channels).split(CHANNELS):
        own = slice(int(few[0]), int(few[-1]) + 1)
        elapsed = (T[:, own, :, None] - T[:, own, None, :]).masked_fill_(late, 0)
        for n in range(A.shape[1]):  # one state index at a time: memory is that of the result
            a = A[own, n, None]
            left = torch.exp(after[:, own] * a) * delta_s[:, own] * B_s[:, None, n]  # w, (b, c, s)
            read = torch.exp(inner[:, own] * a[..., None]) * F[:, own, :, n, None]  # (b, c, r, l)
            read = read.flatten(2) * C[:, None, n]
            support[:, own].addcmul_(read[..., None], left[:, :, None])
            kept = torch.exp_(elapsed * a[..., None]).mul_(C[:, None, n, :, None])
            query[:, own].addcmul_(kept, (delta[:, own] * B[:, None, n])[:, :, None])
    return Attention(support, query.masked_fill_(late, 0))


@torch.no_grad()
def scan_matrix(scan: Scan) -> Tensor:
    """The matrix of a scan that reads one line and no support, one direction's.

    Returns:
        (batch, channels, steps out, steps in), zero above the diagonal; times u it is the scan
        without its skip.

    Raises:
        ValueError: more than one direction at once.
    """
    _, delta, A, B, C, _ = scan
    if B.shape[1] != 1:
        raise ValueError(f"B is {tuple(B.shape)}; expected one direction: use `one_direction`")
    T = delta.cumsum(-1)
    elapsed = (T[..., :, None] - T[..., None, :]).tril()
    matrix = torch.zeros_like(elapsed)
    for n in range(A.shape[1]):
        kept = torch.exp(elapsed * A[:, n, None, None]) * C[:, :, n, :, None]
        matrix.addcmul_(kept, (delta * B[:, :, n])[:, :, None])
    return matrix.tril()


@torch.no_grad()
def softmax_attention(scan: Scan, support_scan: Scan | None = None, *, causal: bool = False):
    """What attention would make of a scan's own questions C and keys B: softmax(C · B / √state).

    Args:
        scan: of one direction; it asks and, unless there is a support, answers.
        support_scan: whose pixels may answer as well.
        causal: a step looks at itself and what came before only.

    Returns:
        (batch, steps out, steps in), each row adding up to 1; the support's steps come first.
    """
    keys = scan[3][:, 0]
    if support_scan is not None:
        keys = torch.cat([support_scan[3][:, 0], keys], dim=-1)
    scores = einsum(scan[4][:, 0], keys, "b n t, b n s -> b t s") / keys.shape[1] ** 0.5
    if causal:
        late = torch.ones_like(scores[0], dtype=torch.bool).triu(1)
        scores = scores.masked_fill(late, -torch.inf)
    return scores.softmax(-1)


@dataclass(frozen=True, eq=False)
class Intercepted:
    """What QIM's outputs are made of, on the small query; each pixel hears itself and the support.

    There is no third part: no other query pixel is in the sum.
    """

    support: Tensor  # (batch, channels, query pixels, support pixels): of all four readings' mean
    own: Tensor  # (batch, channels, query pixels), what the pixel itself has written
    skip: Tensor  # D u, likewise


@torch.no_grad()
def intercepted(seen: HybridLook) -> Intercepted:
    """Take QIM's output apart; its parts add up to it.

    Pixels are those of the small maps, row by row. Bringing the result back to full size then
    mixes neighbours' outputs, as any enlargement does.

    Raises:
        ValueError: the block has no QIM, or one that meets each direction's state.
    """
    u, delta, A, B, C, D = seen.intercept_scan()
    support_scan, _, _ = seen.scans()
    K, small = seen.block.ssm.directions, seen.support_size()
    u_s, delta_s, A_s, B_s, *_ = support_scan
    after = delta_s.flip(-1).cumsum(-1).flip(-1) - delta_s
    B_s = B_s.repeat_interleave(u.shape[1], dim=1)  # (b, k c, n, s)
    order = reading_order(*small)[:K]
    back = torch.stack([torch.as_tensor(reading_times(x.numpy())) for x in order]).to(u.device)
    back = back[None, :, None].expand(len(u), K, u.shape[1], -1)  # which step reads a pixel
    support = u.new_zeros(*u.shape, u_s.shape[-1])
    for n in range(A.shape[1]):
        left = torch.exp(after * A_s[:, n, None]) * delta_s * u_s * B_s[:, :, n]
        left = rearrange(left, "b (k c) s -> b k c s", k=K).gather(-1, back).mean(1)
        read = torch.exp(delta * A[:, n, None]) * C[:, 0, None, n]
        support.addcmul_(read[..., None], left[:, :, None])
    own = (B[:, 0] * C[:, 0]).sum(1)[:, None] * delta * u
    return Intercepted(support, own, D[:, None] * u)

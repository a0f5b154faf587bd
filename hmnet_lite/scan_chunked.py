"""The scan in pure torch, a chunk of steps at a time: no compiler, any device, any float.

What is expensive in the readable loop is one small exp and several temporaries a step. Here each
chunk takes its exponentials in one call and each step is one fused in-place multiply-add. No
division by cumulative products and no logarithms, so nothing overflows when Δ is huge. The
backward pass keeps only the state at the chunk borders and recomputes the rest.

The optional recap (hybrid Mamba, `hybrid.py`) is an affine map of the state applied before steps
0, segment, 2·segment, …: h ← P ⊙ h + H_S.
"""

from __future__ import annotations

import torch
from einops import rearrange
from torch import Tensor

CHUNK = 32  # steps; large enough to hide torch's overhead, small enough to stay in cache


def chunked_scan(
    u, delta, A, B, C, D=None, initial_state=None, return_states=False, *, recap=None, segment=0
):
    """Selective scan with a recomputing backward; shapes as in `scan.reference_scan`.

    Args:
        recap: (P, H_S), each (batch, channels, state), or None.
        segment: steps between recaps; must divide the length.

    Returns:
        (y, last_state, states or None), all differentiable.
    """
    if initial_state is None:
        initial_state = u.new_zeros(u.shape[0], u.shape[1], A.shape[1])
    P, H_S = recap if recap is not None else (None, None)
    y, last_state, states = _ChunkedScan.apply(
        u, delta, A, B, C, initial_state, P, H_S, segment, return_states
    )
    if D is not None:
        y = y + D[:, None] * u
    return y, last_state, states


class _ChunkedScan(torch.autograd.Function):
    @staticmethod
    def forward(ctx, u, delta, A, B, C, h, P, H_S, segment, return_states):
        length, groups = u.shape[2], B.shape[1]
        # time first, so that one step is one contiguous block
        u, delta = (rearrange(x, "b (g c) l -> l b g c", g=groups).contiguous() for x in (u, delta))
        A = rearrange(A, "(g c) n -> g c n", g=groups).contiguous()
        B, C = (rearrange(x, "b g n l -> l b g n").contiguous() for x in (B, C))
        h, P, H_S = (
            None if x is None else rearrange(x, "b (g c) n -> b g c n", g=groups).contiguous()
            for x in (h, P, H_S)
        )
        y = torch.empty_like(u)
        borders, kept = [], []
        for start in range(0, length, CHUNK):
            part = slice(start, min(start + CHUNK, length))
            borders.append(h)
            _, states = _states(u[part], delta[part], A, B[part], h, P, H_S, start, segment)
            y[part] = (states @ C[part].unsqueeze(-1)).squeeze(-1)
            h = states[-1]
            if return_states:
                kept.append(states)
            elif part.stop < length:
                h = h.clone()  # let the chunk's buffer go
        ctx.save_for_backward(u, delta, A, B, C, P, H_S, *borders)
        ctx.segment = segment
        last = rearrange(h, "b g c n -> b (g c) n").clone()
        states = None
        if return_states:
            states = torch.cat(kept) if kept else u.new_zeros(*u.shape, A.shape[-1])
            states = rearrange(states, "l b g c n -> b (g c) l n").contiguous()
        return rearrange(y, "l b g c -> b (g c) l").contiguous(), last, states

    @staticmethod
    def backward(ctx, grad_y, grad_last, grad_states):
        u, delta, A, B, C, P, H_S, *borders = ctx.saved_tensors
        segment, length, groups = ctx.segment, u.shape[0], B.shape[2]
        grad_y = rearrange(grad_y, "b (g c) l -> l b g c", g=groups).contiguous()
        carry = rearrange(grad_last, "b (g c) n -> b g c n", g=groups).clone()
        if grad_states is not None:
            grad_states = rearrange(grad_states, "b (g c) l n -> l b g c n", g=groups)
        du, d_delta, dA = torch.empty_like(u), torch.empty_like(u), torch.zeros_like(A)
        dB, dC = torch.empty_like(B), torch.empty_like(C)
        dP, dH = (None, None) if P is None else (torch.zeros_like(P), torch.zeros_like(H_S))

        for i in reversed(range(len(borders))):
            start = i * CHUNK
            part = slice(start, min(start + CHUNK, length))
            u_, delta_, B_, C_, dy_ = u[part], delta[part], B[part], C[part], grad_y[part]
            decay, states = _states(u_, delta_, A, B_, borders[i], P, H_S, start, segment)
            before = torch.cat([borders[i][None], states[:-1]])  # h_{t-1}, ahead of any recap
            recapped = _recap_steps(start, len(u_), segment)
            dC[part] = torch.einsum("lbgc,lbgcn->lbgn", dy_, states)

            # adjoint of the state: g_t = C_t dy_t + decay_{t+1} g_{t+1}, backwards in place
            g = dy_.unsqueeze(-1) * C_.unsqueeze(-2)
            if grad_states is not None:
                g += grad_states[part]
            for t in reversed(range(len(u_))):
                g[t] += carry
                carry = decay[t] * g[t]
                if t in recapped:
                    dP.addcmul_(carry, before[t])
                    dH += carry
                    carry = carry * P
                    before[t] = P * before[t] + H_S

            d_exponent = before.mul_(g).mul_(decay)  # gradient of Δ_t A
            written = (g @ B_.unsqueeze(-1)).squeeze(-1)  # Σ_n g B
            du[part] = written * delta_
            d_delta[part] = written * u_ + torch.einsum("lbgcn,gcn->lbgc", d_exponent, A)
            dA += torch.einsum("lbgcn,lbgc->gcn", d_exponent, delta_)
            dB[part] = torch.einsum("lbgcn,lbgc->lbgn", g, delta_ * u_)

        to_sequence = "l b g c -> b (g c) l"
        to_state = "b g c n -> b (g c) n"
        return (
            rearrange(du, to_sequence),
            rearrange(d_delta, to_sequence),
            rearrange(dA, "g c n -> (g c) n"),
            rearrange(dB, "l b g n -> b g n l"),
            rearrange(dC, "l b g n -> b g n l"),
            rearrange(carry, to_state),
            None if dP is None else rearrange(dP, to_state),
            None if dH is None else rearrange(dH, to_state),
            None,
            None,
        )


def _recap_steps(start: int, steps: int, segment: int) -> range:
    """Offsets within a chunk, which begins at step `start`, that a recap comes before."""
    return range(-start % segment, steps, segment) if segment else range(0)


def _states(u, delta, A, B, h, P, H_S, start, segment) -> tuple[Tensor, Tensor]:
    """(decay, states) of one chunk, each (steps, batch, groups, channels, state)."""
    decay = torch.exp(delta.unsqueeze(-1) * A)
    states = (delta * u).unsqueeze(-1) * B.unsqueeze(-2)  # the drive; states are built in place
    recapped = _recap_steps(start, len(u), segment)
    for t in range(len(u)):
        if t in recapped:
            h = torch.addcmul(H_S, P, h)
        h = states[t].addcmul_(decay[t], h)
    return decay, states

"""The scan in pure torch, a chunk of steps at a time: no compiler, any device, any float.

What is expensive in the readable loop is one small exp and several temporaries a step. Here each
chunk takes its exponentials in one call and each step is one fused in-place multiply-add. No
division by cumulative products and no logarithms, so nothing overflows when Δ is huge. The
backward pass keeps only the state at the chunk borders and recomputes the rest.

The optional recap (hybrid Mamba) is an affine map of the state applied before steps 0, segment,
2·segment, …: h ← P ⊙ h + H_S, with P the support_keep and H_S the support_state.
"""

from __future__ import annotations

import math

import torch
from einops import rearrange
from torch import Tensor
from torch.autograd.function import once_differentiable

SPACE = 2**18  # decays in a chunk: enough to hide torch's overhead, few enough to stay in cache


def chunked_scan(u, delta, A, B, C, D=None, initial_state=None, return_states=False, recap=None):
    """Selective scan with a recomputing backward; shapes as in `reference_scan`.

    Args:
        recap: (support_keep, support_state, segment) as in `selective_scan`, or None.

    Returns:
        (y, last_state, states or None), all differentiable once.
    """
    if initial_state is None:
        initial_state = u.new_zeros(u.shape[0], u.shape[1], A.shape[1])
    keep, support_state, segment = recap if recap is not None else (None, None, 0)
    y, last_state, states = _ChunkedScan.apply(
        u, delta, A, B, C, initial_state, keep, support_state, segment, return_states
    )
    if D is not None:
        y = y + D[:, None] * u
    return y, last_state, states


class _ChunkedScan(torch.autograd.Function):
    # Inside: time first, so that one step is one contiguous block, and channels last, so that
    # every operation runs along them: (length, batch, groups, state, channels of a group).

    @staticmethod
    def forward(ctx, u, delta, A, B, C, h, P, H_S, segment, return_states):
        groups, length = B.shape[1], u.shape[2]
        u, delta = _time_first(u, groups), _time_first(delta, groups)
        A = rearrange(A, "(g c) n -> g n c", g=groups).contiguous()
        B, C = (rearrange(x, "b g n l -> l b g n 1").contiguous() for x in (B, C))
        h, P, H_S = (None if x is None else _channels_last(x, groups) for x in (h, P, H_S))
        y = torch.empty_like(u)
        chunk = _chunk(u, A)
        ctx.segment, ctx.chunk = segment, chunk
        space = _space(u, A, chunk)
        borders, kept = [], []
        for start in range(0, length, chunk):
            part = slice(start, min(start + chunk, length))
            borders.append(h)
            x = u[part], delta[part], A, B[part], h, P, H_S, start, segment
            _, states = _states(*x, space)
            torch.matmul(C[part].mT, states, out=y[part])
            h = states[-1].clone()
            if return_states:
                kept.append(states.clone())
        ctx.save_for_backward(u, delta, A, B, C, P, H_S, *borders)
        states = None
        if return_states:
            states = torch.cat(kept) if kept else u.new_zeros(*B.shape[:4], u.shape[-1])
            states = rearrange(states, "l b g n c -> b (g c) l n").contiguous()
        return _time_last(y), _state_last(h), states

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_y, grad_last, grad_states):
        u, delta, A, B, C, P, H_S, *borders = ctx.saved_tensors
        segment, chunk, length, groups = ctx.segment, ctx.chunk, u.shape[0], B.shape[2]
        grad_y, carry = _time_first(grad_y, groups), _channels_last(grad_last, groups)
        if grad_states is not None:
            grad_states = rearrange(grad_states, "b (g c) l n -> l b g n c", g=groups)
        du, d_delta, dA = torch.empty_like(u), torch.empty_like(u), torch.zeros_like(A)
        dB, dC = torch.empty_like(B), torch.empty_like(C)
        dP, dH = (None, None) if P is None else (torch.zeros_like(P), torch.zeros_like(H_S))
        space = _space(u, A, chunk)
        for i in reversed(range(len(borders))):
            start = i * chunk
            part = slice(start, min(start + chunk, length))
            u_, delta_, B_, C_, dy_ = u[part], delta[part], B[part], C[part], grad_y[part]
            x = u_, delta_, A, B_, borders[i], P, H_S, start, segment
            decay, states = _states(*x, space)
            dC[part] = states @ dy_.mT
            before = torch.cat([borders[i][None], states[:-1]])  # h_{t-1}, ahead of any recap
            recapped = _recap_steps(start, len(u_), segment)

            # adjoint of the state: g_t = C_t dy_t + decay_{t+1} g_{t+1}, backwards in place
            g = torch.mul(C_, dy_, out=states)
            if grad_states is not None:
                g += grad_states[part]
            for t in reversed(range(len(u_))):
                g[t] += carry
                carry = decay[t] * g[t]
                if dP is not None and t in recapped:
                    dP.addcmul_(carry, before[t])
                    dH += carry
                    carry = carry * P
                    before[t] = P * before[t] + H_S

            dB[part] = g @ (delta_ * u_).mT
            written = B_.mT @ g  # Σ_n g B
            du[part] = written * delta_
            d_exponent = before.mul_(g).mul_(decay)  # gradient of Δ_t A
            dA += torch.mul(d_exponent, delta_, out=decay).sum((0, 1))
            d_delta[part] = written * u_ + d_exponent.mul_(A).sum(-2, keepdim=True)

        dB, dC = (rearrange(x, "l b g n 1 -> b g n l") for x in (dB, dC))
        dA = rearrange(dA, "g n c -> (g c) n")
        states = (None if x is None else _state_last(x) for x in (carry, dP, dH))
        return _time_last(du), _time_last(d_delta), dA, dB, dC, *states, None, None


def _time_first(x: Tensor, groups: int) -> Tensor:
    """(batch, channels, length) → (length, batch, groups, 1, channels of a group), contiguous.

    As two axes, because that is the one transposition torch has a fast copy for.
    """
    batch, channels, length = x.shape
    turned = x.reshape(batch * channels, length).t().contiguous()
    return turned.view(length, batch, groups, 1, channels // groups)


def _time_last(x: Tensor) -> Tensor:
    """The reverse of `_time_first`."""
    length, batch, groups, _, channels = x.shape
    turned = x.view(length, batch * groups * channels).t().contiguous()
    return turned.view(batch, groups * channels, length)


def _channels_last(state: Tensor, groups: int) -> Tensor:
    return rearrange(state, "b (g c) n -> b g n c", g=groups).contiguous()


def _state_last(state: Tensor) -> Tensor:
    return rearrange(state, "b g n c -> b (g c) n")


def _recap_steps(start: int, steps: int, segment: int) -> range:
    """Offsets within a chunk, which begins at step `start`, that a recap comes before."""
    return range(-start % segment, steps, segment) if segment else range(0)


def _chunk(u: Tensor, A: Tensor) -> int:
    """Steps in a chunk, from 8 to 32."""
    return max(8, min(32, SPACE // max(u[:1].numel() * A.shape[1], 1)))


def _space(u: Tensor, A: Tensor, chunk: int) -> Tensor:
    """Room for one chunk's decays and states, used by every chunk: fresh memory costs more."""
    return u.new_empty(2, min(chunk, len(u)), *u.shape[1:3], *A.shape[1:])


def _states(u, delta, A, B, h, P, H_S, start, segment, space) -> tuple[Tensor, Tensor]:
    """(decay, states) of one chunk, each (steps, batch, groups, state, channels of a group)."""
    decay, states = space[:, : len(u)]
    # Near 1 torch's float32 exp is 3e-9 too small, over 8192 steps too much: as 2^(x log2 e), and
    # on a GPU, whose exp2 is no better there, as 1 + (e^x - 1).
    if u.is_cuda:
        torch.mul(delta, A, out=decay).expm1_().add_(1)
    else:
        torch.mul(delta, A * math.log2(math.e), out=decay).exp2_()
    torch.mul(B, delta * u, out=states)  # the drive; states are built in place
    recapped = _recap_steps(start, len(u), segment)
    for t in range(len(u)):
        if t in recapped:
            h = torch.addcmul(H_S, P, h)
        h = states[t].addcmul_(decay[t], h)
    return decay, states

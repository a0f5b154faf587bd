"""The selective scan as Triton kernels, forward and recomputing backward, for GPUs.

One program runs one channel of one batch row, 64 steps at a time: inside such a chunk all
states of all steps are found at once by an associative scan of the maps h ← a·h + b, whose
composition is (a₂a₁, a₂b₁ + b₂); from chunk to chunk only the state is carried. Backward
restarts from the state saved at each chunk's start. Channels that share B and C add to their
gradients with atomics, so the last bits of those may differ from run to run.

With TRITON_INTERPRET=1 in the environment before the first import, the same kernels run in
Python on CPU tensors: slow, but enough to test them without a GPU.
"""

import os

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.autograd.function import once_differentiable

from hmnet_kernels.checks import check_arguments

BLOCK_T = 64
INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"  # read once, as Triton does


def selective_scan_triton(
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None = None,
    initial_state: Tensor | None = None,
    *,
    delta_bias: Tensor | None = None,
    delta_softplus: bool = False,
    recap: tuple[Tensor, Tensor] | None = None,
    segment: int | None = None,
    return_last_state: bool = False,
):
    """As `scan_cpu.selective_scan_cpu`, for float32, bfloat16 or float16 CUDA tensors.

    Shapes and meaning are the same. The state is always float32; y has u's dtype, and
    last_state is float32.
    """
    tensors = check_arguments(
        u, delta, A, B, C, D, delta_bias, initial_state, recap, segment,
        dtypes=(torch.float32, torch.bfloat16, torch.float16),
        device="cpu" if INTERPRETED else "cuda",
    )  # fmt: skip
    given = [None if t is None else t.contiguous() for t in tensors]
    keep = torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in given)
    step = max(u.shape[2], 1) if segment is None else segment
    y, last = _Scan.apply(keep, step, bool(delta_softplus), *given)
    return (y, last) if return_last_state else y


@triton.jit
def _then(a1, b1, a2, b2):
    """h ← a1·h + b1, then h ← a2·h + b2, as one map."""
    return a2 * a1, a2 * b1 + b2


@triton.jit
def _step_sizes(delta, at, mask, bias, SOFTPLUS: tl.constexpr):
    """Δ where mask, else 0 (the map that changes nothing)."""
    x = tl.load(delta + at, mask, 0.0).to(tl.float32) + bias
    if SOFTPLUS:
        w = tl.exp(-tl.abs(x))
        v = 1.0 + w  # log(1 + w), exact to the last bits also for tiny w (Kahan)
        log = tl.where(v == 1.0, w, tl.log(v) * (w / tl.where(v == 1.0, 1.0, v - 1.0)))
        x = tl.where(x > 0.0, x, tl.where(x <= 0.0, 0.0, x)) + log
    return tl.where(mask, x, 0.0)


@triton.jit
def _chunk(chunk, segment, length, BLOCK_T: tl.constexpr):
    """First step, end, and whether a recap comes first."""
    chunks = tl.cdiv(segment, BLOCK_T)  # in a segment
    start = chunk // chunks * segment + chunk % chunks * BLOCK_T
    stop = tl.minimum(tl.minimum((chunk // chunks + 1) * segment, length), start + BLOCK_T)
    return start, stop, chunk % chunks == 0


@triton.jit
def _forward(
    u, delta, A, B, C, D, bias, initial, P, S, y, last, saved,
    channels, groups, states, length, segment, chunks,
    HAS_D: tl.constexpr, HAS_BIAS: tl.constexpr, HAS_INITIAL: tl.constexpr, RECAP: tl.constexpr,
    SOFTPLUS: tl.constexpr, KEEP: tl.constexpr, BLOCK_T: tl.constexpr, BLOCK_N: tl.constexpr,
):  # fmt: skip
    c, b = tl.program_id(0), tl.program_id(1)
    row = b.to(tl.int64) * channels + c
    n, i = tl.arange(0, BLOCK_N), tl.arange(0, BLOCK_T)
    real = n < states
    shared = ((b * groups + c // (channels // groups)) * states + n).to(tl.int64) * length
    a = tl.load(A + c * states + n, real, 0.0).to(tl.float32)
    d = tl.load(D + c).to(tl.float32) if HAS_D else 0.0
    shift = tl.load(bias + c).to(tl.float32) if HAS_BIAS else 0.0
    h = tl.zeros([BLOCK_N], tl.float32)
    if HAS_INITIAL:
        h = tl.load(initial + row * states + n, real, 0.0).to(tl.float32)
    if RECAP:
        p = tl.load(P + row * states + n, real, 0.0).to(tl.float32)
        s = tl.load(S + row * states + n, real, 0.0).to(tl.float32)
    for chunk in range(chunks):
        start, stop, first = _chunk(chunk, segment, length, BLOCK_T)
        t = start + i
        inside = t < stop
        if KEEP:
            tl.store(saved + (row * chunks + chunk) * states + n, h, real)
        if RECAP:
            h = tl.where(first, p * h + s, h)
        x = tl.load(u + row * length + t, inside, 0.0).to(tl.float32)
        dt = _step_sizes(delta, row * length + t, inside, shift, SOFTPLUS)
        both = inside[:, None] & real[None, :]
        bt = tl.load(B + shared[None, :] + t[:, None], both, 0.0).to(tl.float32)
        ct = tl.load(C + shared[None, :] + t[:, None], both, 0.0).to(tl.float32)
        decay, drive = tl.exp(dt[:, None] * a[None, :]), (dt * x)[:, None] * bt  # (t, n)
        so_far, added = tl.associative_scan((decay, drive), 0, _then)
        states_here = so_far * h[None, :] + added
        tl.store(y + row * length + t, tl.sum(states_here * ct, 1) + d * x, inside)
        h = tl.sum(tl.where(i[:, None] == BLOCK_T - 1, states_here, 0.0), 0)
    tl.store(last + row * states + n, h, real)


@triton.jit
def _backward(
    u, delta, A, B, C, D, bias, P, S, saved, dy, dlast,
    du, ddelta, dA, dB, dC, dD, dbias, dinitial, dP, dS,
    channels, groups, states, length, segment, chunks,
    HAS_D: tl.constexpr, HAS_BIAS: tl.constexpr, RECAP: tl.constexpr, SOFTPLUS: tl.constexpr,
    BLOCK_T: tl.constexpr, BLOCK_N: tl.constexpr,
):  # fmt: skip
    c, b = tl.program_id(0), tl.program_id(1)
    row = b.to(tl.int64) * channels + c
    n, i = tl.arange(0, BLOCK_N), tl.arange(0, BLOCK_T)
    real = n < states
    shared = ((b * groups + c // (channels // groups)) * states + n).to(tl.int64) * length
    a = tl.load(A + c * states + n, real, 0.0).to(tl.float32)
    d = tl.load(D + c).to(tl.float32) if HAS_D else 0.0
    shift = tl.load(bias + c).to(tl.float32) if HAS_BIAS else 0.0
    g = tl.load(dlast + row * states + n, real, 0.0).to(tl.float32)  # of the state carried on
    if RECAP:
        p = tl.load(P + row * states + n, real, 0.0).to(tl.float32)
        s = tl.load(S + row * states + n, real, 0.0).to(tl.float32)
        grad_p, grad_s = tl.zeros([BLOCK_N], tl.float32), tl.zeros([BLOCK_N], tl.float32)
    grad_a = tl.zeros([BLOCK_N], tl.float32)
    grad_d = tl.zeros([BLOCK_T], tl.float32)
    grad_bias = tl.zeros([BLOCK_T], tl.float32)
    for back in range(chunks):
        chunk = chunks - 1 - back
        start, stop, first = _chunk(chunk, segment, length, BLOCK_T)
        t = start + i
        inside = t < stop
        at = row * length + t
        kept = tl.load(saved + (row * chunks + chunk) * states + n, real, 0.0)
        h = kept
        if RECAP:
            h = tl.where(first, p * h + s, h)
        x = tl.load(u + at, inside, 0.0).to(tl.float32)
        gy = tl.load(dy + at, inside, 0.0).to(tl.float32)
        dt = _step_sizes(delta, at, inside, shift, SOFTPLUS)
        both = inside[:, None] & real[None, :]
        where = shared[None, :] + t[:, None]
        bt = tl.load(B + where, both, 0.0).to(tl.float32)
        ct = tl.load(C + where, both, 0.0).to(tl.float32)
        decay = tl.exp(dt[:, None] * a[None, :])

        # States before each step: the scan of the maps one step earlier, none before the first.
        earlier = inside & (i > 0)
        x1 = tl.load(u + at - 1, earlier, 0.0).to(tl.float32)
        dt1 = _step_sizes(delta, at - 1, earlier, shift, SOFTPLUS)
        bt1 = tl.load(B + where - 1, earlier[:, None] & real[None, :], 0.0).to(tl.float32)
        maps = (tl.exp(dt1[:, None] * a[None, :]), (dt1 * x1)[:, None] * bt1)
        so_far, added = tl.associative_scan(maps, 0, _then)
        before = so_far * h[None, :] + added
        after = decay * before + (dt * x)[:, None] * bt

        # Gradients of each state: g_t = C_t dy_t + decay_{t+1} g_{t+1}, scanned from the end.
        later = t + 1 < stop
        dt2 = _step_sizes(delta, at + 1, later, shift, SOFTPLUS)
        maps = (tl.exp(dt2[:, None] * a[None, :]), gy[:, None] * ct)
        so_far, added = tl.associative_scan(maps, 0, _then, reverse=True)
        gh = so_far * g[None, :] + added

        tl.atomic_add(dC + where, gy[:, None] * after, both)
        tl.atomic_add(dB + where, gh * (dt * x)[:, None], both)
        through = gh * decay * before  # gradient of Δ·A
        gdrive = tl.sum(gh * bt, 1)
        gdt = tl.sum(through * a[None, :], 1) + gdrive * x
        if SOFTPLUS:
            raw = tl.load(delta + at, inside, 0.0).to(tl.float32) + shift
            gdt = gdt * tl.sigmoid(raw)
        gdt = tl.where(inside, gdt, 0.0)
        tl.store(du + at, gdrive * dt + d * gy, inside)
        tl.store(ddelta + at, gdt, inside)
        grad_a += tl.sum(through * dt[:, None], 0)
        grad_d += gy * x
        grad_bias += gdt
        g = tl.sum(tl.where(i[:, None] == 0, gh * decay, 0.0), 0)
        if RECAP:
            grad_p = tl.where(first, grad_p + g * kept, grad_p)
            grad_s = tl.where(first, grad_s + g, grad_s)
            g = tl.where(first, g * p, g)
    tl.store(dA + row * states + n, grad_a, real)
    tl.store(dinitial + row * states + n, g, real)
    tl.store(dD + row, tl.sum(grad_d, 0))
    tl.store(dbias + row, tl.sum(grad_bias, 0))
    if RECAP:
        tl.store(dP + row * states + n, grad_p, real)
        tl.store(dS + row * states + n, grad_s, real)


class _Scan(torch.autograd.Function):
    @staticmethod
    def forward(ctx, keep, segment, softplus, *tensors):
        u, delta, A, B, C, D, bias, initial, P, S = tensors
        (batch, channels, length), states = u.shape, A.shape[1]
        chunks = -(-length // segment) * -(-segment // BLOCK_T)
        y = torch.empty_like(u)
        last = torch.empty(batch, channels, states, device=u.device)
        saved = torch.empty(batch, channels, chunks if keep else 0, states, device=u.device)
        sizes = (channels, B.shape[1], states, length, segment, chunks)
        with torch.cuda.device_of(u):
            _forward[(channels, batch)](
                *(u, delta, A, B, C, D, bias, initial, P, S, y, last, saved), *sizes,
                HAS_D=D is not None, HAS_BIAS=bias is not None, HAS_INITIAL=initial is not None,
                RECAP=P is not None, SOFTPLUS=softplus, KEEP=keep,
                BLOCK_T=BLOCK_T, BLOCK_N=triton.next_power_of_2(states),
            )  # fmt: skip
        ctx.save_for_backward(saved, *tensors)
        ctx.softplus, ctx.sizes = softplus, sizes
        ctx.set_materialize_grads(False)
        return y, last

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_y, grad_last):
        saved, *tensors = ctx.saved_tensors
        u, delta, A, B, C, D, bias, _, P, S = tensors
        batch, channels, _ = u.shape
        state = (batch, channels, A.shape[1])

        def fresh(*shape):
            return torch.empty(shape, device=u.device)

        grad_y = torch.zeros_like(u) if grad_y is None else grad_y.contiguous()
        grad_last = fresh(*state).zero_() if grad_last is None else grad_last.contiguous()
        du, ddelta, dA, dinitial = fresh(*u.shape), fresh(*u.shape), fresh(*state), fresh(*state)
        dB, dC = fresh(*B.shape).zero_(), fresh(*C.shape).zero_()
        dD, dbias = fresh(batch, channels), fresh(batch, channels)
        dP, dS = (None, None) if P is None else (fresh(*state), fresh(*state))
        with torch.cuda.device_of(u):
            _backward[(channels, batch)](
                *(u, delta, A, B, C, D, bias, P, S, saved, grad_y, grad_last),
                *(du, ddelta, dA, dB, dC, dD, dbias, dinitial, dP, dS), *ctx.sizes,
                HAS_D=D is not None, HAS_BIAS=bias is not None, RECAP=P is not None,
                SOFTPLUS=ctx.softplus, BLOCK_T=BLOCK_T, BLOCK_N=triton.next_power_of_2(A.shape[1]),
            )  # fmt: skip
        grads = (du, ddelta, dA.sum(0), dB, dC, dD.sum(0), dbias.sum(0), dinitial, dP, dS)
        given = zip(grads, tensors, strict=True)
        return None, None, None, *(None if t is None else g.to(t.dtype) for g, t in given)

"""The selective scan on a CPU: validation, threads and gradients around `line_loops`.

    h_t = exp(Δ_t A) ⊙ h_{t-1} + Δ_t u_t B_t        y_t = C_t · h_t + D u_t

(Mamba, Gu and Dao 2023, eq. 2 with the Euler step B̄ = ΔB.) Work is cut into (batch, group,
block of 16 channels) items; each runs the whole sequence with its state in registers.
The backward pass restarts from states saved every 64 steps and recomputes the others.
"""

import importlib

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from hmnet_kernels.checks import check_arguments
from hmnet_kernels.cpu.threads import cut, empty, share, threads_for


def selective_scan_cpu(
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
    """Selective scan of float32 CPU tensors, differentiable in every one of them.

    u, delta: (batch, channels, length); A: (channels, state), negative;
    B, C: (batch, groups, state, length), channel c using group c // (channels / groups);
    D, delta_bias: (channels,); initial_state: (batch, channels, state).
    The step is Δ = delta + delta_bias, through softplus when delta_softplus is set (fused
    here: as torch operations both would cost about as much as the scan).

    recap=(P, S), each (batch, channels, state), applies h ← P ⊙ h + S before steps
    0, segment, 2·segment, …: with P = exp(A ΣΔ) and S the state after a support
    sequence, that is the same as rescanning the support there (HMNet's recapped scan).

    Returns y (batch, channels, length) or, with return_last_state, (y, last_state) where
    last_state is (batch, channels, state). Gradients flow through both.

    Threads follow torch.get_num_threads(). Raises ImportError without numba, TypeError for
    other dtypes or devices, ValueError for shapes that do not fit.
    """
    tensors = check_arguments(
        u, delta, A, B, C, D, delta_bias, initial_state, recap, segment,
        dtypes=(torch.float32,), device="cpu",
    )  # fmt: skip
    given = [None if t is None else t.contiguous() for t in tensors]
    if A.shape[1] % 2:  # the kernel takes states in pairs: add one that nothing drives
        given = [_add_state(t, axis) for t, axis in zip(given, _STATE_AXES, strict=True)]
    keep = torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in given)
    step = max(u.shape[2], 1) if segment is None else segment
    y, last = _Scan.apply(keep, step, bool(delta_softplus), *given)
    return (y, last[..., : A.shape[1]]) if return_last_state else y


_STATE_AXES = (None, None, -1, -2, -2, None, None, -1, -1, -1)  # of the tensors above


def _add_state(t: Tensor | None, axis: int | None) -> Tensor | None:
    if t is None or axis is None:
        return t
    return F.pad(t, (0, 1) if axis == -1 else (0, 0, 0, 1))


class _Scan(torch.autograd.Function):
    @staticmethod
    def forward(ctx, keep, segment, softplus, *tensors):
        loops = load_loops()
        u, _, A, B, *_ = tensors
        batch, channels, length = u.shape
        items = batch * B.shape[1] * -(-(channels // B.shape[1]) // loops.LANES)
        whole, rest = divmod(length, segment)
        tiles = whole * -(-segment // loops.TILE) + -(-rest // loops.TILE)
        y = empty(u.shape)
        last = u.new_empty(batch, channels, A.shape[1])
        saved = empty((items if keep else 0, tiles, A.shape[1], loops.LANES))
        problem = _problem(loops, tensors, softplus, segment)
        outputs = [t.numpy() for t in (y, last, saved)]
        threads = threads_for(items, items * loops.LANES * A.shape[1] * length)
        share(threads, loops.forward, cut(items, threads), problem, *outputs)
        ctx.save_for_backward(saved, *tensors)
        ctx.segment, ctx.softplus, ctx.items = segment, softplus, items
        ctx.set_materialize_grads(False)
        return y, last

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_y, grad_last):
        loops = load_loops()
        saved, *tensors = ctx.saved_tensors
        u, _, A, B, *_ = tensors
        batch, channels, length = u.shape
        grad_y = torch.zeros_like(u) if grad_y is None else grad_y.contiguous()
        if grad_last is None:
            grad_last = u.new_zeros(batch, channels, A.shape[1])
        problem = _problem(loops, tensors, ctx.softplus, ctx.segment)

        items = ctx.items // max(batch, 1)  # in one batch row
        threads = threads_for(ctx.items, 3 * ctx.items * loops.LANES * A.shape[1] * length)
        parts = cut(items, threads, batch)
        tasks = [
            (b * items + first, b * items + stop, part)
            for b in range(batch)
            for part, (first, stop) in enumerate(parts)
        ]
        state, row = (batch, channels, A.shape[1]), (batch, channels)
        shared = (len(parts), *B.shape[:3], length + loops.LANES)
        grads = loops.Gradients(
            u=empty(u.shape),
            delta=empty(u.shape),
            A=u.new_empty(state),
            B=u.new_zeros(shared),
            C=u.new_zeros(shared),
            D=u.new_empty(row),
            delta_bias=u.new_empty(row),
            initial_state=u.new_empty(state),
            recap_decay=u.new_empty(state),
            recap_state=u.new_empty(state),
        )
        arrays = [t.numpy() for t in (saved, grad_y, grad_last.contiguous())]
        outputs = loops.Gradients(*(t.numpy() for t in grads))
        share(threads, loops.backward, tasks, problem, *arrays, outputs)
        summed = {name: getattr(grads, name).sum(0) for name in ("A", "B", "C", "D", "delta_bias")}
        summed["B"], summed["C"] = summed["B"][..., :length], summed["C"][..., :length]
        given = zip(grads._replace(**summed), tensors, strict=True)
        return None, None, None, *(grad if tensor is not None else None for grad, tensor in given)


def _problem(loops, tensors, softplus, segment):
    """The kernels' argument: arrays that share memory with the tensors."""
    none = {1: np.empty(0, np.float32), 3: np.empty((0, 0, 0), np.float32)}
    axes = (3, 3, 2, 4, 4, 1, 1, 3, 3, 3)
    arrays = [none[n] if t is None else t.numpy() for n, t in zip(axes, tensors, strict=True)]
    return loops.Problem(*arrays[:7], softplus, *arrays[7:], segment)


def load_loops(name: str = "line_loops"):
    """One of the modules that numba compiles; an ImportError with the mend where there is none."""
    try:
        return importlib.import_module(f".{name}", __package__)
    except ImportError as error:
        raise ImportError(
            f"the compiled CPU scan needs numba ({error}): pip install numba, "
            "or use a backend written in torch"
        ) from error

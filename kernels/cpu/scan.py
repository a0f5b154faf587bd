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

from hmnet_kernels.checks import check_arguments, refuse_twice
from hmnet_kernels.cpu.threads import cut, cut_rows, empty, share, threads_for


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
    run = _scan if keep or torch.compiler.is_compiling() else _scan_now
    y, last, _ = run(keep, step, bool(delta_softplus), *given)
    return (y, last[..., : A.shape[1]]) if return_last_state else y


_STATE_AXES = (None, None, -1, -2, -2, None, None, -1, -1, -1)  # of the tensors above


def _add_state(t: Tensor | None, axis: int | None) -> Tensor | None:
    if t is None or axis is None:
        return t
    return F.pad(t, (0, 1) if axis == -1 else (0, 0, 0, 1))


# Operators of their own, so that torch.compile and torch.export take them whole. Where neither is
# at work and no gradient is wanted the function itself is called: the first call of any operator
# loads torch's compiler, two seconds that a first answer need not wait for.


def _scan_now(
    keep: bool,
    segment: int,
    softplus: bool,
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None,
    delta_bias: Tensor | None,
    initial_state: Tensor | None,
    support_keep: Tensor | None,
    support_state: Tensor | None,
) -> tuple[Tensor, Tensor, Tensor]:
    """(y, last state, states saved for the backward pass)."""
    loops = load_loops()
    tensors = (u, delta, A, B, C, D, delta_bias, initial_state, support_keep, support_state)
    (batch, channels, length), items = u.shape, _items(u, B)
    y, last = empty(u.shape), empty((batch, channels, A.shape[1]))
    saved = empty(_saved_shape(keep, segment, u, A, B))
    problem = _problem(loops, tensors, softplus, segment)
    outputs = [t.numpy() for t in (y, last, saved)]
    threads = threads_for(items, items * loops.LANES * A.shape[1] * length)
    share(threads, loops.forward, cut(items, threads), problem, *outputs)
    return y, last, saved


_scan = torch.library.custom_op("hmnet_kernels::scan_cpu", _scan_now, mutates_args=())


@_scan.register_fake
def _(keep, segment, softplus, u, delta, A, B, *others):
    last = u.new_empty(u.shape[0], u.shape[1], A.shape[1])
    return torch.empty_like(u), last, u.new_empty(_saved_shape(keep, segment, u, A, B))


@torch.library.custom_op("hmnet_kernels::scan_cpu_backward", mutates_args=())
def _scan_backward(
    grad_y: Tensor,
    grad_last: Tensor,
    saved: Tensor,
    segment: int,
    softplus: bool,
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None,
    delta_bias: Tensor | None,
    initial_state: Tensor | None,
    support_keep: Tensor | None,
    support_state: Tensor | None,
) -> list[Tensor]:
    """Gradients of the ten tensors, also of those that are not there."""
    loops = load_loops()
    tensors = (u, delta, A, B, C, D, delta_bias, initial_state, support_keep, support_state)
    batch, channels, length = u.shape
    items = _items(u, B)
    threads = threads_for(items, 3 * items * loops.LANES * A.shape[1] * length)
    tasks, parts = cut_rows(items // max(batch, 1), batch, threads)
    state, row = (batch, channels, A.shape[1]), (batch, channels)
    shared = (parts, *B.shape[:3], length + loops.LANES)
    grads = loops.Gradients(
        u=empty(u.shape),
        delta=empty(u.shape),
        A=empty(state),
        B=empty(shared).zero_(),
        C=empty(shared).zero_(),
        D=empty(row),
        delta_bias=empty(row),
        initial_state=empty(state),
        support_keep=empty(state),
        support_state=empty(state),
    )
    arrays = [t.numpy() for t in (saved, grad_y, grad_last)]
    problem = _problem(loops, tensors, softplus, segment)
    outputs = loops.Gradients(*(t.numpy() for t in grads))
    share(threads, loops.backward, tasks, problem, *arrays, outputs)
    summed = {name: getattr(grads, name).sum(0) for name in ("A", "B", "C", "D", "delta_bias")}
    for name in "BC":  # an operator's results must not share memory
        summed[name] = summed[name][..., :length].contiguous()
    return list(grads._replace(**summed))


@_scan_backward.register_fake
def _(grad_y, grad_last, saved, segment, softplus, u, delta, A, B, *others):
    row, state = u.shape[1:2], (*u.shape[:2], A.shape[1])
    shapes = (u.shape, u.shape, A.shape, B.shape, B.shape, row, row, *(state,) * 3)
    return [u.new_empty(shape) for shape in shapes]


def _setup(ctx, inputs, output) -> None:
    _, ctx.segment, ctx.softplus, *tensors = inputs
    ctx.save_for_backward(output[2], *tensors)
    ctx.set_materialize_grads(False)


def _differentiate(ctx, grad_y, grad_last, _):
    saved, *tensors = ctx.saved_tensors
    u, _, A, *_ = tensors
    grad_y = torch.zeros_like(u) if grad_y is None else grad_y.contiguous()
    if grad_last is None:
        grad_last = u.new_zeros(u.shape[0], u.shape[1], A.shape[1])
    grads = _scan_backward(
        grad_y, grad_last.contiguous(), saved, ctx.segment, ctx.softplus, *tensors
    )
    given = zip(grads, tensors, strict=True)
    return None, None, None, *(grad if tensor is not None else None for grad, tensor in given)


_scan.register_autograd(_differentiate, setup_context=_setup)
_scan_backward.register_autograd(refuse_twice)


def _items(u: Tensor, B: Tensor) -> int:
    """How many blocks of channels there are: what one thread does at a time."""
    (batch, channels, _), groups = u.shape, B.shape[1]
    return batch * groups * -(-(channels // groups) // load_loops().LANES)


def _saved_shape(keep: bool, segment: int, u: Tensor, A: Tensor, B: Tensor) -> tuple[int, ...]:
    """Of the states saved for the backward pass: one at the start of every tile of steps."""
    loops = load_loops()
    whole, rest = divmod(u.shape[2], segment)
    tiles = whole * -(-segment // loops.TILE) + -(-rest // loops.TILE)
    return (_items(u, B) if keep else 0, tiles, A.shape[1], loops.LANES)


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

"""Scans of a 2-D map along several orders at once, on a CPU, without one permuted copy.

Scanning an image in four directions by `selective_scan_cpu` needs the map laid out four times, as
sequences, and four sequences put back in place. Here the map stays where it is: every direction
reads it through a list of pixel numbers, and the outputs are summed where they belong. What is
computed is the same (`hmnet_lite.maps` has the orders, its sequences the readable version).
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from hmnet_kernels.checks import MAP_SHAPES, check_map_arguments, check_order, refuse_twice
from hmnet_kernels.cpu.scan import load_loops
from hmnet_kernels.cpu.threads import cut, cut_rows, empty, share, threads_for


def map_scan_cpu(
    u: Tensor,
    low_rank: Tensor,
    delta_weight: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None = None,
    *,
    order: Tensor,
    starts: Tensor | None = None,
    delta_bias: Tensor | None = None,
    delta_softplus: bool = False,
    recap: tuple[Tensor, Tensor] | None = None,
) -> tuple[Tensor, Tensor]:
    """Scan a channels-last map once in every direction and sum what the directions say.

    float32 on a CPU, differentiable in every float argument. With "lines" = directions × channels,
    direction k's channels at k·channels:

    u: (batch, pixels, channels), read by all directions.
    low_rank: (batch, directions, pixels, rank), delta_weight: (lines, rank): the step before bias
        and softplus is their product, as in every Mamba block, and is never laid out.
    A: (lines, state), negative; B, C: (batch, directions, pixels, state); D, delta_bias: (lines,).
    low_rank, B and C belong to pixels, as u does: at the pixel, not at the step that reads it.
    order: (directions, pixels) int64, the pixel that each step of each direction reads.
    starts: (directions, segments + 1) int64, where in `order` each segment begins, first 0 and
        last the number of pixels; one segment when None. Segments may differ in length.
    recap=(P, S): each (batch, lines, state), h ← P ⊙ h + S before every segment
        (`selective_scan_cpu` explains).

    Returns (y, last_state): (batch, pixels, channels) summed over directions, and
    (batch, lines, state).

    Threads follow torch.get_num_threads(). Raises ImportError without numba, TypeError for other
    dtypes or devices, ValueError for shapes that do not fit or an order that is none.
    """
    P, S = (None, None) if recap is None else recap
    tensors = dict(
        zip(MAP_SHAPES, (u, low_rank, delta_weight, A, B, C, D, delta_bias, P, S), strict=True)
    )
    check_map_arguments(tensors, dtypes=(torch.float32,), device="cpu")
    directions, pixels = low_rank.shape[1:3]
    if starts is None:
        starts = torch.tensor([[0, pixels]], device="cpu").expand(directions, 2)
    check_order(order, starts, directions, pixels)
    given = [None if t is None else t.contiguous() for t in tensors.values()]
    states = A.shape[1]
    if states % 2:  # the kernel takes states in pairs: add one that nothing drives
        last_axis = [name.endswith("state") for name in MAP_SHAPES.values()]
        given = [
            F.pad(t, (0, 1)) if pad and t is not None else t
            for t, pad in zip(given, last_axis, strict=True)
        ]
    keep = torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in given)
    run = _map_scan if keep or torch.compiler.is_compiling() else _map_scan_now
    y, last, _ = run(keep, bool(delta_softplus), order.contiguous(), starts.contiguous(), *given)
    return y, last[..., :states]


# Operators of their own, so that torch.compile and torch.export take them whole. Where neither is
# at work and no gradient is wanted the function itself is called: the first call of any operator
# loads torch's compiler, two seconds that a first answer need not wait for.


def _map_scan_now(
    keep: bool,
    softplus: bool,
    order: Tensor,
    starts: Tensor,
    u: Tensor,
    low_rank: Tensor,
    delta_weight: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None,
    delta_bias: Tensor | None,
    support_keep: Tensor | None,
    support_state: Tensor | None,
) -> tuple[Tensor, Tensor, Tensor]:
    """(y, last state, states saved for the backward pass)."""
    loops = load_loops("map_loops")
    tensors = (u, low_rank, delta_weight, A, B, C, D, delta_bias, support_keep, support_state)
    (batch, pixels, channels), directions, states = u.shape, low_rank.shape[1], A.shape[1]
    items = batch * -(-channels // loops.LANES)
    tiles = 0
    if keep:
        tiles = int((starts.diff(dim=1) + loops.TILE - 1).div(loops.TILE, rounding_mode="floor")
                    .sum(1).max())  # fmt: skip
    y, last = empty(u.shape), empty((batch, directions * channels, states))
    saved = empty((items if keep else 0, directions, tiles, states, loops.LANES))
    problem = _problem(loops, tensors, softplus, order, starts)
    threads = threads_for(items, items * loops.LANES * directions * states * pixels)
    outputs = [t.numpy() for t in (y, last, saved)]
    share(threads, loops.forward, cut(items, threads), problem, *outputs)
    return y, last, saved


_map_scan = torch.library.custom_op("hmnet_kernels::map_scan_cpu", _map_scan_now, mutates_args=())


@_map_scan.register_fake
def _(keep, softplus, order, starts, u, low_rank, delta_weight, A, *others):
    last = u.new_empty(u.shape[0], low_rank.shape[1] * u.shape[2], A.shape[1])
    tiles = torch.library.get_ctx().new_dynamic_size() if keep else 0
    loops = load_loops("map_loops")
    items = u.shape[0] * -(-u.shape[2] // loops.LANES) if keep else 0
    saved = u.new_empty(items, low_rank.shape[1], tiles, A.shape[1], loops.LANES)
    return torch.empty_like(u), last, saved


@torch.library.custom_op("hmnet_kernels::map_scan_cpu_backward", mutates_args=())
def _map_scan_backward(
    grad_y: Tensor,
    grad_last: Tensor,
    saved: Tensor,
    softplus: bool,
    order: Tensor,
    starts: Tensor,
    u: Tensor,
    low_rank: Tensor,
    delta_weight: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None,
    delta_bias: Tensor | None,
    support_keep: Tensor | None,
    support_state: Tensor | None,
) -> list[Tensor]:
    """Gradients of the ten tensors, also of those that are not there."""
    loops = load_loops("map_loops")
    tensors = (u, low_rank, delta_weight, A, B, C, D, delta_bias, support_keep, support_state)
    (batch, pixels, channels), directions, states = u.shape, low_rank.shape[1], A.shape[1]
    lines, items = directions * channels, batch * -(-channels // loops.LANES)
    threads = threads_for(items, 3 * items * loops.LANES * directions * states * pixels)
    tasks, parts = cut_rows(items // max(batch, 1), batch, threads)
    state = (batch, lines, states)
    grads = loops.MapGradients(
        u=empty(u.shape),
        low_rank=empty((parts, *low_rank.shape)).zero_(),
        delta_weight=empty((batch, *delta_weight.shape)),
        A=empty(state),
        B=empty((parts, *B.shape)).zero_(),
        C=empty((parts, *B.shape)).zero_(),
        D=empty((batch, lines)),
        delta_bias=empty((batch, lines)),
        support_keep=empty(state),
        support_state=empty(state),
    )
    arrays = [t.numpy() for t in (saved, grad_y, grad_last)]
    problem = _problem(loops, tensors, softplus, order, starts)
    outputs = loops.MapGradients(*(t.numpy() for t in grads))
    share(threads, loops.backward, tasks, problem, *arrays, outputs)
    shared = ("low_rank", "delta_weight", "A", "B", "C", "D", "delta_bias")
    return list(grads._replace(**{name: getattr(grads, name).sum(0) for name in shared}))


@_map_scan_backward.register_fake
def _(grad_y, grad_last, saved, softplus, order, starts, u, low_rank, delta_weight, A, B, *others):
    lines, state = delta_weight.shape[0], (u.shape[0], delta_weight.shape[0], A.shape[1])
    like = (u, low_rank, delta_weight, A, B, B)
    shapes = (*(x.shape for x in like), (lines,), (lines,), state, state)
    return [u.new_empty(shape) for shape in shapes]


def _setup(ctx, inputs, output) -> None:
    _, ctx.softplus, *tensors = inputs
    ctx.save_for_backward(output[2], *tensors)
    ctx.set_materialize_grads(False)


def _differentiate(ctx, grad_y, grad_last, _):
    saved, order, starts, *tensors = ctx.saved_tensors
    u, low_rank, _, A, *_ = tensors
    grad_y = torch.zeros_like(u) if grad_y is None else grad_y.contiguous()
    if grad_last is None:
        grad_last = u.new_zeros(u.shape[0], low_rank.shape[1] * u.shape[2], A.shape[1])
    grads = _map_scan_backward(
        grad_y, grad_last.contiguous(), saved, ctx.softplus, order, starts, *tensors
    )
    given = zip(grads, tensors, strict=True)
    return *(None,) * 4, *(grad if tensor is not None else None for grad, tensor in given)


_map_scan.register_autograd(_differentiate, setup_context=_setup)
_map_scan_backward.register_autograd(refuse_twice)


def _problem(loops, tensors, softplus, order, starts):
    """The kernels' argument: arrays that share memory with the tensors."""
    none = {1: np.empty(0, np.float32), 3: np.empty((0, 0, 0), np.float32)}
    axes = [len(words.split()) for words in MAP_SHAPES.values()]
    arrays = [none[n] if t is None else t.numpy() for n, t in zip(axes, tensors, strict=True)]
    return loops.MapProblem(*arrays, softplus, order.numpy(), starts.numpy())

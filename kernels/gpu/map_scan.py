"""Scans of a 2-D map along several orders on a GPU, without one permuted copy; and QIM.

The twin of `hmnet_kernels.cpu.map_scan`: the map stays where it is, every direction reads it
through a list of pixel numbers and adds what it says to the outputs. Directions run one after the
other, so that two of them never add to a pixel at once and the same call gives the same bits. The
kernels are those of the plain scan.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.utils.weak import WeakIdKeyDictionary

from hmnet_kernels.checks import MAP_SHAPES, check_map_arguments, check_order, refuse_twice
from hmnet_kernels.gpu.launch import (
    Scan,
    count_chunks,
    room,
    scan_backward,
    scan_forward,
    steps_view,
)
from hmnet_kernels.gpu.scan import DTYPES
from hmnet_kernels.gpu.steps import INTERPRETED, View

Starts = tuple[tuple[int, ...], ...]


def map_scan_triton(
    u: Tensor,
    low_rank: Tensor,
    delta_weight: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None = None,
    *,
    order: Tensor,
    starts: Tensor | Starts | None = None,
    delta_bias: Tensor | None = None,
    delta_softplus: bool = False,
    recap: tuple[Tensor, Tensor] | None = None,
) -> tuple[Tensor, Tensor]:
    """As `map_scan_cpu`, for float32, bfloat16 or float16 CUDA tensors.

    Shapes and meaning are the same. `order` belongs on the tensors' device and must not be changed
    once it has been used: it is looked at the first time only, for looking makes the program wait.
    `starts` decides what is launched: numbers, or a tensor on the CPU, which torch.compile does not
    look through. The state is float32, y has u's dtype.

    Raises TypeError for other dtypes or devices, ValueError for shapes that do not fit or an order
    that is none.
    """
    P, S = (None, None) if recap is None else recap
    tensors = (u, low_rank, delta_weight, A, B, C, D, delta_bias, P, S)
    _check(tensors)
    directions, pixels = low_rank.shape[1:3]
    if starts is None:
        starts = ((0, pixels),) * directions
    y, last, _ = _run(delta_softplus, False, order, starts, *tensors)
    return y, last


def map_intercept_triton(
    u: Tensor,
    low_rank: Tensor,
    delta_weight: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None,
    state: Tensor,
    *,
    delta_bias: Tensor | None = None,
    delta_softplus: bool = False,
) -> Tensor:
    """One step from one state for every pixel (QIM): y = C·(exp(ΔA) ⊙ state) + (C·B)Δu + D u.

    As `map_scan_triton` with one direction, each of whose steps starts from `state` (batch,
    channels, state): low_rank (batch, 1, pixels, rank), B, C (batch, 1, pixels, state).

    Returns y (batch, pixels, channels).
    """
    tensors = (u, low_rank, delta_weight, A, B, C, D, delta_bias, state, state)
    _check(tensors)
    return _run(delta_softplus, True, None, ((0, u.shape[1]),), *tensors[:-2], None, state)[0]


def _check(tensors: tuple[Tensor | None, ...]) -> None:
    named = dict(zip(MAP_SHAPES, tensors, strict=True))
    check_map_arguments(named, dtypes=DTYPES, device="cpu" if INTERPRETED else "cuda")


def _run(softplus: bool, fresh: bool, order, starts, *tensors):
    keep = torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in tensors)
    run = _map_scan if keep or torch.compiler.is_compiling() else _map_scan_now
    lines = starts.tolist() if isinstance(starts, Tensor) else starts
    begins = [step for line in lines for step in line]  # as operators take them
    return run(keep, bool(softplus), fresh, order, begins, *tensors)


# By identity, for as long as the order lives: a captured graph goes on reading the kernels' own.
_checked_orders = WeakIdKeyDictionary()


def _checked(order: Tensor) -> Tensor:
    """An order as the kernels read it, 32 bits a pixel, once it has been looked at."""
    if order not in _checked_orders:
        directions, pixels = order.shape
        starts = torch.tensor([[0, pixels]], device="cpu").expand(directions, 2)
        check_order(order, starts, directions, pixels)
        _checked_orders[order] = order.to(torch.int32, memory_format=torch.contiguous_format)
    return _checked_orders[order]


def _map_scan_now(
    keep: bool,
    softplus: bool,
    fresh: bool,
    order: Tensor | None,
    starts: Sequence[int],
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
    """(y, last state, states saved for the backward pass); no states where every step is fresh."""
    tensors = (u, low_rank, delta_weight, A, B, C, D, delta_bias, support_keep, support_state)
    scan = _problem(softplus, fresh, order, starts, *tensors)
    y = room(scan, *u.shape)
    last = room(scan, *_last_shape(fresh, u, low_rank, A))
    saved = room(scan, *_saved_shape(keep and not fresh, starts, u, low_rank, A))
    with torch.cuda.device_of(u):
        wanted = (None, None) if fresh else (last, saved if keep else None)
        scan_forward(scan, _pixels_view(y), None, *wanted)
    return y.to(u.dtype), last, saved


_map_scan = torch.library.custom_op(
    "hmnet_kernels::map_scan_triton", _map_scan_now, mutates_args=()
)


@_map_scan.register_fake
def _(keep, softplus, fresh, order, starts, u, low_rank, delta_weight, A, *others):
    shapes = (
        _last_shape(fresh, u, low_rank, A),
        _saved_shape(keep and not fresh, starts, u, low_rank, A),
    )
    y = torch.empty_like(u, memory_format=torch.contiguous_format)
    return y, *(u.new_empty(shape, dtype=torch.float32) for shape in shapes)


@torch.library.custom_op("hmnet_kernels::map_scan_triton_backward", mutates_args=())
def _map_scan_backward(
    grad_y: Tensor,
    grad_last: Tensor | None,
    saved: Tensor,
    softplus: bool,
    fresh: bool,
    order: Tensor | None,
    starts: Sequence[int],
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
    """Gradients of the ten tensors; empty for those that are not there."""
    tensors = (u, low_rank, delta_weight, A, B, C, D, delta_bias, support_keep, support_state)
    scan = _problem(softplus, fresh, order, starts, *tensors)
    # Δ of one direction at a time has a gradient; two matrix products take it to its factors
    du, ddelta = (room(scan, *u.shape) for _ in range(2))
    dlow, dweight = room(scan, *low_rank.shape), room(scan, *delta_weight.shape)
    per_direction = delta_weight.float().unflatten(0, (scan.groups, -1))

    def to_factors(k: int) -> None:
        own = slice(k * scan.width, (k + 1) * scan.width)
        dlow[:, k] = ddelta @ per_direction[k]
        dweight[own] = torch.einsum("bpc,bpr->cr", ddelta, low_rank[:, k].float())

    views = [_pixels_view(t) for t in (grad_y, du, ddelta)]
    with torch.cuda.device_of(u), torch.autocast(u.device.type, enabled=False):
        found = scan_backward(
            scan, views[0], grad_last, None if fresh else saved, *views[1:], None, to_factors
        )
    named = (found[name] for name in ("A", "B", "C", "D", "bias", "P", "S"))
    given = zip([du, dlow, dweight, *named], tensors, strict=True)
    return [u.new_empty(0) if t is None else g.to(t.dtype) for g, t in given]


@_map_scan_backward.register_fake
def _(grad_y, grad_last, saved, softplus, fresh, order, starts, *tensors):
    plain = torch.contiguous_format
    return [
        tensors[0].new_empty(0) if t is None else torch.empty_like(t, memory_format=plain)
        for t in tensors
    ]


def _setup(ctx, inputs, output) -> None:
    _, ctx.softplus, ctx.fresh, order, ctx.starts, *tensors = inputs
    ctx.save_for_backward(output[2], order, *tensors)
    ctx.set_materialize_grads(False)


def _differentiate(ctx, grad_y, grad_last, _):
    saved, order, *tensors = ctx.saved_tensors
    grad_y = torch.zeros_like(tensors[0]) if grad_y is None else grad_y
    grad_last = None if ctx.fresh else grad_last
    grads = _map_scan_backward(
        grad_y, grad_last, saved, ctx.softplus, ctx.fresh, order, ctx.starts, *tensors
    )
    given = zip(grads, tensors, strict=True)
    return *(None,) * 5, *(grad if t is not None else None for grad, t in given)


_map_scan.register_autograd(_differentiate, setup_context=_setup)
_map_scan_backward.register_autograd(refuse_twice)


def _last_shape(fresh: bool, u: Tensor, low_rank: Tensor, A: Tensor) -> tuple[int, ...]:
    return 0 if fresh else u.shape[0], low_rank.shape[1] * u.shape[2], A.shape[1]


def _saved_shape(keep: bool, starts: Sequence[int], u: Tensor, low_rank: Tensor, A: Tensor):
    segments = len(starts) // low_rank.shape[1] - 1
    chunks = count_chunks(u.shape[1], segments) if keep else 0
    return u.shape[0], chunks, A.shape[1], low_rank.shape[1] * u.shape[2]


def _pixels_view(x: Tensor) -> View:
    """Of (batch, pixels, channels): every direction reads the same."""
    batch, time, line = x.stride()
    return View(x, batch, 0, time, line)


def _problem(
    softplus, fresh, order, starts, u, low_rank, weight, A, B, C, D, bias, P, S
) -> Scan:  # fmt: skip
    (batch, pixels, channels), directions = u.shape, low_rank.shape[1]
    order = None if order is None else _checked(order)
    A, weight, D, bias = (None if t is None else t.contiguous() for t in (A, weight, D, bias))
    each = len(starts) // directions
    segments = tuple(tuple(starts[i : i + each]) for i in range(0, len(starts), each))
    return Scan(
        _pixels_view(u), steps_view(low_rank), steps_view(B), steps_view(C), None, A, weight, D,
        bias, P, S, order, segments, softplus, batch, directions, channels, pixels,
        together=False, fresh=fresh,
    )  # fmt: skip

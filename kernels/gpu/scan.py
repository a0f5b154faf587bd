"""The selective scan on a GPU: what it takes, and the operators that run it.

The kernels are in `forward` and `backward`, how they are launched in `launch`, how they work in
kernels/README.md. With TRITON_INTERPRET=1 in the environment before the first import they run in
Python on CPU tensors: slow, but enough to test them without a GPU.
"""

import torch
from torch import Tensor

from hmnet_kernels.checks import check_arguments, refuse_twice
from hmnet_kernels.gpu.launch import (
    Scan,
    count_chunks,
    room,
    scan_backward,
    scan_forward,
    steps_view,
)
from hmnet_kernels.gpu.steps import INTERPRETED, View

DTYPES = (torch.float32, torch.bfloat16, torch.float16)


def selective_scan_triton(
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None = None,
    initial_state: Tensor | None = None,
    *,
    z: Tensor | None = None,
    delta_bias: Tensor | None = None,
    delta_softplus: bool = False,
    recap: tuple[Tensor, Tensor] | None = None,
    segment: int | None = None,
    return_last_state: bool = False,
):
    """As `selective_scan_cpu`, for float32, bfloat16 or float16 CUDA tensors, in any mixture.

    Shapes and meaning are the same; z: (batch, channels, length), a gate: y is multiplied by
    SiLU(z). Whatever their strides, tensors are read where they lie: u may be channels-last. The
    state is always float32; y has u's dtype, and last_state is float32.

    Raises TypeError for other dtypes or devices, ValueError for shapes that do not fit.
    """
    tensors = check_arguments(
        u, delta, A, B, C, D, delta_bias, initial_state, recap, segment,
        dtypes=DTYPES, device="cpu" if INTERPRETED else "cuda",
    )  # fmt: skip
    if z is not None and (z.shape != u.shape or z.device != u.device or z.dtype not in DTYPES):
        raise ValueError(
            f"z is {z.dtype} {tuple(z.shape)} on {z.device}, expected u's shape {tuple(u.shape)} "
            f"on {u.device}"
        )
    keep = torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in (*tensors, z))
    step = max(u.shape[2], 1) if segment is None else segment
    run = _scan if keep or torch.compiler.is_compiling() else _scan_now
    y, last, _ = run(keep, step, bool(delta_softplus), *tensors, z)
    return (y, last) if return_last_state else y


# An operator of its own, so that torch.compile, torch.export and autocast take it whole; without
# gradients the function itself, as in `hmnet_kernels.cpu.scan`.


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
    z: Tensor | None,
) -> tuple[Tensor, Tensor, Tensor]:
    """(y, last state, states saved for the backward pass)."""
    batch, channels, _ = u.shape
    tensors = (u, delta, A, B, C, D, delta_bias, support_keep, support_state, z)
    scan = _problem(segment, softplus, *tensors)
    y = torch.empty_like(u)
    last = room(scan, batch, channels, scan.states)
    saved = room(scan, *_saved_shape(keep, segment, u, A))
    with torch.cuda.device_of(u):
        scan_forward(scan, lines_view(y, scan.groups), initial_state, last, saved if keep else None)
    return y, last, saved


_scan = torch.library.custom_op("hmnet_kernels::scan_triton", _scan_now, mutates_args=())


@_scan.register_fake
def _(keep, segment, softplus, u, delta, A, *others):
    def fresh(*shape):
        return u.new_empty(shape, dtype=torch.float32)

    last = fresh(u.shape[0], u.shape[1], A.shape[1])
    return torch.empty_like(u), last, fresh(*_saved_shape(keep, segment, u, A))


@torch.library.custom_op("hmnet_kernels::scan_triton_backward", mutates_args=())
def _scan_backward(
    grad_y: Tensor,
    grad_last: Tensor | None,
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
    support_keep: Tensor | None,
    support_state: Tensor | None,
    z: Tensor | None,
) -> list[Tensor]:
    """Gradients of the tensors from u to z and, last, of the initial state; also of those that are
    not there, as empty tensors."""
    tensors = (u, delta, A, B, C, D, delta_bias, support_keep, support_state, z)
    scan = _problem(segment, softplus, *tensors)
    du, ddelta = torch.empty_like(u), torch.empty_like(delta)
    dz = None if z is None else torch.empty_like(z)
    views = [None if t is None else lines_view(t, scan.groups) for t in (grad_y, du, ddelta, dz)]
    with torch.cuda.device_of(u):
        found = scan_backward(scan, views[0], grad_last, saved, *views[1:])
    dB, dC = (found[name].mT.contiguous() for name in "BC")
    grads = [du, ddelta, found["A"], dB, dC, found["D"], found["bias"], found["P"], found["S"], dz]
    given = zip([*grads, found["initial_state"]], [*tensors, last_like(u, A)], strict=True)
    return [u.new_empty(0) if t is None else g.to(t.dtype) for g, t in given]


@_scan_backward.register_fake
def _(grad_y, grad_last, saved, segment, softplus, *tensors):
    u, _, A, *_ = tensors
    everything = [*tensors, u.new_empty((u.shape[0], *A.shape), dtype=torch.float32)]
    return [
        u.new_empty(0) if t is None else (torch.empty_like(t) if i in (0, 1, 9) else
        torch.empty_like(t, memory_format=torch.contiguous_format))
        for i, t in enumerate(everything)
    ]  # fmt: skip


def last_like(u: Tensor, A: Tensor) -> Tensor:
    """What an initial state is like: (batch, lines, states), float32, with no memory behind it."""
    return torch.empty((u.shape[0], *A.shape), dtype=torch.float32, device="meta")


def _setup(ctx, inputs, output) -> None:
    _, ctx.segment, ctx.softplus, *tensors = inputs
    ctx.start = tensors.pop(7)  # the initial state, whose value is in `saved`
    ctx.start = None if ctx.start is None else ctx.start.dtype
    ctx.save_for_backward(output[2], *tensors)
    ctx.set_materialize_grads(False)


def _differentiate(ctx, grad_y, grad_last, _):
    saved, *tensors = ctx.saved_tensors
    u = tensors[0]
    grad_y = torch.zeros_like(u) if grad_y is None else grad_y
    grads = _scan_backward(grad_y, grad_last, saved, ctx.segment, ctx.softplus, *tensors)
    *grads, start = grads
    grads = [g if t is not None else None for g, t in zip(grads, tensors, strict=True)]
    grads.insert(7, None if ctx.start is None else start.to(ctx.start))
    return None, None, None, *grads


_scan.register_autograd(_differentiate, setup_context=_setup)
_scan_backward.register_autograd(refuse_twice)


def lines_view(x: Tensor, groups: int) -> View:
    """Of (batch, channels, length)."""
    batch, channel, time = x.stride()
    return View(x, batch, channel * (x.shape[1] // groups), time, channel)


def _saved_shape(keep: bool, segment: int, u: Tensor, A: Tensor) -> tuple[int, ...]:
    batch, channels, length = u.shape
    chunks = count_chunks(length, -(-length // segment)) if keep else 0
    return batch, chunks, A.shape[1], channels


def _by_step(x: Tensor, width: int) -> Tensor:
    """B or C (batch, groups, state, length) as (batch, groups, length, state), a step's row in one
    piece: copied where it is none and many channels share it, so that it is small beside u."""
    return x.mT if x.stride(2) == 1 or width < x.shape[2] else x.mT.contiguous()


def _problem(segment, softplus, u, delta, A, B, C, D, bias, P, S, z) -> Scan:
    batch, channels, length = u.shape
    groups = B.shape[1]
    u, delta, z = (None if t is None else lines_view(t, groups) for t in (u, delta, z))
    B, C = (steps_view(_by_step(t, channels // groups)) for t in (B, C))
    A, D, bias = (None if t is None else t.contiguous() for t in (A, D, bias))
    starts = (*range(0, length, segment), length)
    return Scan(
        u, delta, B, C, z, A, None, D, bias, P, S, None, (starts,), softplus, batch, groups,
        channels // groups, length, together=True,
    )  # fmt: skip

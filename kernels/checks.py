"""The argument checks that every kernel shares: errors name the argument and the mend."""

import torch
from torch import Tensor


def check_arguments(
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None,
    delta_bias: Tensor | None,
    initial_state: Tensor | None,
    recap: tuple[Tensor, Tensor] | None,
    segment: int | None,
    *,
    dtypes: tuple,
    device: str,
) -> list[Tensor | None]:
    """The ten tensors of a scan in this order, the pair of recap last, once they fit together.

    Raises TypeError for dtypes or devices the kernel does not take and ValueError for shapes,
    group counts or segments that do not fit.
    """
    tensors = {"u": u, "delta": delta, "A": A, "B": B, "C": C, "D": D, "delta_bias": delta_bias}
    P, S = (None, None) if recap is None else recap
    tensors |= {"initial_state": initial_state, "recap[0]": P, "recap[1]": S}
    given = {name: t for name, t in tensors.items() if t is not None}
    for name, t in given.items():
        _check_kind(name, t, dtypes, device)
    if u.ndim != 3 or A.ndim != 2 or B.ndim != 4:
        raise ValueError(
            "expected u (batch, channels, length), A (channels, state) and B (batch, groups, "
            f"state, length), got u {tuple(u.shape)}, A {tuple(A.shape)}, B {tuple(B.shape)}"
        )
    (batch, channels, length), state, groups = u.shape, A.shape[1], B.shape[1]
    expected = {"delta": (batch, channels, length), "A": (channels, state)}
    expected["D"] = expected["delta_bias"] = (channels,)
    expected["B"] = expected["C"] = (batch, groups, state, length)
    expected |= dict.fromkeys(("initial_state", "recap[0]", "recap[1]"), (batch, channels, state))
    for name, shape in expected.items():
        if name in given and tuple(given[name].shape) != shape:
            raise ValueError(
                f"{name} has shape {tuple(given[name].shape)}, expected {shape} "
                f"to match u {tuple(u.shape)}, A {tuple(A.shape)} and B {tuple(B.shape)}"
            )
    if groups == 0 or channels % groups:
        raise ValueError(
            f"B and C have {groups} groups (their axis 1), which must divide the {channels} "
            "channels of u"
        )
    if (recap is None) != (segment is None):
        raise ValueError("recap and segment go together: give both or neither")
    if segment is not None and segment < 1:
        raise ValueError(f"segment is {segment}, expected at least 1 step between recaps")
    return list(tensors.values())


def _check_kind(name: str, t: Tensor, dtypes: tuple, device: str) -> None:
    if t.dtype not in dtypes or t.device.type != device:
        raise TypeError(
            f"{name} is {t.dtype} on {t.device}; this kernel needs "
            f"{' or '.join(map(str, dtypes))} on {device}: "
            f"convert with {name}.float().to('{device}'), or use another backend"
        )


MAP_SHAPES = {
    "u": "batch pixels channels",
    "low_rank": "batch directions pixels rank",
    "delta_weight": "lines rank",
    "A": "lines state",
    "B": "batch directions pixels state",
    "C": "batch directions pixels state",
    "D": "lines",
    "delta_bias": "lines",
    "recap[0]": "batch lines state",
    "recap[1]": "batch lines state",
}


def check_map_arguments(tensors: dict[str, Tensor | None], *, dtypes: tuple, device: str) -> None:
    """Dtypes, the device, and the shapes that u, low_rank and A call for.

    Raises as `check_arguments`.
    """
    given = {name: t for name, t in tensors.items() if t is not None}
    for name, t in given.items():
        _check_kind(name, t, dtypes, device)
        words = MAP_SHAPES[name].split()
        if t.ndim != len(words):
            raise ValueError(f"{name} has shape {tuple(t.shape)}, expected ({', '.join(words)})")
    (batch, pixels, channels), (_, directions, _, rank) = given["u"].shape, given["low_rank"].shape
    sizes = dict(batch=batch, pixels=pixels, channels=channels, directions=directions)
    sizes |= dict(lines=directions * channels, state=given["A"].shape[1], rank=rank)
    for name, t in given.items():
        words = MAP_SHAPES[name].split()
        expected = tuple(sizes[word] for word in words)
        if tuple(t.shape) != expected:
            raise ValueError(
                f"{name} has shape {tuple(t.shape)}, expected ({', '.join(words)}) = {expected} "
                f"to match u {tuple(given['u'].shape)}, low_rank "
                f"{tuple(given['low_rank'].shape)} and A {tuple(given['A'].shape)}"
            )
    if ("recap[0]" in given) != ("recap[1]" in given):
        raise ValueError("recap is a pair (P, S); give both or neither")


def check_order(order: Tensor, starts: Tensor, directions: int, pixels: int) -> None:
    """The kernels check no bounds, so a wrong order must not reach them; ValueError for one."""
    if order.dtype != torch.int64 or tuple(order.shape) != (directions, pixels):
        raise ValueError(
            f"order is {order.dtype} {tuple(order.shape)}, expected int64 (directions, pixels) = "
            f"({directions}, {pixels})"
        )
    if not torch.equal(
        order.sort(dim=1).values, torch.arange(pixels, device=order.device).expand(directions, -1)
    ):
        raise ValueError(f"order must name each of the {pixels} pixels once in every direction")
    steps = starts.diff(dim=-1)
    fits = starts.dtype == torch.int64 and starts.ndim == 2 and len(starts) == directions
    if (
        not fits
        or (starts[:, 0] != 0).any()
        or (starts[:, -1] != pixels).any()
        or (steps < 0).any()
    ):
        raise ValueError(
            f"starts is {starts.dtype} {tuple(starts.shape)}, expected int64 (directions, "
            f"segments + 1), rising from 0 to {pixels} in each of the {directions} directions"
        )


def refuse_twice(ctx, *gradients) -> None:
    """Derivative of a backward pass: there is none.

    Raises RuntimeError.
    """
    raise RuntimeError(
        "cannot differentiate twice through a compiled scan: a gradient of a gradient needs one "
        "written in torch (of hmnet_lite's, backend='reference')"
    )

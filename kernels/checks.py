"""The argument checks that every kernel shares: errors name the argument and the mend."""

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
        if t.dtype not in dtypes or t.device.type != device:
            raise TypeError(
                f"{name} is {t.dtype} on {t.device}; this kernel needs "
                f"{' or '.join(map(str, dtypes))} on {device}: "
                f"convert with {name}.float().to('{device}'), or use another backend"
            )
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


def refuse_twice(ctx, *gradients) -> None:
    """Derivative of a backward pass: there is none.

    Raises RuntimeError.
    """
    raise RuntimeError(
        "cannot differentiate twice through a compiled scan: a gradient of a gradient needs one "
        "written in torch (of hmnet_lite's, backend='reference')"
    )

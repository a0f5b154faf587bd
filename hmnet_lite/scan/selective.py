"""The definition of the selective scan, and the one door to every implementation of it.

The recurrence (Gu and Dao, "Mamba", 2023, eq. 2a-2b with their implementation's B̄ = ΔB):

    h_t = exp(Δ_t A) ⊙ h_{t-1} + Δ_t u_t B_t          y_t = C_t · h_t + D u_t

Channels are independent; group g of B and C serves channels g·c/G to (g+1)·c/G - 1.
"""

from __future__ import annotations

import math
import warnings

import torch
import torch.nn.functional as F
from einops import rearrange, repeat
from torch import Tensor

from hmnet_lite.scan.backends import COMPILED, compiled_scan, is_transformed, resolve
from hmnet_lite.scan.chunked import chunked_scan

_warned_growing = _looked_on_gpu = False


def selective_scan(
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None = None,
    z: Tensor | None = None,
    delta_bias: Tensor | None = None,
    delta_softplus: bool = False,
    return_last_state: bool = False,
    *,
    initial_state: Tensor | None = None,
    recap: tuple[Tensor, Tensor, int] | None = None,
    return_states: bool = False,
    backend: str = "auto",
) -> Tensor | tuple[Tensor, ...]:
    """Run the selective scan; drops in for mamba-ssm's `selective_scan_fn`.

    Args:
        u: (batch, channels, length) input; float32, float64, bfloat16 or float16. The state is
            float32 whatever the input; float64 for a float64 u, which only "reference" and
            "chunked" take. The other arguments may not be more exact than that state.
        delta: (batch, channels, length) step size.
        A: (channels, state), real and negative (other values are allowed, warned about once; on
            a GPU only the first A is looked at, for looking makes the program wait).
        B, C: (batch, groups, state, length); also (batch, state, length) for one group, and
            (channels, state) for values that do not depend on the input, as in mamba-ssm.
        D: (channels,) skip, or None.
        z: (batch, channels, length) gate, or None: the output is multiplied by SiLU(z).
        delta_bias: (channels,) added to delta before the softplus.
        delta_softplus: pass delta through softplus.
        return_last_state: also return h after the last step.
        initial_state: (batch, channels, state) h before the first step; zeros when None.
        recap: (support_keep, support_state, segment), hybrid Mamba's recap (paper, eq. 5-8): before
            steps 0, segment, 2·segment, … h ← support_keep ⊙ h + support_state. Both are (batch,
            channels, state), from `read_support`; the segment divides the length.
        return_states: also return every h_t, (batch, channels, length, state). This is the one
            option whose memory grows with channels x length x state.
        backend: "auto" or one of `hmnet_lite.scan.backends.BACKENDS`; `choose_backend` says what
            "auto" takes and why.

    Returns:
        y (batch, channels, length) in u's dtype; or a tuple (y[, last_state][, states]).
        Everything is differentiable in every tensor argument, once: a gradient of a gradient
        needs backend="reference", which is also what `torch.func` (vmap, grad, jvp) gets.

    Raises:
        TypeError, ValueError: an argument of the wrong type, shape, dtype or device, named.
        ImportError: the backend asked for is not installed.
    """
    check_scan_arguments(u, delta, A, B, C, D, z, delta_bias, initial_state, recap)
    given = (u, delta, A, B, C, D, z, delta_bias, initial_state, *(recap or ())[:2])
    trained = torch.is_grad_enabled() and any(x is not None and x.requires_grad for x in given)
    needs = dict(
        initial_state=initial_state is not None or recap is not None,
        last_state_gradient=return_last_state and trained,
        return_states=return_states,
        transformed=is_transformed(*given),
    )
    backend = resolve(backend, u, **needs)

    dtype = torch.float64 if u.dtype == torch.float64 else torch.float32
    # Triton's kernel reads half precision as it is, in any layout, and does the gate as it goes
    as_given = backend == "triton"
    batch, channels, length = u.shape
    A, delta = A.to(dtype), delta if as_given else delta.to(dtype)
    bias, skip, start = (None if x is None else x.to(dtype) for x in (delta_bias, D, initial_state))
    if recap is not None:
        recap = recap[0].to(dtype), recap[1].to(dtype), recap[2]
    B, C = (_with_groups(x if as_given else x.to(dtype), batch, length) for x in (B, C))
    if B.shape[1] != C.shape[1]:  # one of them constant: give every channel its own group
        B, C = (repeat(x, "b g n l -> b (g c) n l", c=channels // x.shape[1]) for x in (B, C))

    if backend in COMPILED:  # these add the bias and take the softplus as they go
        states = None
        options = {} if recap is None else {"recap": recap[:2], "segment": recap[2]}
        if as_given:
            options["z"], z = z, None
        y, last_state = compiled_scan(backend)(
            u if as_given else u.to(dtype), delta, A, B, C, skip, start, delta_bias=bias,
            delta_softplus=delta_softplus, return_last_state=True, **options,
        )  # fmt: skip
    else:
        delta = delta if bias is None else delta + bias[:, None]
        delta = F.softplus(delta) if delta_softplus else delta
        core = reference_scan if backend == "reference" else chunked_scan
        y, last_state, states = core(u.to(dtype), delta, A, B, C, skip, start, return_states, recap)
    if z is not None:
        y = y * F.silu(z.to(dtype))
    extras = [last_state] * return_last_state + [states] * return_states
    return (y.to(u.dtype), *extras) if extras else y.to(u.dtype)


def reference_scan(u, delta, A, B, C, D=None, initial_state=None, return_states=False, recap=None):
    """The definition of truth: one line of Python for each line of the recurrence.

    Shapes as in `selective_scan` with B, C (batch, groups, state, length) and delta already
    positive. Returns (y, last_state, states or None). Slow on purpose; autograd does the rest.
    """
    batch, channels, _ = u.shape
    per_channel = channels // B.shape[1]
    B, C = (repeat(x, "b g n l -> b (g c) n l", c=per_channel) for x in (B, C))
    h = u.new_zeros(batch, channels, A.shape[1]) if initial_state is None else initial_state
    # For thousands of tiny steps in float32: e^x as 2^(x log2 e), because torch's exp is 3e-9 too
    # small near 1, and addcmul, which rounds once, because rounding decay * h drifts as well.
    A = A * math.log2(math.e)
    # cut by unbind: with an index in each step, the backward grows with the square of the length
    steps = (x.unbind(-1) for x in (delta, delta * u, B, C))
    ys, states = [], []
    for t, (delta_t, drive_t, B_t, C_t) in enumerate(zip(*steps, strict=True)):
        if recap is not None and t % recap[2] == 0:
            h = torch.addcmul(recap[1], recap[0], h)  # support_keep ⊙ h + support_state
        decay = torch.exp2(delta_t[..., None] * A)  # (b, c, n)
        h = torch.addcmul(drive_t[..., None] * B_t, decay, h)  # decay ⊙ h + Δ u B: (b, c, n)
        ys.append((h * C_t).sum(-1))  # (b, c)
        if return_states:
            states.append(h)
    y = torch.stack(ys, dim=-1) if ys else u * 1.0
    if D is not None:
        y = y + D[:, None] * u
    if not return_states:
        return y, h, None
    empty = u.new_zeros(batch, channels, 0, A.shape[1])
    return y, h, torch.stack(states, dim=2) if states else empty


def _with_groups(x: Tensor, batch: int, length: int) -> Tensor:
    """B or C in any of mamba-ssm's three layouts → (batch, groups, state, length)."""
    if x.ndim == 2:  # (channels, state): constant, one group per channel
        return x[None, :, :, None].expand(batch, -1, -1, length)
    return rearrange(x, "b n l -> b 1 n l") if x.ndim == 3 else x


def check_scan_arguments(
    u, delta, A, B, C, D=None, z=None, delta_bias=None, initial_state=None, recap=None
):
    """Raise a TypeError or ValueError that names the argument, its shape and the one expected."""
    given = dict(u=u, delta=delta, A=A, B=B, C=C, D=D, z=z)
    given |= dict(delta_bias=delta_bias, initial_state=initial_state)
    if recap is not None:
        if not isinstance(recap, tuple | list) or len(recap) != 3:
            raise TypeError(
                f"recap is a {type(recap).__name__}; expected the three (support_keep, "
                "support_state, segment): tensors (batch, channels, state) and a number of steps"
            )
        given |= dict(zip(("support_keep", "support_state"), recap[:2], strict=True))
    for name, x in given.items():
        if x is None and name in ("D", "z", "delta_bias", "initial_state"):
            continue
        if not isinstance(x, Tensor):
            raise TypeError(f"{name} is a {type(x).__name__}; expected a torch.Tensor")
        if x.layout != torch.strided:
            raise TypeError(f"{name} is {x.layout}; expected a dense tensor: {name}.to_dense()")
        if not x.is_floating_point():
            raise TypeError(
                f"{name} has dtype {x.dtype}; expected a real floating dtype "
                "(complex and integer scans are not supported: convert with .float())"
            )
        if x.device != u.device:
            raise ValueError(
                f"{name} is on {x.device} but u is on {u.device}; move it with .to(u.device)"
            )
        if x.dtype == torch.float64 != u.dtype:
            raise TypeError(
                f"{name} has dtype torch.float64 but u has {u.dtype}, so the scan would round it "
                "to float32; scan in float64 with u.double(), or round it yourself with "
                f"{name}.float()"
            )
    if u.ndim != 3:
        raise ValueError(f"u has shape {tuple(u.shape)}; expected (batch, channels, length)")
    batch, channels, length = u.shape
    if A.ndim != 2 or A.shape[0] != channels:
        raise ValueError(
            f"A has shape {tuple(A.shape)}; expected (channels={channels}, state) to go with u"
        )
    state = A.shape[1]

    def expect(name: str, x: Tensor | None, shape: tuple[int, ...], words: str) -> None:
        if x is not None and tuple(x.shape) != shape:
            raise ValueError(f"{name} has shape {tuple(x.shape)}; expected {words} = {shape}")

    expect("delta", delta, (batch, channels, length), "u's shape (batch, channels, length)")
    expect("z", z, (batch, channels, length), "u's shape (batch, channels, length)")
    expect("D", D, (channels,), "(channels,)")
    expect("delta_bias", delta_bias, (channels,), "(channels,)")
    for name in ("initial_state", "support_keep", "support_state"):
        expect(name, given.get(name), (batch, channels, state), "(batch, channels, state)")
    if recap is not None and not (
        isinstance(recap[2], int) and recap[2] >= 1 and length % recap[2] == 0
    ):
        raise ValueError(
            f"segment={recap[2]} does not divide the {length} query steps; every patch must have "
            "the same number of pixels"
        )
    for name, x in (("B", B), ("C", C)):
        if x.ndim == 2:
            expect(name, x, (channels, state), "(channels, state)")
        elif x.ndim == 3:
            expect(name, x, (batch, state, length), "(batch, state, length)")
        elif x.ndim == 4:
            groups = x.shape[1]
            expect(name, x, (batch, groups, state, length), "(batch, groups, state, length)")
            if groups == 0 or channels % groups:
                raise ValueError(
                    f"{name} has {groups} groups, which do not divide the {channels} channels "
                    "of u; each group must serve the same number of channels"
                )
        else:
            raise ValueError(
                f"{name} has shape {tuple(x.shape)}; expected (batch, groups, state, length)"
            )
    if B.ndim == C.ndim == 4 and B.shape[1] != C.shape[1]:
        raise ValueError(f"B has {B.shape[1]} groups and C has {C.shape[1]}; they must be equal")
    _warn_if_growing(A)


def _warn_if_growing(A: Tensor) -> None:
    global _warned_growing, _looked_on_gpu
    if torch.compiler.is_compiling() or A.is_meta or is_transformed(A):
        return  # a graph cannot depend on values
    if _warned_growing or (A.device.type != "cpu" and _looked_on_gpu):
        return
    _looked_on_gpu = _looked_on_gpu or A.device.type != "cpu"
    if bool((A.detach() >= 0).any()):
        _warned_growing = True
        warnings.warn(
            f"A has entries >= 0 (largest {A.max().item():.3g}): with a positive step the state "
            "grows instead of decaying. Mamba uses A = -exp(A_log). (Said once.)",
            stacklevel=3,
        )

"""Two oracles for the selective scan: mamba-ssm's own reference, and a plain float64 loop."""

import torch
import torch.nn.functional as F
from torch import Tensor

from hmnet_kernels.bench.references import mamba_ssm_reference

__all__ = ["loop64", "mamba_ssm_reference"]


def loop64(
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None = None,
    z: Tensor | None = None,
    delta_bias: Tensor | None = None,
    delta_softplus: bool = False,
    *,
    initial_state: Tensor | None = None,
    recap: tuple[Tensor, Tensor] | None = None,
    segment: int | None = None,
    return_states: bool = False,
) -> tuple[Tensor, Tensor]:
    """The scan's definition, one step at a time in float64. Returns y and the last state, or with
    return_states every state, (batch, channels, length, state).

    u, delta, z: (batch, channels, length); A: (channels, state);
    B, C: (batch, groups, state, length); D, delta_bias: (channels,);
    initial_state and both of recap: (batch, channels, state).
    """
    u, delta, A, B, C = (t.double() for t in (u, delta, A, B, C))
    if delta_bias is not None:
        delta = delta + delta_bias.double()[:, None]
    if delta_softplus:
        delta = F.softplus(delta)
    B, C = (t.repeat_interleave(u.shape[1] // t.shape[1], 1).unbind(-1) for t in (B, C))
    h = u.new_zeros(u.shape[0], *A.shape) if initial_state is None else initial_state.double()
    ys, states = [], []
    for t, (ut, dt) in enumerate(zip(u.unbind(-1), delta.unbind(-1), strict=True)):
        if recap is not None and t % segment == 0:
            h = recap[0].double() * h + recap[1].double()
        h = torch.exp(dt[..., None] * A) * h + (dt * ut)[..., None] * B[t]
        ys.append((C[t] * h).sum(-1))
        states.append(h)
    y = torch.stack(ys, -1) if ys else u * 1.0
    if D is not None:
        y = y + D.double()[:, None] * u
    if z is not None:
        y = y * F.silu(z.double())
    return y, torch.stack(states, 2) if return_states else h

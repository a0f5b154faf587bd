"""From a differential equation to a recurrence, by three rules; in numpy, for small systems.

    h'(t) = A h(t) + B u(t)   →   h_t = Ā h_{t-1} + B̄ u_t

The input u_t is held for one step of length Δ, which ends at time t·Δ.

    rule     Ā          B̄
    zoh      exp(ΔA)    A⁻¹ (exp(ΔA) - 1) B   exact for such an input ("zero-order hold")
    euler    1 + ΔA     Δ B                   both exponentials cut after their first term
    mamba    exp(ΔA)    Δ B                   what Mamba's code computes (its paper: zoh)
"""

from __future__ import annotations

import numpy as np
import torch

RULES = ("zoh", "euler", "mamba")


def discretise(
    A: np.ndarray, B: np.ndarray, delta: float, rule: str = "zoh"
) -> tuple[np.ndarray, np.ndarray]:
    """Ā and B̄ for a step of length `delta`.

    Args:
        A: (state, state).
        B: (state,).
        delta: positive, in the unit of time of A.
        rule: one of `RULES`.

    Returns:
        Ā (state, state) and B̄ (state,), float64.

    Raises:
        ValueError: shapes that do not fit, a step that is not positive, another rule.
    """
    A, B = np.asarray(A, float), np.asarray(B, float)
    if A.ndim != 2 or A.shape != (len(B), len(B)) or B.ndim != 1:
        raise ValueError(f"A has shape {A.shape} and B {B.shape}; expected (n, n) and (n,)")
    if not delta > 0:
        raise ValueError(f"delta is {delta}; expected a positive step")
    if rule not in RULES:
        raise ValueError(f"rule is {rule!r}; expected one of {', '.join(RULES)}")
    n = len(B)
    # The input is one more state that never changes: exp of the joint system holds both, and
    # nothing is divided by A, which may be singular.
    joint = np.zeros((n + 1, n + 1))
    joint[:n, :n], joint[:n, n] = delta * A, delta * B
    exact = torch.linalg.matrix_exp(torch.from_numpy(joint)).numpy()
    A_bar = np.eye(n) + delta * A if rule == "euler" else exact[:n, :n]
    B_bar = exact[:n, n] if rule == "zoh" else delta * B
    return A_bar, B_bar


def recurrence(A_bar: np.ndarray, B_bar: np.ndarray, inputs: np.ndarray) -> np.ndarray:
    """States (length + 1, state) from zero, the first being that zero."""
    states = [np.zeros(len(B_bar))]
    for u in inputs:
        states.append(A_bar @ states[-1] + B_bar * u)
    return np.stack(states)

"""Checks of the exercises on scan algorithms (notebook 02)."""

from __future__ import annotations

from collections.abc import Callable

import torch

from hmnet_lite.scan.selective import selective_scan
from hmnet_lite.scan.tree import tree_joins
from hmnet_lite.workbook.exercises.parts import call, exercise


@exercise
def tree_cost(function: Callable[[int], tuple[int, int]]) -> str:
    """Joins and rounds of the odd-even tree scan, for a length that is a power of two."""
    for length in (2, 4, 8, 64, 1024):
        given = call(function, length)
        if not isinstance(given, tuple) or len(given) != 2:
            raise AssertionError("Return a pair: (joins, rounds).")
        rounds = tree_joins(length)
        expected = sum(map(len, rounds)), len(rounds)
        if tuple(map(float, given)) == tuple(map(float, expected)):
            continue
        log = length.bit_length() - 1
        if given[0] == length - 1 and length > 2:
            raise AssertionError(
                f"For length {length} that is the way up only, which finishes the prefixes of "
                "lengths 1, 2, 4, 8, …; the others are joined on the way down."
            )
        if given[0] in (length * log, length * log - length + 1):
            raise AssertionError(
                "That is the cost of joining every step in every round (Hillis and Steele's scan); "
                "our rounds have half as many joins, and half again, …"
            )
        raise AssertionError(
            f"For length {length} it gives {given[0]} joins in {given[1]} rounds; the tree has "
            f"{expected[0]} in {expected[1]}. Count the joins of each round in the picture."
        )
    return "1,024 steps need 2,036 joins, hardly two a step, and only 19 rounds."


@exercise
def add_carry(function: Callable) -> str:
    """Outputs of a scan from zero, corrected for the state that it should have begun with."""
    g = torch.Generator().manual_seed(0)
    channels, state, length = 3, 4, 10
    u, raw = torch.randn(2, channels, length, generator=g, dtype=torch.float64)
    B, C = torch.randn(2, state, length, generator=g, dtype=torch.float64)
    h = torch.randn(channels, state, generator=g, dtype=torch.float64)
    delta = 0.05 + 0.3 * raw.sigmoid()
    A = -torch.arange(1.0, state + 1, dtype=torch.float64).repeat(channels, 1)
    scan = (u[None], delta[None], A, B[None], C[None])
    y = selective_scan(*scan)[0]
    wanted = selective_scan(*scan, initial_state=h[None])[0]
    given = call(function, y, delta, A, C, h)
    if tuple(given.shape) != tuple(y.shape):
        raise AssertionError(
            f"It returns the shape {tuple(given.shape)}; expected y's (channels, length) = "
            f"{tuple(y.shape)}."
        )

    def read(elapsed):
        return y + torch.einsum("nl,cnl,cn->cl", C, torch.exp(elapsed[:, None] * A[..., None]), h)

    if torch.allclose(given, wanted):
        return "The corrected outputs are those of the scan that began with h."
    if torch.allclose(given, read(0 * delta)):
        raise AssertionError("You read h as if it never decayed.")
    if torch.allclose(given, read(delta)):
        raise AssertionError(
            "You let h decay by one step only; by step t it has decayed through all steps up to t: "
            "Δ adds up."
        )
    if torch.allclose(given, read(delta.cumsum(-1) - delta)):
        raise AssertionError("Nearly: the first step already decays h before it reads.")
    if torch.allclose(given, wanted - y):
        raise AssertionError("That is what h adds; add it to y.")
    raise AssertionError(
        "Other outputs than those of the scan that began with h. By linearity, add C_t · (what is "
        "left of h at step t)."
    )

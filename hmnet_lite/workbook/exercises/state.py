"""Checks of the exercises on states and recaps (notebook 04): the scan itself decides."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from hmnet_lite.mamba.hybrid import read_support
from hmnet_lite.scan.selective import selective_scan
from hmnet_lite.workbook.exercises.parts import call, exercise


@exercise
def half_life(function: Callable[[float, float], float]) -> str:
    """After how many steps half of a state entry is left, for a constant step size."""
    for delta, A in ((0.05, -1.0), (0.01, -4.0), (0.002, -1.0)):
        given = float(call(function, delta, A))
        if given <= 0:
            raise AssertionError(
                f"For Δ = {delta} and A = {A} it gives {given:.1f} steps; expected more than 0: "
                "A is negative, and so is the logarithm of 1/2."
            )
        state = _decay_of_one(delta, A, steps=2000)
        left = float(state[min(round(given), len(state)) - 1]) if given >= 0.5 else 1.0
        assert abs(left - 0.5) < 0.03, (
            f"For Δ = {delta} and A = {A} it gives {given:.1f} steps, and the scan then still has "
            f"{100 * left:.0f} % of the state; expected about 50 %."
        )
    return "The scan has half of its state left when you say so."


@exercise
def then(function: Callable) -> str:
    """Two recaps in a row as one: (P, H_S) of `first` and `second` to (P, H_S) of both."""
    scans = [_random_scan(length, seed) for seed, length in enumerate((7, 4, 9))]
    maps = [read_support(*scan)[1:] for scan in scans]
    start = torch.randn(1, 3, 2, generator=torch.Generator().manual_seed(9))
    P, H_S = _pair(call(function, maps[0], maps[1]))
    wanted = _read(scans[:2], start)
    if not torch.allclose(P * start + H_S, wanted, atol=1e-4):
        swapped = _pair(function(maps[1], maps[0]))
        if torch.allclose(swapped[0] * start + swapped[1], wanted, atol=1e-4):
            raise AssertionError("The wrong way round: `first` is read before `second`.")
        if torch.allclose(P, maps[0][0] * maps[1][0], atol=1e-5):
            raise AssertionError(
                "P is right, H_S is not: what the first support wrote decays while the second is "
                "read."
            )
        raise AssertionError(
            "Reading the two supports one after the other gives another state. Put the first map "
            "into the second: P₂ (P₁ h + H₁) + H₂, and collect what multiplies h."
        )
    P, H_S = function(function(maps[0], maps[1]), maps[2])
    assert torch.allclose(P * start + H_S, _read(scans, start), atol=1e-4), (
        "Right for two supports, but three in a row do not come out: return a pair again."
    )
    return "Two supports and three, as if they had been scanned."


@exercise
def settled(function: Callable) -> str:
    """The support's part at the end of a patch, when recaps and patches have gone on for long."""
    support, silent = _random_scan(6, 3), _random_scan(8, 4)
    silent = (torch.zeros_like(silent[0]), *silent[1:])
    _, P, H_S = read_support(*support)
    Q = torch.exp(silent[1].sum(-1, keepdim=True) * silent[2])
    given = call(function, P, Q, H_S)
    state = _read([support, silent] * 300, torch.zeros_like(H_S))
    if torch.allclose(given, state, atol=1e-4):
        return "300 recaps and patches, scanned one after the other, end where you say."
    if torch.allclose(Q * given, state, atol=1e-4):
        raise AssertionError(
            "That is the state just after a recap; a patch, which keeps Q of it, follows."
        )
    raise AssertionError(
        "After 300 recaps and patches the scan is elsewhere. One round is h ← Q (P h + H_S); "
        "settled means that a round changes nothing: solve h = Q (P h + H_S) for h."
    )


@exercise
def recapped(function: Callable) -> str:
    """A scan of the query with a recap before every patch: (u, delta, A, B, C, P, H_S, patch) → y.

    One episode: u, delta (channels, length); A, P, H_S (channels, state); B, C (state, length).
    """
    support, query, patch = _random_scan(4, 5), _random_scan(12, 6), 4
    _, P, H_S = read_support(*support)
    u, delta, A, B, C, _ = query
    line = (u[0], delta[0], A, B[0], C[0])
    given = torch.as_tensor(call(function, *line, P[0], H_S[0], patch))

    def scanned(keep: Tensor, write: Tensor, every: int) -> Tensor:
        return selective_scan(u, delta, A, B, C, recap=(keep, write, every))[0]

    expected = scanned(P, H_S, patch)
    assert given.shape == expected.shape, (
        f"It returns {tuple(given.shape)}; expected (channels, length) = {tuple(expected.shape)}."
    )
    if torch.allclose(given, expected, atol=1e-4):
        return "The package's scan with recaps says the same at all 12 steps, 3 recaps among them."
    late = selective_scan(u, delta, A, B, C, initial_state=H_S)[0]
    for wrong, what in (
        (late, "The support is read once, at the start: read it again before every patch."),
        (scanned(0 * P, H_S, patch), "A recap keeps P of the state that it finds; yours keeps 0."),
        (scanned(P**0, H_S, patch), "A recap keeps P of the state that it finds; yours keeps all."),
        (scanned(P, H_S, 1), "You recap at every step; expected before each patch's first only."),
        (scanned(P, 0 * H_S, patch), "The state decays by P, but H_S is never added."),
    ):
        assert not torch.allclose(given, wrong, atol=1e-4), what
    same = (given - expected).abs().amax(0) < 1e-4
    step = int((~same).int().argmax())
    raise AssertionError(
        f"It goes wrong at step {step} (counted from 0, patches of {patch}). Before step 0 and "
        "before each further patch h ← P h + H_S; then the step itself, as in section 1."
    )


def _pair(value) -> tuple[Tensor, Tensor]:
    assert isinstance(value, tuple) and len(value) == 2, (
        f"Your function returns a {type(value).__name__}; expected a pair (P, H_S)."
    )
    return value


def _decay_of_one(delta: float, A: float, steps: int) -> Tensor:
    """What is left of a state of 1 after every step, when nothing is written."""
    line = torch.zeros(1, 1, steps, dtype=torch.float64)
    one = torch.ones(1, 1, 1, dtype=torch.float64)
    read = torch.ones(1, 1, steps, dtype=torch.float64)
    return selective_scan(line, line + delta, A * one[0], read, read, initial_state=one)[0, 0]


def _random_scan(length: int, seed: int) -> tuple[Tensor, ...]:
    """(u, delta, A, B, C, D) of 3 channels with 2 entries each; A is the same for every seed."""
    generator = torch.Generator().manual_seed(seed)
    u, B, C = (torch.randn(1, n, length, generator=generator) for n in (3, 2, 2))
    delta = 0.02 + 0.1 * torch.rand(1, 3, length, generator=generator)
    A = -torch.tensor([[0.5, 1.0], [1.0, 2.0], [0.2, 4.0]])
    return u, delta, A, B, C, torch.ones(3)


def _read(scans, state: Tensor) -> Tensor:
    """Scan one after the other, from a state; the state at the end."""
    for scan in scans:
        state = selective_scan(*scan, initial_state=state, return_last_state=True)[1]
    return state

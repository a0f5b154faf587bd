"""Checks of the exercises on sampling, kernels and selection (notebook 01)."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch

from hmnet_lite.scan.selective import selective_scan
from hmnet_lite.workbook.exercises.parts import call, exercise


@exercise
def hold(function: Callable[[float, float, float], tuple[float, float]]) -> str:
    """Ā and B̄ of the zero-order hold of h' = a h + b u, for every a, zero included."""
    for a, b, delta in ((-0.5, 1.0, 2.0), (-2.0, 3.0, 0.1), (-1e-12, 1.0, 1.0), (0.0, 2.0, 0.5)):
        where = f"For a = {a:g}, b = {b:g}, Δ = {delta:g}"
        try:
            result = call(function, a, b, delta)
        except ZeroDivisionError:
            raise AssertionError(
                f"{where} it divides by zero. A tank without a leak only fills: what is the limit "
                "of (exp(aΔ) - 1)/a for small a?"
            ) from None
        assert isinstance(result, tuple) and len(result) == 2, (
            f"It returns a {type(result).__name__}; expected a pair (Ā, B̄)."
        )
        A_bar, B_bar = (float(x) for x in result)
        right_A, right_B = math.exp(a * delta), b * (math.expm1(a * delta) / a if a else delta)
        if abs(A_bar - right_A) > 1e-9 and abs(A_bar - (1 + a * delta)) < 1e-9:
            raise AssertionError(f"{where} your Ā is Euler's 1 + aΔ; the hold needs exp(aΔ).")
        assert abs(A_bar - right_A) <= 1e-9, f"{where} Ā is {A_bar:.6g}; expected {right_A:.6g}."
        if abs(B_bar - right_B) <= 1e-9 * max(right_B, 1):
            continue
        if math.isnan(B_bar):
            raise AssertionError(f"{where} B̄ is 0/0. What is the limit for small a?")
        if abs(a) == 1e-12:
            raise AssertionError(
                f"{where} B̄ is {B_bar:.6f}; expected {right_B:.6f}. exp(x) - 1 loses its digits "
                "for tiny x; expm1(x), in math and in numpy, does not."
            )
        if abs(B_bar - delta * b) < 1e-9:
            raise AssertionError(f"{where} your B̄ is Euler's Δb, which is not exact.")
        raise AssertionError(f"{where} B̄ is {B_bar:.6g}; expected {right_B:.6g}.")
    return (
        "Exact for leaky tanks, for one that hardly leaks, and for one that does not leak at all."
    )


@exercise
def kernel(function: Callable) -> str:
    """K (length,) of a diagonal system: (state,) decay, drive, C."""
    decay, drive, C = np.array([0.9, 0.5, -0.3]), np.array([1.0, 2.0, 0.5]), np.array([1.0, -1, 2])
    given = np.asarray(call(function, decay, drive, C, 12), float)
    assert given.shape == (12,), f"It has shape {given.shape}; expected (12,), one weight a lag."
    expected = ((decay ** np.arange(12)[:, None]) * drive * C).sum(1)
    if np.allclose(given, expected):
        inputs = np.sin(np.arange(12.0) ** 2)
        state, outputs = np.zeros(3), []
        for u in inputs:
            state = decay * state + drive * u
            outputs.append(C @ state)
        assert np.allclose(np.convolve(inputs, given)[:12], outputs)
        return "Convolving with it gives what the recurrence gives, step by step."
    late = ((decay ** (1 + np.arange(12)[:, None])) * drive * C).sum(1)
    if np.allclose(given, late):
        raise AssertionError(
            "One step late: an input is read in its own step, at lag 0, undecayed."
        )
    if np.allclose(given, expected[::-1]):
        raise AssertionError("Back to front: K[0] is the weight of the newest input.")
    if np.allclose(given, ((decay ** np.arange(12)[:, None]) * C).sum(1)):
        raise AssertionError("B̄, what the state receives of the input, is missing.")
    if np.allclose(given, ((decay ** np.arange(12)[:, None]) * drive).sum(1)):
        raise AssertionError("C, what the output reads of the state, is missing.")
    raise AssertionError(
        f"K[0] is {given[0]:.4g} and K[1] {given[1]:.4g}; expected {expected[0]:.4g} and "
        f"{expected[1]:.4g}: C · drive, then C · (decay * drive)."
    )


@exercise
def latch(function: Callable) -> str:
    """Δ and B (length,) that make one state entry with A = -1 hold the last marked input."""
    generator = np.random.default_rng(0)
    for length, share in ((12, 0.3), (400, 0.02)):
        inputs, marked = generator.uniform(0.5, 2, length), generator.random(length) < share
        marked[1] = True
        result = call(function, marked)
        assert isinstance(result, tuple) and len(result) == 2, (
            f"It returns a {type(result).__name__}; expected a pair (delta, B)."
        )
        delta, B = (np.asarray(x, float) for x in result)
        for name, x in (("delta", delta), ("B", B)):
            assert x.shape == marked.shape, (
                f"{name} has shape {x.shape}; expected {marked.shape}, one a step."
            )
            assert np.isfinite(x).all(), f"{name} has values that are not finite."
        assert (delta >= 0).all(), "delta is negative somewhere: a step cannot go back in time."
        state = _states(inputs, delta, B)
        last = np.maximum.accumulate(np.where(marked, np.arange(length), 0))
        wanted = inputs[last]
        wrong = np.abs(state - wanted)[1:] > 0.01
        if not wrong.any():
            continue
        first = 1 + int(np.argmax(wrong))
        if marked[first]:
            ratio = state[first] / inputs[first]
            if abs(ratio - delta[first]) < 0.01 * max(delta[first], 1):
                raise AssertionError(
                    f"At a marked step the state becomes {ratio:.3g} times the input: the package "
                    "writes Δ·B·u, and your Δ·B is not 1."
                )
            raise AssertionError(
                f"After the marked step {first} the state is {state[first]:.3f}; expected "
                f"{wanted[first]:.3f}: forget all that was there (exp(-Δ) near 0), then write u."
            )
        raise AssertionError(
            f"At step {first}, which is not marked, the state is {state[first]:.3f}; expected it "
            f"to stay {wanted[first]:.3f}: neither forget nor write."
        )
    return (
        "400 steps with a few marked ones, scanned: the state always holds the last marked input."
    )


def _states(inputs: np.ndarray, delta: np.ndarray, B: np.ndarray) -> np.ndarray:
    """(length,) of one entry with A = -1, by the package's scan in float64."""
    u, delta, B = (torch.from_numpy(x).double().view(1, 1, -1) for x in (inputs, delta, B))
    A = torch.full((1, 1), -1.0, dtype=torch.float64)
    return selective_scan(u, delta, A, B, torch.ones_like(B))[0, 0].numpy()

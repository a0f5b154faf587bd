"""Checks of the exercises on experiments (notebook 09)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from hmnet_lite.workbook.exercises.parts import call, exercise, near


@exercise
def support_use(function: Callable, right: np.ndarray, wrong: np.ndarray) -> str:
    """mIoU with the right support minus that with a wrong one.

    `right` and `wrong` are (episodes, 3): class id, intersection and union in pixels.
    """

    def miou(table):
        kinds = np.unique(table[:, 0])
        sums = [table[table[:, 0] == kind, 1:].sum(0) for kind in kinds]
        return float(np.mean([i / u for i, u in sums if u]))

    given, expected = float(call(function, right, wrong)), miou(right) - miou(wrong)
    if near(given, expected, 1e-6):
        return f"{100 * expected:.1f} points are what the mixer's support is worth."
    if near(given, -expected, 1e-6):
        raise AssertionError("The other way round: a network that listens has a positive number.")
    each = [np.mean(t[:, 1] / np.maximum(t[:, 2], 1)) for t in (right, wrong)]
    if near(given, each[0] - each[1], 1e-6):
        raise AssertionError("That averages episodes: sum over the episodes of a class first.")
    pooled = [t[:, 1].sum() / t[:, 2].sum() for t in (right, wrong)]
    if near(given, pooled[0] - pooled[1], 1e-6):
        raise AssertionError("That sums over all classes: each class has an IoU of its own.")
    raise AssertionError(f"It gives {given:.4f}; expected {expected:.4f}.")


@exercise
def enough_seeds(answer: int, spread: float, points: float) -> str:
    """How many seeds bring the error of a difference's mean, twice over, below so many points."""
    expected = int(np.ceil((2 * spread / points) ** 2))
    if answer == expected:
        return f"2 · {spread:g} / √{expected} is at most {points:g} points."
    if answer == int(np.ceil((spread / points) ** 2)):
        raise AssertionError("That is for one standard error; an interval takes two.")
    if answer == int(np.ceil(2 * spread / points)):
        raise AssertionError("The error falls with the root of the number: square it.")
    raise AssertionError("Solve 2 · spread / √n ≤ points for n, and round up.")


@exercise
def paired(function: Callable, ours: np.ndarray, theirs: np.ndarray) -> str:
    """Standard errors of a mean difference: as if independent, and of the pairs."""
    given = np.array([float(x) for x in call(function, ours, theirs)])
    root = np.sqrt(len(ours))
    alone = np.array([x.std(ddof=1) / root for x in (ours, theirs)])
    expected = np.array([np.hypot(*alone), (ours - theirs).std(ddof=1) / root])

    def gives(values):
        return given.shape == np.shape(values) and np.allclose(given, values, rtol=0.01)

    if gives(expected):
        apart, pairs = 100 * expected
        return (
            f"{apart:.1f} points become {pairs:.1f}: pairing is worth "
            f"{(apart / pairs) ** 2:.1f} times as many episodes."
        )
    if gives(expected[::-1]):
        raise AssertionError("The other way round: independent first, then the pairs.")
    if gives(expected * root):
        raise AssertionError("Those are of one episode: the error of a mean falls with √n.")
    if given.size and np.isclose(given[0], alone.sum(), rtol=0.01):
        raise AssertionError("Independent errors add as squares, not as they are.")
    if given.size == 2 and np.isclose(given[1], abs(np.subtract(*alone)), rtol=0.01):
        raise AssertionError("Errors do not subtract: take the differences, then their spread.")
    told = " and ".join(f"{x:.4f}" for x in given)
    raise AssertionError(f"It gives {told}; expected {expected[0]:.4f} and {expected[1]:.4f}.")

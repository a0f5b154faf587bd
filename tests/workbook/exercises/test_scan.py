"""The checks of notebook 01: right answers pass, likely mistakes are told apart."""

import math

import matplotlib

matplotlib.use("Agg")

import numpy as np
import pytest

from hmnet_lite.workbook.exercises import scan as exercises


def right_hold(a, b, delta):
    return math.exp(a * delta), b * (math.expm1(a * delta) / a if a else delta)


def right_kernel(decay, drive, C, length):
    return ((decay ** np.arange(length)[:, None]) * drive * C).sum(1)


def right_latch(marked):
    return np.where(marked, 20.0, 0.0), np.full(len(marked), 1 / 20)


ANSWERS = {"hold": right_hold, "kernel": right_kernel, "latch": right_latch}


@pytest.mark.parametrize("name", ANSWERS)
def test_right_answers_are_right(name):
    assert getattr(exercises, name)(ANSWERS[name]).right is True


@pytest.mark.parametrize("name", ANSWERS)
def test_dots_are_not_answered_yet(name):
    check = getattr(exercises, name)
    assert check(...).right is None and check(lambda *_: ...).right is None


def divides(a, b, delta):
    return math.exp(a * delta), b * math.expm1(a * delta) / a


def loses_digits(a, b, delta):
    return math.exp(a * delta), b * ((math.exp(a * delta) - 1) / a if a else delta)


@pytest.mark.parametrize(
    "name, answer, said",
    [
        ("hold", divides, "only fills"),
        ("hold", loses_digits, "expm1(x)"),
        ("hold", lambda a, b, d: (1 + a * d, d * b), "Euler's 1 + aΔ"),
        ("hold", lambda a, b, d: (math.exp(a * d), d * b), "Euler's Δb"),
        ("hold", lambda a, b, d: (math.exp(a * d), float("nan")), "0/0"),
        ("hold", lambda a, b, d: math.exp(a * d), "a pair"),
        ("kernel", lambda a, b, c, n: right_kernel(a, a * b, c, n), "One step late"),
        ("kernel", lambda a, b, c, n: right_kernel(a, b, c, n)[::-1], "Back to front"),
        ("kernel", lambda a, b, c, n: right_kernel(a, 1, c, n), "B̄, what the state"),
        ("kernel", lambda a, b, c, n: right_kernel(a, b, 1, n), "C, what the output"),
        ("kernel", lambda a, b, c, n: right_kernel(a, b, c, n + 1), "one weight a lag"),
        ("kernel", lambda a, b, c, n: 2 * right_kernel(a, b, c, n), "expected"),
        ("latch", lambda m: (right_latch(m)[0], 0 * m + 1.0), "writes Δ·B·u"),
        ("latch", lambda m: (0.1 + right_latch(m)[0], right_latch(m)[1]), "neither forget nor"),
        ("latch", lambda m: (np.where(m, 1.0, 0), 0 * m + 1.0), "forget all that was there"),
        ("latch", lambda m: (np.where(m, 1.0, -1), 0 * m + 1.0), "go back in time"),
        ("latch", lambda m: right_latch(m)[0], "a pair"),
        ("latch", lambda m: (20, 0.05), "one a step"),
    ],
)
def test_mistakes_are_named(name, answer, said):
    verdict = getattr(exercises, name)(answer)
    assert verdict.right is False
    assert said in verdict.message

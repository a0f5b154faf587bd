"""The sampling rules of a continuous system, on systems with known answers."""

import math

import matplotlib

matplotlib.use("Agg")

import numpy as np
import pytest

from hmnet_lite.scan.discretise import RULES, discretise, recurrence

SPRING = np.array([[0.0, 1.0], [-4.0, -0.4]]), np.array([0.0, 4.0])


def test_the_hold_of_a_leaky_tank_is_its_formula():
    A_bar, B_bar = discretise([[-0.5]], [3.0], 2.0)
    assert A_bar.item() == pytest.approx(math.exp(-1), rel=1e-12)
    assert B_bar.item() == pytest.approx(3 * (1 - math.exp(-1)) / 0.5, rel=1e-12)


def test_the_hold_needs_no_inverse():
    A_bar, B_bar = discretise([[0.0, 1.0], [0.0, 0.0]], [0.0, 1.0], 2.0)  # a cart that is pushed
    assert np.allclose(A_bar, [[1, 2], [0, 1]]) and np.allclose(B_bar, [2, 2])


def test_two_half_steps_are_one_step_for_the_hold_only():
    for rule in RULES:
        whole = recurrence(*discretise(*SPRING, 0.5, rule), [1.0, 0.3])
        halves = recurrence(*discretise(*SPRING, 0.25, rule), [1.0, 1.0, 0.3, 0.3])
        assert np.allclose(whole, halves[::2], atol=1e-12) == (rule == "zoh")


def test_all_rules_agree_in_the_limit():
    fine = {rule: recurrence(*discretise(*SPRING, 1e-4, rule), np.ones(10_000)) for rule in RULES}
    for rule in ("euler", "mamba"):
        assert np.abs(fine[rule] - fine["zoh"]).max() < 2e-3
    assert fine["zoh"].shape == (10_001, 2) and not fine["zoh"][0].any()


@pytest.mark.parametrize(
    "A, B, delta, rule, said",
    [
        ([[-1.0]], [1.0, 2.0], 1.0, "zoh", r"expected \(n, n\) and \(n,\)"),
        ([[-1.0]], [1.0], 0.0, "zoh", "positive step"),
        ([[-1.0]], [1.0], 1.0, "rk4", "one of zoh, euler, mamba"),
    ],
)
def test_bad_systems_are_refused(A, B, delta, rule, said):
    with pytest.raises(ValueError, match=said):
        discretise(A, B, delta, rule)

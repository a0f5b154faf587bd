"""The checks of notebook 02: right answers pass, likely mistakes are told apart."""

import pytest
import torch

from hmnet_lite.workbook.exercises import algorithms as exercises


def right_cost(length):
    log = length.bit_length() - 1
    return 2 * length - 2 - log, 2 * log - 1


def carry(elapsed):
    def add(y, delta, A, C, h):
        left = torch.exp(elapsed(delta)[:, None] * A[..., None]) * h[..., None]
        return y + (C * left).sum(1)

    return add


ANSWERS = {"tree_cost": right_cost, "add_carry": carry(lambda delta: delta.cumsum(-1))}


@pytest.mark.parametrize("name", ANSWERS)
def test_right_answers_are_right(name):
    assert getattr(exercises, name)(ANSWERS[name]).right is True


@pytest.mark.parametrize("name", ANSWERS)
def test_dots_are_not_answered_yet(name):
    check = getattr(exercises, name)
    assert check(...).right is None and check(lambda *_: ...).right is None


@pytest.mark.parametrize(
    "name, answer, said",
    [
        ("tree_cost", lambda n: (n - 1, n.bit_length() - 1), "the way up only"),
        ("tree_cost", lambda n: (n * (n.bit_length() - 1), n.bit_length() - 1), "Hillis"),
        ("tree_cost", lambda n: n, "Return a pair"),
        ("tree_cost", lambda n: (5 * n, 1), "Count the joins of each round"),
        ("add_carry", carry(lambda delta: 0 * delta), "never decayed"),
        ("add_carry", carry(lambda delta: delta), "one step only"),
        ("add_carry", carry(lambda delta: delta.cumsum(-1) - delta), "already decays"),
        ("add_carry", lambda y, *rest: ANSWERS["add_carry"](0 * y, *rest), "add it to y"),
        ("add_carry", lambda y, *rest: y, "By linearity"),
        ("add_carry", lambda y, *rest: y.sum(0), "expected y's"),
    ],
)
def test_mistakes_are_named(name, answer, said):
    verdict = getattr(exercises, name)(answer)
    assert verdict.right is False and said in verdict.message

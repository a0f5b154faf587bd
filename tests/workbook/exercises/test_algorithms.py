"""The checks of notebooks 02 and 03: right answers pass, likely mistakes are told apart."""

import numpy as np
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


def rows(height, width):
    return np.arange(height * width)


def right_snake(height, width):
    cells = rows(height, width).reshape(height, width)
    cells[1::2] = cells[1::2, ::-1].copy()
    return cells.ravel()


def right_back(line, order, height, width):
    return line[:, order.argsort()].view(-1, height, width)


ANSWERS = {
    "tree_cost": right_cost,
    "add_carry": carry(lambda delta: delta.cumsum(-1)),
    "snake": right_snake,
    "put_back": right_back,
}


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
        ("snake", rows, "it jumps from cell 3 to cell 4"),
        ("snake", lambda h, w: right_snake(h, w)[:-1], "each of 0 to 11 once"),
        ("snake", lambda h, w: right_snake(h, w)[::-1], "begin at cell 0"),
        ("snake", lambda h, w: right_snake(w, h).argsort(), "it jumps"),
        ("put_back", lambda line, order, h, w: line.view(-1, h, w), "Direction 1"),
        ("put_back", lambda line, order, h, w: line[:, order].view(-1, h, w), "once more"),
        ("put_back", lambda line, *_: line, "expected (channels, height, width)"),
    ],
)
def test_mistakes_are_named(name, answer, said):
    verdict = getattr(exercises, name)(answer)
    assert verdict.right is False and said in verdict.message

"""The checks of notebook 04's exercises: right answers pass, likely mistakes are told apart."""

import math

import pytest
import torch

from hmnet_lite.workbook.exercises import state as exercises


def right_half_life(delta, A):
    return math.log(2) / (-A * delta)


def right_then(first, second):
    return first[0] * second[0], second[0] * first[1] + second[1]


def right_settled(P, Q, H_S):
    return Q * H_S / (1 - Q * P)


def right_recapped(u, delta, A, B, C, P, H_S, patch, read_again=True, first=True):
    h, ys = torch.zeros_like(H_S), []
    for t in range(u.shape[1]):
        if t % patch == 0 and (read_again or t == 0) and (first or t):
            h = P * h + H_S
        h = torch.exp(delta[:, t, None] * A) * h + (delta[:, t] * u[:, t])[:, None] * B[:, t]
        ys.append((h * C[:, t]).sum(-1))
    return torch.stack(ys, -1)


ANSWERS = {
    "half_life": right_half_life,
    "then": right_then,
    "settled": right_settled,
    "recapped": right_recapped,
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
        ("half_life", lambda d, A: math.log(2) / (A * d), "A is negative"),
        ("half_life", lambda d, A: 1 / (-A * d), "expected about 50 %"),
        ("half_life", lambda d, A: 1e9, "expected about 50 %"),
        ("then", lambda a, b: right_then(b, a), "wrong way round"),
        ("then", lambda a, b: (a[0] * b[0], a[1] + b[1]), "P is right, H_S is not"),
        ("then", lambda a, b: (a[0] + b[0], a[1] + b[1]), "Put the first map into the second"),
        ("then", lambda a, b: a[0], "expected a pair"),
        ("settled", lambda P, Q, H: H / (1 - Q * P), "just after a recap"),
        ("settled", lambda P, Q, H: H / (1 - P), "solve h"),
        ("recapped", lambda *x: right_recapped(*x, read_again=False), "read once, at the start"),
        ("recapped", lambda *x: right_recapped(*x[:5], 0 * x[5], *x[6:]), "yours keeps 0"),
        ("recapped", lambda *x: right_recapped(*x[:5], x[5] ** 0, *x[6:]), "yours keeps all"),
        ("recapped", lambda *x: right_recapped(*x[:7], 1), "recap at every step"),
        ("recapped", lambda *x: right_recapped(*x[:6], 0 * x[6], x[7]), "never added"),
        ("recapped", lambda *x: right_recapped(*x, first=False), "wrong at step 0"),
        ("recapped", lambda *x: right_recapped(*x)[:, :5], "expected (channels, length) = (3, 12)"),
    ],
)
def test_mistakes_are_named(name, answer, said):
    verdict = getattr(exercises, name)(answer)
    assert verdict.right is False and said in verdict.message

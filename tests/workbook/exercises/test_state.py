"""The checks of notebook 04's exercises: right answers pass, likely mistakes are told apart."""

import math

import pytest

from hmnet_lite.workbook.exercises import state as exercises


def right_half_life(delta, A):
    return math.log(2) / (-A * delta)


def right_then(first, second):
    return first[0] * second[0], second[0] * first[1] + second[1]


def right_settled(P, Q, H_S):
    return Q * H_S / (1 - Q * P)


ANSWERS = {"half_life": right_half_life, "then": right_then, "settled": right_settled}


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
    ],
)
def test_mistakes_are_named(name, answer, said):
    verdict = getattr(exercises, name)(answer)
    assert verdict.right is False and said in verdict.message

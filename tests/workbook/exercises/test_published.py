"""The checks of notebook 06: right answers pass, likely mistakes are told apart."""

import matplotlib

matplotlib.use("Agg")

import pytest

from hmnet_lite.workbook.exercises import published as exercises


def right_map_side(side):
    return -(-side // 8)


def right_block_parameters(dim, state):
    inner, rank = 2 * dim, -(-dim // 16)
    path = 2 * dim * inner + 10 * inner + inner * dim + 2 * (dim * dim + dim)
    return 4 * dim + 2 * inner + 2 * path + 4 * inner * (2 * rank + 3 * state + 2)


def right_in_shot_order(weights, psi):
    return weights[psi.argsort().argsort()]


def right_threshold(v, w, psi, base):
    return (w[0] * v[0] + (w[0] - 1) * v[1] * psi + w[1] * base) / (v[0] * (1 + w[0]))


ANSWERS = {
    "map_side": right_map_side,
    "block_parameters": right_block_parameters,
    "in_shot_order": right_in_shot_order,
    "threshold": right_threshold,
}


@pytest.mark.parametrize("name", ANSWERS)
def test_right_answers_are_right(name):
    verdict = getattr(exercises, name)(ANSWERS[name])
    assert verdict.right is True, verdict


@pytest.mark.parametrize("name", ANSWERS)
def test_dots_are_not_answered_yet(name):
    check = getattr(exercises, name)
    assert check(...).right is None and check(lambda *_: ...).right is None


def ssm_numbers(dim, state):
    return 4 * 2 * dim * (2 * -(-dim // 16) + 3 * state + 2)


def one_path(dim, state):
    return (right_block_parameters(dim, state) - ssm_numbers(dim, state) - 8 * dim) // 2


@pytest.mark.parametrize(
    "name, answer, said",
    [
        ("map_side", lambda side: side // 8, "rounds up"),
        ("map_side", lambda side: -(-side // 32), "dilated and halve nothing"),
        ("map_side", lambda side: side, "the backbone's map has 60"),
        ("block_parameters", lambda d, n: right_block_parameters(d, n) - ssm_numbers(d, n),
         "as in the paper's count"),
        ("block_parameters", lambda d, n: right_block_parameters(d, n) - one_path(d, n),
         "come twice"),
        ("block_parameters", lambda d, n: right_block_parameters(d, n) - 3 * ssm_numbers(d, n) // 4,
         "each of the 4 directions"),
        ("block_parameters", lambda d, n: 7, "expected 1,229,824"),
        ("in_shot_order", lambda w, psi: w, "the released code's slip"),
        ("in_shot_order", lambda w, psi: w[psi.argsort()], "The inverse"),
        ("in_shot_order", lambda w, psi: w.flip(0), "the smallest ψ gets 0.50"),
        ("in_shot_order", lambda w, psi: w[0], r"expected (4,)"),
        ("threshold", lambda v, w, psi, b: (1 + w[1] * b) / 2, "keep all four weights"),
        ("threshold", lambda v, w, psi, b: 0.5, "the scores cross at"),
    ],
)  # fmt: skip
def test_mistakes_are_named(name, answer, said):
    verdict = getattr(exercises, name)(answer)
    assert verdict.right is False and said in verdict.message, verdict

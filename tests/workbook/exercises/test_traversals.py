"""The checks of notebook 03: right answers pass, likely mistakes are told apart."""

import numpy as np
import pytest

from hmnet_lite.workbook.exercises import traversals as exercises


def rows(height, width):
    return np.arange(height * width)


def right_snake(height, width):
    cells = rows(height, width).reshape(height, width)
    cells[1::2] = cells[1::2, ::-1].copy()
    return cells.ravel()


def right_back(line, order, height, width):
    return line[:, order.argsort()].view(-1, height, width)


ANSWERS = {"snake": right_snake, "put_back": right_back}


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

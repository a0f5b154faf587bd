"""The checks of notebook 10's exercises: right answers pass, likely mistakes are told apart."""

import numpy as np
import pytest
import torch

from hmnet_lite.workbook.exercises import inspector as exercises

TRUTH = np.zeros((4, 4), np.uint8)
TRUTH[:2] = 1
FULL = torch.from_numpy(TRUTH).float()[None]
ANSWERS = {
    "alone": {"right": FULL, "none": 0 * FULL},  # loses all of its 100 points
    "shortcuts": {"right": FULL, "none": FULL},
}


def right(support, query):
    heard, own = (x.sum((0, 3)).norm(dim=0) for x in (support, query))
    return heard / (heard + own)


def loud(support, query):
    heard, own = (x.norm(dim=1).sum((0, 2)) for x in (support, query))
    return heard / (heard + own)


def test_right_answers_are_right():
    assert exercises.support_share(right).right is True
    verdict = exercises.prediction({"alone": 90, "shortcuts": 0}, ANSWERS, TRUTH)
    assert verdict.right is True and "alone: 100, shortcuts: 0" in verdict.message


def test_dots_are_not_answered_yet():
    assert exercises.support_share(lambda *_: ...).right is None
    verdict = exercises.prediction({"alone": ..., "shortcuts": ...}, ANSWERS, TRUTH)
    assert verdict.right is None and "dots left among the predictions" in verdict.message


@pytest.mark.parametrize(
    "answer, said",
    [
        (loud, "cancel are not heard"),
        (lambda s, q: right(s[:1], q[:1]), "direction 0 alone"),
        (lambda s, q: torch.zeros(4, 5), "expected one number an output"),
        (lambda s, q: torch.zeros(5), "differ from those"),
    ],
)
def test_mistakes_in_the_share_are_named(answer, said):
    verdict = exercises.support_share(answer)
    assert verdict.right is False and said in verdict.message


@pytest.mark.parametrize(
    "guess, said",
    [
        ({"alone": 10, "shortcuts": 0}, "'alone' loses more than 10"),
        ({"alone": 100, "shortcuts": 60}, "'shortcuts' loses less than 60"),
        ({"alone": 100}, "no prediction for 'shortcuts'"),
    ],
)
def test_wrong_predictions_are_told_apart(guess, said):
    verdict = exercises.prediction(guess, ANSWERS, TRUTH)
    assert verdict.right is False and said in verdict.message

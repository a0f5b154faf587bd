"""The checks of notebook 00, and what all checks share: blanks and answers that raise."""

import matplotlib

matplotlib.use("Agg")

import numpy as np
import pytest

from hmnet_lite.scoring.metrics import Scores
from hmnet_lite.workbook.exercises import task as exercises

TRUTH = np.array([[1, 1, 0, 0], [1, 1, 255, 0], [255, 0, 0, 0], [0, 0, 0, 0]], np.uint8)

FOUND = np.array([[0, 1, 1, 0], [0, 1, 1, 0], [1, 0, 0, 0], [0, 0, 0, 0]], np.uint8)


def test_a_blank_is_neither_right_nor_wrong():
    for verdict in (exercises.iou_by_hand(..., FOUND, TRUTH), exercises.mean_iou(lambda e: ...)):
        assert verdict.right is None and not verdict
        assert "Not answered yet" in repr(verdict)


def test_an_answer_that_raises_is_wrong_and_says_why():
    verdict = exercises.mean_iou(lambda episodes: episodes[99])
    assert verdict.right is False and "IndexError" in repr(verdict)
    assert "return statement" in repr(exercises.mean_iou(lambda episodes: None))


@pytest.mark.parametrize(
    "answer, said",
    [
        (2 / 5, "2/5"),
        (2 / 7, "255 counts nowhere"),
        (11 / 14, "background counts, too"),
        (2 / 4, "false alarms are free"),
        (2 / 3, "misses are free"),
        (40, "larger than 1"),
        (0.123, "Count pixels"),
    ],
)
def test_iou_by_hand(answer, said):
    verdict = exercises.iou_by_hand(answer, FOUND, TRUTH)
    assert said in repr(verdict)
    assert bool(verdict) == (answer == 2 / 5)


def iou(prediction, truth, counted=None):
    counted = (truth != 255) if counted is None else counted
    union = ((prediction | (truth == 1)) & counted).sum()
    return (prediction & (truth == 1)).sum() / union


def scored(episodes, pooled=False):
    scores = Scores()
    for prediction, truth, class_id in episodes:
        scores.update(prediction, truth, 0 if pooled else class_id)
    return scores.miou


def mean_of_episodes(episodes):
    return np.mean([iou(p, t) for p, t, _ in episodes])


def mean_within_classes(episodes):
    return np.mean(
        [mean_of_episodes([e for e in episodes if e[2] == c]) for c in {e[2] for e in episodes}]
    )


def counting_ignored(episodes):
    return scored([(p, (t == 1).astype(np.uint8), c) for p, t, c in episodes])


@pytest.mark.parametrize(
    "answer, said",
    [
        (scored, "agree"),
        (mean_of_episodes, "IoUs of episodes"),
        (mean_within_classes, "Within a class you average"),
        (lambda episodes: scored(episodes, pooled=True), "You pool all classes"),
        (counting_ignored, "must not count in the union"),
        (lambda episodes: 0.5, "expected"),
    ],
)
def test_mean_iou(answer, said):
    verdict = exercises.mean_iou(answer)
    assert said in repr(verdict)
    assert bool(verdict) == (answer is scored)


@pytest.mark.parametrize(
    "combine, score, said",
    [
        (lambda maps: maps.mean(0), 0.4, "40.0 % with five"),
        (lambda maps: maps.mean(0), 0.2, "expected more"),
        (lambda maps: maps.mean((1, 2)), 0.4, "along axis 0"),
        (lambda maps: maps[0], 0.4, "no order"),
        (lambda maps: maps.mean(0) / 0, 0.4, "not finite"),
    ],
)
@pytest.mark.filterwarnings("ignore:divide by zero")
def test_combine_shots(combine, score, said):
    verdict = exercises.combine_shots(combine, 0.3, lambda function: score)
    assert said in repr(verdict)
    assert bool(verdict) == said.startswith("40")

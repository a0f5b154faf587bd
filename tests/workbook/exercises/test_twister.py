"""The checks of notebook 11's exercises: right answers pass, likely mistakes are told apart."""

import numpy as np
import pytest
import torch.nn.functional as F

from hmnet_lite.workbook.exercises import twister as exercises


def overall(found, truth):
    both = sum((a & b).sum() for a, b in zip(found, truth, strict=True))
    return both / sum((a | b).sum() for a, b in zip(found, truth, strict=True))


def mean(found, truth):
    return np.mean([(a & b).sum() / (a | b).sum() for a, b in zip(found, truth, strict=True)])


def recall(found, truth):
    both = sum((a & b).sum() for a, b in zip(found, truth, strict=True))
    return both / sum(b.sum() for b in truth)


def pooled(cube, side):
    return F.adaptive_avg_pool2d(cube, side).flatten(2)


def test_right_answers_are_right():
    assert exercises.overall_iou(overall) and exercises.channel_tokens(pooled)
    assert exercises.growth(15)


@pytest.mark.parametrize(
    "check, answer, said",
    [
        ("overall_iou", mean, "That is mIoU"),
        ("overall_iou", recall, "by the truth alone"),
        ("overall_iou", lambda *_: 0.0, "expected 0."),
        ("channel_tokens", lambda c, s: c.flatten(2).transpose(1, 2), "runs over pixels"),
        ("channel_tokens", lambda c, s: c[..., ::2, ::2].flatten(2), "every second pixel"),
        ("channel_tokens", lambda c, s: pooled(c, s) + 1, "not the means"),
        ("channel_tokens", lambda c, s: c, "expected (2, 6, 16)"),
        ("growth", 4, "with its square"),
        ("growth", 256, "every pixel looks at"),
        ("growth", 1, "How many times as many pixels"),
        ("growth", "many", "A number is expected"),
    ],
)
def test_mistakes_are_named(check, answer, said):
    verdict = getattr(exercises, check)(answer)
    assert verdict.right is False and said in verdict.message


@pytest.mark.parametrize("check", ["overall_iou", "channel_tokens"])
def test_dots_are_not_answered_yet(check):
    assert getattr(exercises, check)(lambda *_: ...).right is None
    assert exercises.growth(...).right is None

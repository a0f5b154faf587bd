"""Checks of the exercises on the task and its scores (notebook 00)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from hmnet_lite.workbook.exercises.parts import call, exercise, near


@exercise
def iou_by_hand(answer: float, prediction: np.ndarray, truth: np.ndarray) -> str:
    """The foreground IoU of two small masks, 255 left out."""
    found, target = prediction == 1, truth == 1
    counted = truth != 255
    both, either = (found & target).sum(), ((found | target) & counted).sum()
    if near(answer, both / either):
        return f"{both} pixels in both, {either} in at least one: {both}/{either}."
    if near(answer, both / (found | target).sum()):
        raise AssertionError("A pixel whose truth is 255 counts nowhere, also not in the union.")
    if near(answer, (found == target)[counted].mean()):
        raise AssertionError("That is the share of pixels that are right; background counts, too.")
    if near(answer, both / target.sum()):
        raise AssertionError("That is the share of the truth that is found: false alarms are free.")
    if near(answer, both / (found & counted).sum()):
        raise AssertionError("That is the share of the prediction that is right: misses are free.")
    if float(answer) > 1:
        raise AssertionError("An IoU is a share between 0 and 1; yours is larger than 1.")
    raise AssertionError("Count pixels that are 1 in both, then pixels that are 1 in at least one.")


@exercise
def mean_iou(function: Callable) -> str:
    """mIoU of (prediction, truth, class_id) triples, against `Scores`."""
    from hmnet_lite.scoring.metrics import Scores, mask_iou

    rng, scores, episodes = np.random.default_rng(0), Scores(), []
    for number in range(40):
        truth = rng.choice(np.array([0, 1, 255], np.uint8), (8, 8), p=[0.5, 0.4, 0.1])
        truth[: number % 7] = 0  # targets of different sizes
        prediction = rng.random((8, 8)) < 0.5
        episodes.append((prediction, truth, 1 + number % 3 * (number % 2)))
        scores.update(prediction, truth, episodes[-1][2])
    given = float(call(function, episodes))
    if near(given, scores.miou):
        return f"Yours and Scores agree on 40 random episodes: {100 * given:.2f} %."
    each = [mask_iou(prediction, truth) for prediction, truth, _ in episodes]
    if near(given, float(np.mean(each))):
        raise AssertionError("You average the IoUs of episodes. Within a class, sum first.")
    classes = [i for _, _, i in episodes]
    by_class = [np.mean([v for v, i in zip(each, classes, strict=True) if i == c])
                for c in sorted(set(classes))]  # fmt: skip
    if near(given, float(np.mean(by_class))):
        raise AssertionError("Within a class you average the episodes' IoUs; sum pixels instead.")
    pooled = Scores()
    for prediction, truth, _ in episodes:
        pooled.update(prediction, truth, 0)
    if near(given, pooled.miou):
        raise AssertionError("You pool all classes into one; the mean over classes comes last.")
    blind = Scores()
    for prediction, truth, class_id in episodes:
        blind.update(prediction, (truth == 1).astype(np.uint8), class_id)
    if near(given, blind.miou):
        raise AssertionError("Pixels whose truth is 255 must not count in the union.")
    raise AssertionError(f"On 40 random episodes it gives {given:.4f}; expected {scores.miou:.4f}.")


@exercise
def combine_shots(function: Callable, one_shot: float, score: Callable[[Callable], float]) -> str:
    """A rule that turns the match maps of K supports into one and beats a single support."""
    maps = np.random.default_rng(0).random((5, 6, 4)).astype(np.float32)
    result = np.asarray(call(function, maps))
    assert result.shape == (6, 4), (
        f"For maps of shape (5, 6, 4) it returns {result.shape}; expected (6, 4): combine along "
        "axis 0."
    )
    assert np.isfinite(result).all(), "The combined map has values that are not finite."
    shuffled = np.asarray(function(maps[::-1]))
    assert np.allclose(result, shuffled, atol=1e-5), (
        "Turning the order of the supports round changes the result; a set has no order."
    )
    reached = score(function)
    assert reached > one_shot, (
        f"mIoU {100 * reached:.1f} % with five supports, {100 * one_shot:.1f} % with the first "
        "alone; expected more."
    )
    return f"mIoU {100 * reached:.1f} % with five supports, {100 * one_shot:.1f} % with one."

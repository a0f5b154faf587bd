"""Automatic checks of the workbook's exercises: each says what is right, or what is wrong and why.

    answer = ...                      # in the notebook, for the reader to fill in
    exercises.iou_by_hand(answer)     # shows "Not answered yet." until they do

A check returns a `Verdict`, which is true only for a right answer.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Verdict:
    """What a check found; shown as its message."""

    right: bool | None  # None: not answered yet
    message: str

    def __bool__(self) -> bool:
        return self.right is True

    def __repr__(self) -> str:
        return {True: "✔ Right. ", False: "✘ Not yet. ", None: "… "}[self.right] + self.message


def exercise(check: Callable[..., str]) -> Callable[..., Verdict]:
    """Make a check: it raises AssertionError with what is wrong, or returns what to say if right.

    An answer that is still `...`, or a function that still returns it, is not answered yet; an
    answer that raises is wrong, and its error is told.
    """

    @functools.wraps(check)
    def run(answer: Any, *given: Any) -> Verdict:
        if answer is ...:
            return Verdict(None, "Not answered yet: replace the three dots.")
        try:
            return Verdict(True, check(answer, *given))
        except Unanswered:
            return Verdict(None, "Not answered yet: the function still returns its three dots.")
        except AssertionError as wrong:
            return Verdict(False, str(wrong))
        except Exception as error:  # the reader's code may raise anything
            return Verdict(False, f"It raises {type(error).__name__}: {error}")

    return run


class Unanswered(Exception):
    """The reader's function is not written yet."""


def call(function: Callable, *arguments: Any) -> Any:
    """What the reader's function gives, if it is written."""
    result = function(*arguments)
    if result is ...:
        raise Unanswered
    if result is None:
        raise AssertionError("Your function returns None; has it a return statement?")
    return result


def _near(given: Any, expected: float, tolerance: float = 1e-6) -> bool:
    return abs(float(given) - expected) <= tolerance


# ---- notebook 00 ----------------------------------------------------------------------------


@exercise
def iou_by_hand(answer: float, prediction: np.ndarray, truth: np.ndarray) -> str:
    """The foreground IoU of two small masks, 255 left out."""
    found, target = prediction == 1, truth == 1
    counted = truth != 255
    both, either = (found & target).sum(), ((found | target) & counted).sum()
    if _near(answer, both / either):
        return f"{both} pixels in both, {either} in at least one: {both}/{either}."
    if _near(answer, both / (found | target).sum()):
        raise AssertionError("A pixel whose truth is 255 counts nowhere, also not in the union.")
    if _near(answer, (found == target)[counted].mean()):
        raise AssertionError("That is the share of pixels that are right; background counts, too.")
    if _near(answer, both / target.sum()):
        raise AssertionError("That is the share of the truth that is found: false alarms are free.")
    if _near(answer, both / (found & counted).sum()):
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
    if _near(given, scores.miou):
        return f"Yours and Scores agree on 40 random episodes: {100 * given:.2f} %."
    each = [mask_iou(prediction, truth) for prediction, truth, _ in episodes]
    if _near(given, float(np.mean(each))):
        raise AssertionError("You average the IoUs of episodes. Within a class, sum first.")
    classes = [i for _, _, i in episodes]
    by_class = [np.mean([v for v, i in zip(each, classes, strict=True) if i == c])
                for c in sorted(set(classes))]  # fmt: skip
    if _near(given, float(np.mean(by_class))):
        raise AssertionError("Within a class you average the episodes' IoUs; sum pixels instead.")
    pooled = Scores()
    for prediction, truth, _ in episodes:
        pooled.update(prediction, truth, 0)
    if _near(given, pooled.miou):
        raise AssertionError("You pool all classes into one; the mean over classes comes last.")
    blind = Scores()
    for prediction, truth, class_id in episodes:
        blind.update(prediction, (truth == 1).astype(np.uint8), class_id)
    if _near(given, blind.miou):
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


# ---- notebook 07 ----------------------------------------------------------------------------


@exercise
def dice_loss(function: Callable) -> str:
    """Dice loss of probabilities (H, W) and a truth of {0, 1, 255}."""
    rng = np.random.default_rng(1)
    p = rng.random((6, 6))
    truth = rng.choice(np.array([0, 1, 255]), (6, 6), p=[0.5, 0.3, 0.2])
    known, target = truth != 255, truth == 1

    def dice(p, target, power=2):
        return 1 - 2 * (p * target).sum() / ((p**power).sum() + target.sum())

    given, expected = float(call(function, p, truth)), float(dice(p * known, target))
    if _near(given, expected, 1e-5):
        perfect = float(function((truth == 1).astype(float), truth))
        assert _near(perfect, 0, 1e-4), f"A perfect prediction costs {perfect:.4f}; expected 0."
        return f"{given:.4f}, as expected; and a perfect prediction costs nothing."
    if _near(given, 1 - expected, 1e-5):
        raise AssertionError("That is the overlap, which should grow; the loss is 1 minus it.")
    if _near(given, dice(p, target), 1e-5):
        raise AssertionError("Pixels whose truth is 255 still count: set p to 0 there.")
    if _near(given, dice(p * known, target, 1), 1e-5):
        raise AssertionError("The denominator has the squares of p: sum(p²) + sum(truth).")
    if _near(given, 1 - 2 * (p * target).sum() / ((p * known) ** 2).sum(), 1e-5):
        raise AssertionError("The denominator lacks the truth's own size.")
    raise AssertionError(f"It gives {given:.4f}; expected {expected:.4f}.")


@exercise
def passes(answer: float, steps: int, batch: int, episodes: int) -> str:
    """How often training has shown each episode, on average."""
    expected = steps * batch / episodes
    if _near(answer, expected, 0.051):
        return f"{steps} steps of {batch} episodes are {expected:.1f} passes over {episodes}."
    if _near(answer, steps / episodes, 0.051):
        raise AssertionError("A step sees a whole batch, not one episode.")
    if _near(answer, 1 / expected, 0.051):
        raise AssertionError("Upside down: episodes seen, divided by episodes there are.")
    raise AssertionError("Episodes seen (steps times batch), divided by episodes there are.")


@exercise
def bootstrap(function: Callable, first: np.ndarray, second: np.ndarray) -> str:
    """Share of resampled tests in which the first method has the higher mIoU.

    `first` and `second` are (classes, episodes, 2): intersection and union of each episode.
    """
    same = float(call(function, first, first))
    assert same <= 0.01, (
        f"Against itself a method wins {100 * same:.0f} % of the resampled tests; expected none: "
        "both methods must be scored on the same drawn episodes."
    )
    better = first.copy()
    better[..., 0] = better[..., 1]  # nothing missed, no false alarm
    worse = first.copy()
    worse[..., 0] = 0
    certain = float(function(better, worse))
    assert certain >= 0.99, (
        f"A perfect method beats one that finds nothing in {100 * certain:.0f} % of the resampled "
        "tests; expected 100 %."
    )
    share, other = float(function(first, second)), float(function(second, first))
    assert 0 <= share <= 1, f"It gives {share:.2f}; expected a share between 0 and 1."
    assert abs(share + other - 1) < 0.1, (
        f"First beats second in {100 * share:.0f} %, second beats first in {100 * other:.0f} %; "
        "expected about 100 % together."
    )
    return f"The first method wins {100 * share:.0f} % of the resampled tests."

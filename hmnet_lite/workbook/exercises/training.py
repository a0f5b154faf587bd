"""Checks of the exercises on training and fair comparison (notebook 07)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from typing import Any

import numpy as np

from hmnet_lite.models.lite import HMNetConfig
from hmnet_lite.workbook.exercises.parts import Unanswered, call, exercise, near

EXPECTED = ("better", "worse", "no difference")


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
    if near(given, expected, 1e-5):
        perfect = float(function((truth == 1).astype(float), truth))
        assert near(perfect, 0, 1e-4), f"A perfect prediction costs {perfect:.4f}; expected 0."
        return f"{given:.4f}, as expected; and a perfect prediction costs nothing."
    if near(given, 1 - expected, 1e-5):
        raise AssertionError("That is the overlap, which should grow; the loss is 1 minus it.")
    if near(given, dice(p, target), 1e-5):
        raise AssertionError("Pixels whose truth is 255 still count: set p to 0 there.")
    if near(given, dice(p * known, target, 1), 1e-5):
        raise AssertionError("The denominator has the squares of p: sum(p²) + sum(truth).")
    if near(given, 1 - 2 * (p * target).sum() / ((p * known) ** 2).sum(), 1e-5):
        raise AssertionError("The denominator lacks the truth's own size.")
    raise AssertionError(f"It gives {given:.4f}; expected {expected:.4f}.")


@exercise
def passes(answer: float, steps: int, batch: int, episodes: int) -> str:
    """How often training has shown each episode, on average."""
    expected = steps * batch / episodes
    if near(answer, expected, 0.051):
        return f"{steps} steps of {batch} episodes are {expected:.1f} passes over {episodes}."
    if near(answer, steps / episodes, 0.051):
        raise AssertionError("A step sees a whole batch, not one episode.")
    if near(answer, 1 / expected, 0.051):
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


@exercise
def ablation(
    change: Mapping[str, Any],
    expected: str,
    base: HMNetConfig,
    run: Callable[[HMNetConfig], np.ndarray],
) -> str:
    """An arm that differs from a base in one switch, its prediction, and what the pair says.

    Args:
        change: the one field of `base` that is another, and its value.
        expected: what the change will do, one of `EXPECTED`; told before the run.
        base: the other arm.
        run: trains and tests an arm; (classes, episodes, 2), intersection and union, the same
            episodes for every arm.
    """
    if expected is ...:
        raise Unanswered("write down what you expect before you run")
    assert expected in EXPECTED, f"You expect {expected!r}; expected one of {', '.join(EXPECTED)}."
    known = {field.name for field in fields(base)}
    for name in change:
        assert name in known, f"HMNetConfig has no {name!r}; it has {', '.join(sorted(known))}."
    arm = replace(base, **change)
    different = [name for name in known if getattr(arm, name) != getattr(base, name)]
    assert different, "Both arms are the same network: change one field of the base."
    assert len(different) == 1, (
        f"The arms differ in {len(different)} things, {', '.join(sorted(different))}; whatever you "
        "find, nobody can say which of them did it. Change one."
    )
    assert different != ["backend"], "A backend computes the same numbers; choose another field."
    areas = [run(config) for config in (base, arm)]
    scores, (low, high) = _paired(*areas)
    found = "no difference" if low <= 0 <= high else "better" if low > 0 else "worse"
    guess = "as you expected" if found == expected else f"and you expected {expected}"
    return (
        f"{different[0]}={getattr(arm, different[0])!r}: mIoU {scores[1]:.1f} %, the base "
        f"{scores[0]:.1f} %; difference {scores[1] - scores[0]:+.1f} [{low:+.1f}, {high:+.1f}] "
        f"over episodes. Seen: {found}, {guess}. One seed of a few steps each: an anecdote with "
        "an interval."
    )


def _paired(base: np.ndarray, arm: np.ndarray) -> tuple[list[float], tuple[float, float]]:
    """mIoU of both in percent, and the 95 % interval of arm minus base, episodes drawn again."""

    def miou(areas: np.ndarray) -> float:
        total = areas.sum(1)
        return 100 * float((total[:, 0] / total[:, 1]).mean())

    rng = np.random.default_rng(0)
    classes, episodes = base.shape[:2]
    rows, gains = np.arange(classes)[:, None], []
    for _ in range(500):
        drawn = rng.integers(episodes, size=(classes, episodes))
        gains.append(miou(arm[rows, drawn]) - miou(base[rows, drawn]))
    low, high = np.percentile(gains, [2.5, 97.5])
    return [miou(base), miou(arm)], (float(low), float(high))

"""The checks of notebook 07: right answers pass, likely mistakes are told apart."""

import matplotlib

matplotlib.use("Agg")

import numpy as np
import pytest

from hmnet_lite import HMNetConfig
from hmnet_lite.workbook.exercises import training as exercises


def dice(p, truth, power=2, ignore=True, own=True):
    p, t = (np.where(truth == 255, 0, p) if ignore else p), truth == 1
    return 1 - 2 * (p * t).sum() / ((p**power).sum() + own * t.sum())


@pytest.mark.parametrize(
    "answer, said",
    [
        (dice, "costs nothing"),
        (lambda p, t: 1 - dice(p, t), "1 minus it"),
        (lambda p, t: dice(p, t, ignore=False), "set p to 0 there"),
        (lambda p, t: dice(p, t, power=1), "squares of p"),
        (lambda p, t: dice(p, t, own=False), "truth's own size"),
        (lambda p, t: 7, "expected"),
    ],
)
def test_dice_loss(answer, said):
    verdict = exercises.dice_loss(answer)
    assert said in repr(verdict)
    assert bool(verdict) == (answer is dice)


@pytest.mark.parametrize(
    "answer, said",
    [
        (4.0, "4.0 passes"),
        (0.5, "whole batch"),
        (0.25, "Upside down"),
        (9, "Episodes seen"),
    ],
)
def test_passes(answer, said):
    verdict = exercises.passes(answer, 100, 8, 200)
    assert said in repr(verdict)
    assert bool(verdict) == (answer == 4.0)


def wins(first, second, repeats=300, paired=True):
    rng, won = np.random.default_rng(0), 0
    classes, episodes, _ = first.shape
    for _ in range(repeats):
        a = rng.integers(episodes, size=(classes, episodes))
        b = a if paired else rng.integers(episodes, size=(classes, episodes))
        rows = np.arange(classes)[:, None]
        x, y = first[rows, a].sum(1), second[rows, b].sum(1)
        won += (x[:, 0] / x[:, 1]).mean() > (y[:, 0] / y[:, 1]).mean()
    return won / repeats


@pytest.mark.parametrize(
    "answer, said",
    [
        (wins, "wins"),
        (lambda a, b: wins(a, b, paired=False), "same drawn episodes"),
        (lambda a, b: 0.0, "expected 100 %"),
        (lambda a, b: float((a[..., 0] > b[..., 0]).all()), "together"),
    ],
)
def test_bootstrap(answer, said):
    rng = np.random.default_rng(2)
    union = rng.integers(500, 5000, (20, 2))
    first, second = (
        np.stack([rng.random((20, 2)) * union, union], -1).astype(float) for _ in range(2)
    )
    verdict = exercises.bootstrap(answer, first, second)
    assert said in repr(verdict)
    assert bool(verdict) == (answer is wins)


def areas(level):
    """Two classes of eight episodes whose IoU is about `level`."""
    union = np.full((2, 8), 100.0)
    intersection = 100 * level + np.arange(16).reshape(2, 8) % 3
    return np.stack([intersection, union], axis=-1)


def trained(config):
    return areas(0.6 if config.qim == "shared" else 0.5)


BASE = HMNetConfig()


@pytest.mark.parametrize(
    "change, expected, said",
    [
        ({"qim": "off"}, "worse", "Seen: worse, as you expected"),
        ({"qim": "off"}, "better", "Seen: worse, and you expected better"),
        ({"srm": "basic"}, "no difference", "Seen: no difference, as you expected"),
        ({"qim": "off"}, ..., "before you run"),
        ({"qim": "off"}, "who knows", "expected one of better, worse"),
        ({"qim": "off", "srm": "basic"}, "worse", "differ in 2 things, qim, srm"),
        ({"qim": "shared"}, "worse", "same network"),
        ({"QIM": "off"}, "worse", "no 'QIM'"),
        ({"backend": "chunked"}, "worse", "same numbers"),
        ({"qim": "loud"}, "worse", "ValueError"),
    ],
)
def test_an_ablation_changes_one_thing(change, expected, said):
    verdict = exercises.ablation(change, expected, BASE, trained)
    assert said in repr(verdict), verdict
    assert bool(verdict) == ("Seen:" in said)


def test_an_ablation_is_not_run_before_it_is_asked():
    def run(config):
        raise AssertionError("not asked")

    assert exercises.ablation(..., ..., BASE, run).right is None

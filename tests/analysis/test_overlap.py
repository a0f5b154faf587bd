"""Shared failures against hand-made cases, and the mean of two answers."""

import numpy as np
import pytest

from hmnet_lite.analysis.overlap import certainty, episode_ious, failing_together, scores_of
from hmnet_lite.scoring.metrics import Scores, mask_iou


def masks(seed, count=6):
    rng = np.random.default_rng(seed)
    return rng.random((count, 5, 7)) > 0.5, rng.random((count, 5, 7)) > 0.5


def test_scores_are_those_of_episodes_one_by_one():
    found, truth = masks(0)
    ids = np.array([3, 4, 3, 4, 5, 5])
    expected = Scores()
    for f, t, i in zip(found, truth, ids, strict=True):
        expected.update(f, t.astype(np.uint8), int(i))
    ours = scores_of(found, truth, ids)
    assert np.array_equal(ours.counts, expected.counts) and ours.miou == expected.miou
    ious = [mask_iou(f, t.astype(np.uint8)) for f, t in zip(found, truth, strict=True)]
    assert np.allclose(episode_ious(found, truth), ious)
    with pytest.raises(ValueError, match=r"expected \(episodes, H, W\) twice, and an id"):
        scores_of(found, truth, ids[:2])


def test_who_fails_alike_fails_more_often_together_than_by_chance():
    rng = np.random.default_rng(0)
    hard = rng.random(400)
    alike = failing_together(hard, np.clip(hard + 0.05 * rng.standard_normal(400), 0, 1))
    apart = failing_together(hard, rng.random(400))
    assert alike["odds"][1] > 1.5 and alike["correlation"][1] > 0.9
    assert apart["odds"][1] < 1 < apart["odds"][2]
    assert apart["correlation"][1] < 0 < apart["correlation"][2]
    assert alike["by chance"] == pytest.approx(np.prod(alike["fails"]))
    other = rng.random(400)
    assert failing_together(hard, other)["correlation"][0] == pytest.approx(
        np.corrcoef(hard, other)[0, 1]
    )


def test_nobody_fails_and_too_few():
    fine = failing_together(np.full(5, 0.9), np.full(5, 0.8))
    assert fine["both"] == 0 and fine["odds"] is None and fine["correlation"] is None
    with pytest.raises(ValueError, match="1 episodes; expected at least two"):
        failing_together(np.ones(1), np.ones(1))


@pytest.mark.parametrize("threshold", ["relative", "absolute"])
def test_certainty_is_half_at_the_threshold(threshold):
    light = np.linspace(0, 0.8, 41).reshape(1, 1, 41)
    sure = certainty(light, threshold, 0.25)[0, 0]
    cut = 0.25 * (0.8 if threshold == "relative" else 1.0)
    assert np.array_equal(sure > 0.5, light[0, 0] > cut)
    assert (np.diff(sure) >= 0).all() and sure[0] == 0
    assert sure[-1] == pytest.approx(1 if threshold == "relative" else 0.5 + 0.55 / 1.5, abs=1e-4)

"""Targets along the scan: their places, and the slope of what they score."""

import numpy as np

from hmnet_lite.experiments.position import positions, slopes
from hmnet_lite.experiments.questions import QUESTIONS
from hmnet_lite.experiments.runs import TEST
from hmnet_lite.experiments.suite import EXPERIMENTS


def test_a_slope_is_that_of_a_straight_line_with_the_spread_of_its_draws():
    rng = np.random.default_rng(0)
    where = rng.random(400)
    flat, steep = rng.normal(0.5, 0.1, 400), 0.6 - 0.2 * where + rng.normal(0, 0.1, 400)
    found = slopes(where, np.stack([flat, steep]), samples=500)
    assert found.shape == (501, 2)
    expected = [np.polyfit(where, y, 1)[0] for y in (flat, steep)]
    np.testing.assert_allclose(found[0], expected, rtol=1e-9)
    low, high = np.quantile(found[1:], [0.025, 0.975], axis=0)
    assert low[0] < 0 < high[0] and low[1] < -0.2 < high[1] < 0


def test_places_are_along_the_rows():
    from dataclasses import replace

    where = positions("same", episodes=6)
    scenes = replace(TEST, fold=0, gap="same", episodes=6).build()
    rows = [np.nonzero(scenes[i].query_mask == 1)[0].mean() / 255 for i in range(6)]
    assert ((where >= 0) & (where <= 1)).all() and len(set(where)) == 6
    np.testing.assert_allclose(where, rows, atol=0.02)


def test_every_question_says_what_was_expected_and_what_it_cannot_say():
    assert list(QUESTIONS) == list(range(1, 9))
    for question in QUESTIONS.values():
        assert question.asked.endswith("?") and question.expected and question.silent
        assert set(question.experiments) <= set(EXPERIMENTS)

"""The interval of a mean over runs and episodes."""

import numpy as np
import pytest

from hmnet_lite.scoring.intervals import mean_interval


def test_the_interval_is_that_of_the_normal_law():
    values = np.random.default_rng(0).normal(3, 1, (1, 400, 2))
    low, high = mean_interval(values, samples=4000)
    mean, error = values.mean((0, 1)), values.std((0, 1)) / 20
    assert low.shape == (2,)
    assert np.allclose(low, mean - 1.96 * error, atol=0.01)
    assert np.allclose(high, mean + 1.96 * error, atol=0.01)


def test_runs_share_their_episodes():
    """Two runs of opposite values: their mean is the same whatever episodes are drawn."""
    one = np.random.default_rng(0).normal(size=(1, 50))
    low, high = mean_interval(np.concatenate([one, -one]))
    assert np.allclose([low, high], 0)


def test_episodes_without_a_value_count_nowhere():
    values = np.full((2, 30), 5.0)
    values[0, :10] = np.nan
    assert np.allclose(mean_interval(values), 5)


def test_nothing_is_refused():
    with pytest.raises(ValueError, match=r"shape \(3,\); expected \(runs, episodes"):
        mean_interval(np.zeros(3))

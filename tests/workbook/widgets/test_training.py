"""The training film holds every snapshot and the loss; what does not fit is told."""

import matplotlib

matplotlib.use("Agg")

import numpy as np
import pytest

from hmnet_lite.workbook.figures.palette import BLUE, ORANGE
from hmnet_lite.workbook.widgets.training import smoothed, training_film
from tests.workbook.widgets.conftest import growing


def test_it_holds_every_snapshot(episodes):
    watched, runs, losses = growing(episodes.values())
    data = training_film(watched, runs, losses, ("same", "held-out")).data
    assert data["percents"] == [0, 50, 100]
    for name, snapshots in runs.items():
        for shown, maps in zip(data["answers"][name], snapshots.values(), strict=True):
            for found, p in zip(shown, maps[:, ::2, ::2], strict=True):
                assert np.array_equal(found > 255 * 0.3, p > 0.3)


def test_a_curve_is_the_means_of_its_pieces():
    assert smoothed([3.0, 1.0]).tolist() == [3, 1]
    assert smoothed(np.arange(240)).tolist() == [2 * i + 0.5 for i in range(120)]


def test_what_does_not_fit_is_told(episodes):
    watched, runs, losses = growing(episodes.values())
    with pytest.raises(ValueError, match="expected the same for every network"):
        training_film(watched, runs | {"other": {0: runs["HMNet-lite"][0]}}, losses)
    with pytest.raises(ValueError, match=r"2 maps at 0 %; expected one for each of 1 episodes"):
        training_film(watched[:1], runs, losses)
    with pytest.raises(ValueError, match="losses of"):
        training_film(watched, runs, {})


def test_a_network_keeps_its_colour_wherever_it_stands(episodes):
    watched, runs, losses = growing(episodes.values())
    for names in (list(runs), list(runs)[::-1]):
        own = {name: runs[name] for name in names}
        data = training_film(watched, own, {name: losses[name] for name in names}).data
        kept = dict(zip(data["networks"], data["colours"], strict=True))
        assert kept == {"HMNet-lite": BLUE, "without Mamba": ORANGE}

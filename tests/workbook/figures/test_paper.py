"""The paper's tables and ours on one scale: what is drawn is what was given."""

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest

from hmnet_lite.workbook.figures import paper as figures
from hmnet_lite.workbook.figures.palette import KEPT

PAIR = {"without Mamba": {"0": 50.0, "1": 52.0}, "HMNet-lite": {"0": 51.0, "1": 52.5}}
DIFFERENCE = {"0": {"mean": 1, "low": -1, "high": 3}, "1": {"mean": 0.5, "low": 0, "high": 1}}
GROUPS = {
    "theirs": {"miou": {"HDMNet": {0: 40.0}, "HMNet": {0: 43.0}}},
    "ours": {"miou": PAIR, "difference": DIFFERENCE},
}
LINE = {"sides": [100, 200], "seconds": [1.0, 4.0], "exponent": 1.0}
PANELS = {
    "them": {"whole": {"HDMNet": LINE | {"seconds": [1.0, None]}, "HMNet": LINE}},
    "us": {"whole": {"HMNet-lite": LINE}, "mixer": {"HMNet-lite": LINE, "attention": LINE}},
}


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def test_groups_are_drawn_from_their_first_row_s_mean():
    figure = figures.other_draws({"seed": GROUPS})
    (ax,) = figure.axes
    shown = [list(line.get_ydata()) for line in ax.lines if line.get_marker() not in ("None", None)]
    assert shown == [[0], [3], [-1, 1], [0, 1.5]]
    (bars,) = ax.collections
    ends = [segment[:, 1].tolist() for segment in bars.get_segments()]
    assert ends == [[-2, 2], [1, 2]], "intervals of the pair, from the first row of each test"
    assert [text.get_text() for text in ax.texts] == ["theirs\n0 is 40.0 %", "ours\n0 is 51.0 %"]
    assert [label.get_text() for label in ax.get_xticklabels()] == ["0", "0", "1"]
    words = [text.get_text() for text in figure.legends[0].get_texts()]
    assert words == [*(look[0] for look in figures.ROWS.values()), figures.INTERVAL]


def test_one_colour_means_one_thing_in_both_figures():
    figure = figures.other_draws({"seed": GROUPS})
    lines = [line for line in figure.axes[0].lines if line.get_marker() not in ("None", None)]
    mine, theirs = KEPT["HMNet-lite"], KEPT["attention"]
    assert [line.get_color() for line in lines] == [theirs, mine, KEPT["without Mamba"], mine]
    them, us = figures.episode_seconds(PANELS).axes
    assert [line.get_color() for line in them.lines] == [theirs, mine]
    assert [line.get_color() for line in us.lines] == [mine, mine, theirs]


def test_seconds_have_their_exponent_and_no_point_without_memory():
    them, us = figures.episode_seconds(PANELS).axes
    assert [len(line.get_xdata()) for line in them.lines] == [1, 2]
    labels = [text.get_text() for text in us.get_legend().get_texts()]
    assert labels[1] == "HMNet-lite, mixer alone: 1.00"
    assert np.all([ax.get_xscale() == ax.get_yscale() == "log" for ax in (them, us)])
    assert len({line.get_linestyle() for line in us.lines}) == 2, "parts differ in their dashes"

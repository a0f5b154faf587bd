"""Figures of the published HMNet show the numbers they are given."""

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest

from hmnet_lite.machine import Timeline
from hmnet_lite.workbook.figures.published import (
    evidence_row,
    memory_over_time,
    parameter_bars,
    parity_maps,
)


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def test_evidence_is_on_one_scale_and_the_answer_is_scored():
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
    mask = np.zeros((8, 8), np.uint8)
    mask[2:6, 2:6] = 1
    maps = {"a": rng.random((4, 4)), "b": rng.random((8, 8)) / 10}
    answer = np.zeros((8, 8), bool)
    answer[2:6, 2:4] = True
    figure = evidence_row(image, mask, maps, answer=answer)
    titles = [ax.get_title() for ax in figure.axes[:4]]
    assert titles == ["query", "a", "b", "answer, IoU 50 %"]
    for ax, values in zip(figure.axes[1:3], maps.values(), strict=True):
        shown = ax.images[0]
        assert np.array_equal(shown.get_array(), values) and shown.get_clim() == (0, 1)
    faded = figure.axes[3].images[0].get_array()
    assert np.array_equal(faded[answer], image[answer]) and faded[~answer].min() >= 191


def test_parity_shows_both_maps_on_one_scale_and_their_difference():
    published = np.arange(12.0).reshape(3, 4)
    ours = published + 2e-6 * np.eye(3, 4)
    first, second, difference = (a.images[0] for a in parity_maps(published, ours, "x").axes[:3])
    assert first.get_clim() == second.get_clim() == (0, 11)
    assert np.allclose(difference.get_array(), 2 * np.eye(3, 4), atol=1e-6)
    assert -difference.norm.vmin == difference.norm.vmax == pytest.approx(2)
    parity_maps(published, published, "nothing differs")


def test_bars_end_at_their_sums_and_marks_stand_at_the_paper_s_numbers():
    parts = {"a": [20, 21], "b": [3, 4], "c": [1, 0.5]}
    ax = parameter_bars(parts, [4, 6], [23.0, 25.1]).axes[0]
    ends = [[bar.get_x() + bar.get_width() for bar in bars] for bars in ax.containers]
    assert ends == [[20, 21], [23, 25], [24, 25.5]]
    assert [line.get_xdata()[0] for line in ax.lines] == [23.0, 25.1]
    assert {"24.00", "25.50", "23.0", "25.1"} == {text.get_text() for text in ax.texts}


def test_memory_is_drawn_as_it_was():
    spans = (("a", 0.0, 1.0), ("b", 1.5, 2.0), ("a", 2.0, 3.0))
    timeline = Timeline(np.array([0.5, 2.5]), np.array([3_000_000, 1_000_000]), spans)
    ax = memory_over_time(timeline).axes[0]
    assert np.array_equal(ax.lines[0].get_ydata(), [3, 1])
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["a", "b"]
    assert len(ax.patches) == 3

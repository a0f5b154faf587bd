"""The figures show what they were given: means, seeds where there are several, intervals."""

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest

from hmnet_lite.workbook.figures import experiments as figures

PANELS = {
    "same": {"one": {"a": {"right": [0.4, 0.5], "wrong": [0.2, 0.2]}, "b": {"right": [0.3]}}},
    "cross": {"two": {"b": {"right": [0.25], "wrong": [0.25], "none": [0.1]}}},
}
DIFFERENCES = {
    "same": {
        "q: against a": {
            "b": {"mean": 0.02, "low": 0.01, "high": 0.03, "seeds": 3, "each": [0.01, 0.02, 0.03]},
            "c": {"mean": 0.01, "low": -0.01, "high": 0.03, "seeds": 1, "each": [0.01]},
            "d": {"mean": 0.02, "low": 0.01, "high": 0.03, "seeds": 2, "each": [-0.01, 0.05]},
        }
    },
    "held_out": {
        "r: against a": {"b": {"mean": -0.2, "low": -0.3, "high": -0.1, "seeds": 1, "each": [-0.2]}}
    },
}


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def rows(figure):
    """Row names from the top, with their places."""
    ax = figure.axes[0]
    labels = [t.get_text() for t in ax.get_yticklabels()]
    return dict(zip(labels, ax.get_yticks(), strict=True))


def test_support_use():
    figure = figures.support_use(PANELS)
    same, cross = figure.axes
    assert [ax.get_title() for ax in figure.axes] == ["same", "cross"]
    labels = [t.get_text() for t in same.get_yticklabels()]
    assert labels == ["one", "a", "b", "two", "b"], "one name may stand in two groups"
    lengths = [line.get_xdata() for line in (*same.lines, *cross.lines)]
    assert lengths[0] == pytest.approx([20, 45])  # a network that listens has a long line
    assert lengths[1] == pytest.approx([30, 30]) and lengths[2] == pytest.approx([10, 25])
    assert same.lines[0].get_ydata()[0] == rows(figure)["a"]
    points = [len(dots.get_offsets()) for dots in same.collections]
    assert sorted(points) == [1, 1, 1, 2, 2], "seeds are faint dots where there are several"
    (legend,) = figure.legends
    words = [text.get_text() for text in legend.get_texts()]
    assert words == [words for _, _, words in figures.LOOKS.values()]


def test_differences():
    figure = figures.differences(DIFFERENCES)
    same, held_out = figure.axes
    assert held_out.get_title() == "held-out"
    labels = [t.get_text() for t in same.get_yticklabels()]
    assert labels == ["q: against a", "b (3)", "c (1)", "d (2)", "r: against a", "b (1)"]
    bars = [line for line in (*same.lines, *held_out.lines) if len(line.get_xdata()) == 2]
    intervals = [line.get_xdata() for line in bars if line.get_color() == figures.BLUE]
    assert np.array(intervals) == pytest.approx(np.array([[1, 3], [-1, 3], [1, 3], [-30, -10]]))
    dots = [line for line in (*same.lines, *held_out.lines) if len(line.get_xdata()) == 1]
    assert [dot.get_xdata()[0] for dot in dots] == pytest.approx([2, 1, 2, -20])
    hollow = [dot.get_markerfacecolor() == "white" for dot in dots]
    assert hollow == [False, True, True, False], "seen is what every pair and the interval say"
    assert same.get_yticks()[1] == bars[1].get_ydata()[0]


def test_every_seed_s_difference_is_a_stroke_where_it_is_known():
    found = DIFFERENCES["same"]["q: against a"]["b"] | {"each": [0.0, 0.02, 0.04]}
    ax = figures.differences({"same": {"q": {"b": found, "c": found | {"each": []}}}}).axes[0]
    strokes = [dots.get_offsets().tolist() for dots in ax.collections if len(dots.get_offsets())]
    y = dict(zip([t.get_text() for t in ax.get_yticklabels()], ax.get_yticks(), strict=True))
    assert strokes == [[[0, y["b (3)"]], [2, y["b (3)"]], [4, y["b (3)"]]]]


@pytest.mark.parametrize("draw", [figures.support_use, figures.differences])
def test_nothing_to_draw_is_told(draw):
    with pytest.raises(ValueError, match=r"there are no .* to draw"):
        draw({"same": {}})

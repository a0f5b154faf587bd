"""Figures of scan algorithms show the numbers they are given."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from hmnet_lite.workbook.figures import algorithms


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def test_the_tree_is_drawn_with_prefixes_marked():
    ax = algorithms.scan_tree(4)
    texts = {text.get_text(): text.get_bbox_patch().get_facecolor() for text in ax.texts}
    assert set(texts) == {"1", "2", "3", "4", "1-2", "3-4", "1-4", "1-3"}
    orange = {name for name, colour in texts.items() if colour[:3] != (1, 1, 1)}
    assert orange == {"1", "1-2", "1-3", "1-4"}
    assert len(ax.lines) == 2 * 4  # two edges a join


def test_a_matrix_stands_between_its_output_and_its_input():
    M, u = np.tril(np.ones((3, 3))), np.array([1.0, -2, 4])
    y, square, line = (ax for ax in algorithms.matrix_product(M, u, M @ u).axes if ax.images)
    assert np.array_equal(square.images[0].get_array(), M)
    assert np.array_equal(line.images[0].get_array()[:, 0], u)
    assert np.array_equal(y.images[0].get_array()[:, 0], [1, -1, 3])
    low, high = line.images[0].get_clim()
    assert low == -high  # white is zero


def test_slope_of_a_power_law():
    x = np.array([2, 8, 32])
    assert algorithms.log_slope(x, 5 * x**1.5) == pytest.approx(1.5)


def test_costs_are_lines_with_one_look_a_name():
    x = (64, 128)
    panels = {"ms": {"loop": (x, (1, 2)), "tree": (x, (3, 4))}, "MB": {"tree": (x, (5, 6))}}
    figure = algorithms.log_lines(panels, "length", xlabels={64: "short"})
    left, right = figure.axes
    assert [list(line.get_ydata()) for line in left.lines] == [[1, 2], [3, 4]]
    assert left.lines[1].get_color() == right.lines[0].get_color()
    assert (left.get_ylabel(), right.get_ylabel(), left.get_xlabel()) == ("ms", "MB", "length")
    assert [label.get_text() for label in left.get_xticklabels()] == ["short", "128"]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["loop", "tree"]


def film(step=None):
    delta, A = np.array([0.1, 0.5, 0.1]), np.array([-1.0, -4.0])
    states = np.array([[1.0, 2.0], [3.0, -4.0], [2.0, 1.0]])
    return algorithms.state_film(np.ones(3), delta, A, states, step=step), delta, A, states


def test_a_film_shows_decay_and_state():
    figure, delta, A, states = film()
    decay, state = (ax.images[0] for ax in figure.axes if ax.images)
    assert np.allclose(decay.get_array(), np.exp(delta * A[:, None]))
    assert np.array_equal(state.get_array(), states.T)


def test_a_step_of_a_film_splits_the_state_and_hides_the_future():
    figure, delta, A, states = film(step=2)
    state = [ax.images[0].get_array() for ax in figure.axes if ax.images][1]
    state = np.ma.filled(state, np.nan)
    assert np.isnan(state[:, 2]).all() and np.array_equal(state[:, :2], states.T[:, :2])
    (now,) = (ax for ax in figure.axes if "entries" in ax.get_xlabel())
    kept, written = ([bar.get_width() for bar in bars] for bars in now.containers)
    assert np.allclose(kept, np.exp(delta[1] * A) * states[0])
    assert np.allclose(np.add(kept, written), states[1])
    with pytest.raises(ValueError, match="step is 4; expected 1 to 3"):
        film(step=4)


def test_the_roof_is_the_lower_of_both_limits():
    ax = algorithms.roofline({"loop": (0.1, 20.0), "kernel": (8.0, 90.0)}, 100.0, 50.0)
    x, y = ax.lines[0].get_data()
    assert np.allclose(y, np.minimum(100, 50 * x)) and x[0] < 0.1 and x[-1] > 8
    assert [line.get_xydata().tolist() for line in ax.lines[1:]] == [[[0.1, 20]], [[8, 90]]]

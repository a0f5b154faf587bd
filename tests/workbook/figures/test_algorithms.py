"""Figures of scan algorithms and traversals show the numbers they are given."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from hmnet_lite.maps import reading_order
from hmnet_lite.workbook.figures import algorithms, traversals


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


@pytest.mark.parametrize("length", [1, 2, 8, 64])
def test_a_tree_joins_what_is_there_and_finishes_every_prefix(length):
    known = {(t, t) for t in range(1, length + 1)}
    rounds = algorithms.tree_joins(length)
    for joins in rounds:
        made = set()
        for left, right in joins:
            assert {left, right} <= known and left[1] + 1 == right[0]  # of earlier rounds
            made.add((left[0], right[1]))
        assert not made & known and len(made) == len(joins)  # nothing twice
        known |= made
    assert {(1, t) for t in range(1, length + 1)} <= known
    log = length.bit_length() - 1
    assert sum(map(len, rounds)) == 2 * length - 2 - log
    assert len(rounds) == max(2 * log - 1, 0)


@pytest.mark.parametrize("length", [0, 3, 12])
def test_a_tree_needs_a_power_of_two(length):
    with pytest.raises(ValueError, match=f"length is {length}; expected a power of two"):
        algorithms.tree_joins(length)


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


def test_reading_times_invert_an_order():
    order = np.array([2, 0, 3, 1])
    assert traversals.reading_times(order).tolist() == [1, 3, 0, 2]


def test_numbers_tell_when_a_cell_is_read():
    figure = traversals.order_numbers(reading_order(2, 3).numpy(), (2, 3))
    numbers = [[int(text.get_text()) for text in ax.texts] for ax in figure.axes]
    assert numbers == [
        [1, 2, 3, 4, 5, 6],
        [1, 3, 5, 2, 4, 6],
        [6, 5, 4, 3, 2, 1],
        [6, 4, 2, 5, 3, 1],
    ]


def test_distances_count_the_steps_back_and_leave_the_future_blank():
    figure = traversals.distance_maps(reading_order(2, 3).numpy(), (2, 3), (1, 0))
    rows, columns = (np.ma.filled(ax.images[0].get_array(), np.nan) for ax in figure.axes[:2])
    assert np.array_equal(rows, [[3, 2, 1], [np.nan] * 3], equal_nan=True)
    assert np.array_equal(columns, [[1, np.nan, np.nan], [np.nan] * 3], equal_nan=True)


def test_fields_are_relative_and_only_zero_stays_white():
    field = np.array([[4.0, 0.04], [1e-9, 0.0]])
    figure = traversals.receptive_fields({"one": field}, decades=3)
    shown = np.ma.filled(figure.axes[0].images[0].get_array(), np.nan)
    assert np.allclose(shown, [[1, 0.01], [1e-3, np.nan]], equal_nan=True)


def test_a_picture_is_unrolled_in_reading_order():
    image = np.arange(18, dtype=np.uint8).reshape(2, 3, 3)
    order = reading_order(2, 3)[1].numpy()  # by columns: cells 0, 3, 1, 4, 2, 5
    strip = traversals.unrolled(image, order, (2, 3), 4).axes[1].images[0].get_array()
    assert np.array_equal(strip[0, :4], image.reshape(6, 3)[[0, 3, 1, 4]])
    assert (strip[0, 4:] == 255).all()
    for step, shape in ((0, (2, 3)), (7, (2, 3)), (1, (3, 2))):
        with pytest.raises(ValueError, match="expected a step from 1 to 6"):
            traversals.unrolled(image, order, shape, step)

"""Figures of the hidden state are checked on their numbers: curves, bands, paths, strips, marks."""

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.colors import to_hex

from hmnet_lite.maps import reading_order
from hmnet_lite.workbook.figures import state as figures
from hmnet_lite.workbook.figures.palette import BLUE, ORANGE

IMAGE = np.full((32, 64, 3), 40, np.uint8)  # twice as wide as high, to catch swapped axes
SIZE = (2, 4)  # of the map: cells of 16 × 16 pixels


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def test_split_areas_stack_to_the_state():
    support, query = np.array([1.0, 2, 1, 0.5]), np.array([0.0, 0, 2, 3])
    ax = figures.split_areas(support, query, 2)
    below, above = ax.containers
    assert [b.get_height() for b in below] == support.tolist()
    assert [b.get_y() + b.get_height() for b in above] == (support + query).tolist()
    assert [b.get_x() + b.get_width() / 2 for b in below] == [1, 2, 3, 4]
    assert ax.lines[0].get_xdata()[0] == 2.5, "the border lies between the steps 2 and 3"
    assert to_hex(below[0].get_facecolor()).upper() == BLUE
    assert to_hex(above[0].get_facecolor()).upper() == ORANGE
    with pytest.raises(ValueError, match=r"expected two lines of the same length"):
        figures.split_areas(support, query[1:], 2)
    with pytest.raises(ValueError, match=r"the query starts at 5"):
        figures.split_areas(support, query, 5)


def curves(seed):
    return np.random.default_rng(seed).random((2, 11, 6))


def test_forgetting_panels_show_mean_band_and_recaps_of_every_direction():
    rows = {"cosine": {"a": -curves(0), "b": curves(1)}, "share": {"a": curves(2), "b": curves(3)}}
    drawn = {k: {n: figures.over_episodes(v) for n, v in row.items()} for k, row in rows.items()}
    figure = figures.forgetting_panels(drawn, directions=("→", "↓"), segment=2)
    assert len(figure.axes) == 4 and [ax.get_title() for ax in figure.axes[:2]] == ["→", "↓"]
    for at, ax in enumerate(figure.axes):
        row, direction = list(rows.values())[at // 2], at % 2
        named = {line.get_label(): line for line in ax.lines if line.get_label() in row}
        bands = [c for c in ax.collections if isinstance(c, PolyCollection)]
        recaps = [line.get_xdata()[0] for line in ax.lines if line.get_label() not in row]
        assert recaps == [2.5, 4.5]
        for (name, values), band in zip(row.items(), bands, strict=True):
            own = 100 * values[direction]
            assert named[name].get_xdata().tolist() == [1, 2, 3, 4, 5, 6]
            assert np.allclose(named[name].get_ydata(), own.mean(0))
            y = band.get_paths()[0].vertices[:, 1]
            assert np.isclose(y.min(), np.percentile(own, 10, axis=0).min())
            assert np.isclose(y.max(), np.percentile(own, 90, axis=0).max())
    assert figure.axes[0].get_ylim()[0] < -50, "negative cosines are not cut off"
    assert [ax.get_ylabel() for ax in figure.axes[::2]] == ["cosine (%)", "share (%)"]
    (legend,) = figure.legends
    assert [t.get_text() for t in legend.get_texts()] == ["a", "b"]
    with pytest.raises(ValueError, match=r"expected \(3, 4, length\)"):
        figures.forgetting_panels({"share": {"a": curves(0)}})


@pytest.mark.parametrize("ratio", [1, 2])
def test_reading_orders_run_through_the_middle_of_every_cell(ratio):
    orders = reading_order(*SIZE, ratio).numpy()
    figure = figures.reading_orders(IMAGE, orders, SIZE, ratio=ratio)
    assert [ax.get_title() for ax in figure.axes] == list(figures.DIRECTION_NAMES)
    for ax, order in zip(figure.axes, orders, strict=True):
        (path,) = [c for c in ax.collections if isinstance(c, LineCollection)]
        pieces = np.array(path.get_segments())
        corners = np.concatenate([pieces[:, 0], pieces[-1:, 1]])
        expected = [(order_ % 4 * 16 + 7.5, order_ // 4 * 16 + 7.5) for order_ in order]
        assert np.allclose(corners, expected)
        assert path.get_array().tolist() == list(range(7)), "colour is the time"
        start, end = ax.lines[-2:]
        assert (start.get_marker(), end.get_marker()) == ("o", "s")
        assert np.allclose([*start.get_xydata(), *end.get_xydata()], [expected[0], expected[-1]])
        borders = [line.get_xdata()[0] for line in ax.lines[:-2]]
        assert borders.count(31.5) == (ratio == 2), "the upright border between two patches"


def test_reading_plans_are_as_long_as_their_steps():
    plans = {
        "once": [("support", 8), ("query", 8)],
        "affine": [("support", 2), ("recap", 0), ("query", 4), ("recap", 0), ("query", 4)],
    }
    ax = figures.reading_plans(plans)
    bars = [bar for container in ax.containers for bar in container]
    drawn = [(b.get_y() + b.get_height() / 2, b.get_x(), b.get_width()) for b in bars]
    assert np.allclose(drawn, [(0, 0, 8), (0, 8, 8), (1, 0, 2), (1, 2, 4), (1, 6, 4)])
    assert [line.get_xdata()[0] for line in ax.lines] == [2, 6]
    assert [t.get_text().strip() for t in ax.texts] == ["16 steps", "10 steps"]
    assert [t.get_text() for t in ax.get_yticklabels()] == ["once", "affine"]
    with pytest.raises(ValueError, match=r"'pause'; expected support, query or recap"):
        figures.reading_plans({"x": [("pause", 3)]})


def test_affine_lines_have_the_slope_and_height_they_name():
    before = np.array([[-1.0, 0, 1], [-1, 0, 1]])
    P, H_S = np.array([0.5, 0.1]), np.array([0.2, -0.3])
    after = P[:, None] * before + H_S[:, None]
    ax = figures.affine_lines(before, after, P, H_S)
    assert (ax.lines[0].get_label(), ax.lines[0].get_slope()) == ("nothing changes", 1)
    lines, marks = ax.lines[1::2], ax.lines[2::2]
    for line, mark, x, y in zip(lines, marks, before, after, strict=True):
        assert np.allclose(line.get_xydata(), [(x[0], y[0]), (x[-1], y[-1])])
        assert np.allclose(mark.get_xydata(), np.stack([x, y], axis=1))
    assert [line.get_label() for line in lines] == [
        "P = 0.50, H_S = +0.20", "P = 0.10, H_S = -0.30",
    ]  # fmt: skip


def test_ratio_sweep_shows_pictures_shares_and_notes():
    pictures = {1: IMAGE, 4: IMAGE[::4, ::4]}
    lows, highs = np.array([[0.1, 0.3], [0.4, 0.6]]), np.array([[0.9, 0.9], [0.8, 1.0]])
    figure = figures.ratio_sweep(pictures, lows, highs, ["one", "four"])
    *shown, share = figure.axes
    assert [ax.get_title() for ax in shown] == ["α = 1", "α = 4"]
    assert shown[1].images[0].get_array().shape == (8, 16, 3)
    after, end = share.lines
    assert np.allclose(after.get_ydata(), [90, 90]) and np.allclose(end.get_ydata(), [20, 50])
    assert [t.get_text() for t in share.get_xticklabels()] == ["1\none", "4\nfour"]


def test_scan_position_marks_cell_share_and_what_was_read_since_the_recap():
    order = reading_order(*SIZE, 2)[0].numpy()  # patches of 1 × 2 cells
    share = np.linspace(0.9, 0.2, 8)
    figure = figures.scan_position(IMAGE, order, SIZE, share, 3, ratio=2)
    left, right = figure.axes
    row, column = divmod(int(order[2]), 4)
    (cell,) = left.patches
    assert cell.get_xy() == (16 * column - 0.5, 16 * row - 0.5)
    assert (cell.get_width(), cell.get_height()) == (16, 16)
    opacity = left.images[1].get_array()[..., 3]
    assert opacity.ravel()[order].tolist() == [0.25, 0.25, 0.6, 0, 0, 0, 0, 0]
    assert left.get_title() == "3 of 8 pixels read"
    assert right.get_title() == "support's share of the memory here: 70 %"
    assert np.allclose(right.lines[-1].get_xydata(), [[3, 70]])
    assert [line.get_xdata()[0] for line in right.lines[:-2]] == [2.5, 4.5, 6.5]
    for step in (0, 9):
        with pytest.raises(ValueError, match=rf"step is {step}; expected 1 to 8"):
            figures.scan_position(IMAGE, order, SIZE, share, step, ratio=2)

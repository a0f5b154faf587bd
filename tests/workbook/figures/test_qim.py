"""Notebook 05's figures are checked on their numbers: means, bars, matrices, marks."""

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_hex

from hmnet_lite.workbook.figures import qim as figures
from hmnet_lite.workbook.figures.palette import BLUE, ORANGE

GAPS = ("same", "held_out")
SHARES = {"support": 0.5, "own pixel": 0.25, "other query FG": 0.2, "query BG": 0.05}


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def test_dial_panels_show_means_and_their_confidence():
    rng = np.random.default_rng(0)
    panels = {
        title: {name: [rng.random(9), rng.random(16)] for name in ("a", "b")} for title in "xy"
    }
    figure = figures.dial_panels(panels, GAPS, ylabel="cosine", bottom=0)
    assert [ax.get_title() for ax in figure.axes] == ["x", "y"]
    for ax, curves in zip(figure.axes, panels.values(), strict=True):
        for drawn, values in zip(ax.containers, curves.values(), strict=True):
            line, _, (bars,) = drawn
            assert np.allclose(line.get_ydata(), [v.mean() for v in values])
            assert np.allclose(line.get_xdata(), [0, 1], atol=0.05)
            half = [(end[1] - start[1]) / 2 for start, end in bars.get_segments()]
            assert np.allclose(half, [1.96 * v.std(ddof=1) / len(v) ** 0.5 for v in values])
        assert [t.get_text() for t in ax.get_xticklabels()] == ["same", "held-out"]
    assert figure.axes[0].get_ylabel() == "cosine" and figure.axes[0].get_ylim()[0] == 0
    (legend,) = figure.legends
    assert [t.get_text() for t in legend.get_texts()] == ["a", "b"]
    with pytest.raises(ValueError, match=r"'a' has values at 1 gaps; expected 2: same, held_out"):
        figures.dial_panels({"x": {"a": [rng.random(3)]}}, GAPS, ylabel="")


def test_writer_bars_stack_to_the_whole():
    rows = {"one": SHARES, "two": dict(zip(SHARES, (0.1, 0.2, 0.3, 0.4), strict=True))}
    ax = figures.writer_bars(rows)
    ends = np.zeros(2)
    for bars, name in zip(ax.containers, figures.WRITERS, strict=True):
        assert np.allclose([b.get_x() for b in bars], ends)
        assert np.allclose([b.get_width() for b in bars], [100 * r[name] for r in rows.values()])
        ends += [b.get_width() for b in bars]
    assert np.allclose(ends, 100)
    colours = [to_hex(bars[0].get_facecolor()).upper() for bars in ax.containers]
    assert (colours[0], colours[2]) == (BLUE, ORANGE)
    assert [t.get_text() for t in ax.texts] == ["50", "10", "25", "20", "20", "30", "5", "40"]
    assert [t.get_text() for t in ax.get_yticklabels()] == list(rows)
    for wrong in (SHARES | {"support": 0.9}, {"support": 1.0}):
        with pytest.raises(ValueError, match="expected shares of support, own pixel"):
            figures.writer_bars({"x": wrong})


def test_hearing_matrices_leave_exact_zeros_blank_and_scale_to_the_largest():
    lower = np.tril(np.full((4, 4), 2.0))
    figure = figures.hearing_matrices({"scan": lower, "QIM": np.diag([1.0, 2, 3, 4])}, segment=2)
    scan, qim, colours = figure.axes
    for ax, matrix in ((scan, lower), (qim, np.diag([1.0, 2, 3, 4]))):
        shown = ax.images[0].get_array()
        assert (shown.mask == (matrix == 0)).all()
        assert np.allclose(shown.filled(0), matrix / matrix.max())
        assert {line.get_xdata()[0] for line in ax.lines if line.get_xdata()[0] != 0} == {1.5}
    assert scan.images[0].norm.vmin == 1e-5 and scan.images[0].norm.vmax == 1
    assert (scan.get_ylabel(), scan.get_xlabel()) == ("output pixel p", "input pixel q")
    assert "largest" in colours.get_ylabel()


def test_skip_slip_marks_the_one_number_and_sorts_both_panels():
    D = np.array([1.1, 0.9, 1.3])
    difference = (D[0] - D)[:, None] * np.ones((1, 5))
    figure = figures.skip_slip(D, difference)
    left, right = figure.axes[:2]
    level, points, first = left.lines
    assert level.get_ydata()[0] == 1.1
    assert points.get_ydata().tolist() == [0.9, 1.1, 1.3]
    assert first.get_xydata().tolist() == [[1, 1.1]], "channel 0 comes second when sorted"
    shown = right.images[0].get_array()
    assert np.allclose(shown[:, 0], [0.2, 0, -0.2])
    assert np.isclose(right.images[0].get_clim(), (-0.2, 0.2)).all()


def test_stage_lines_show_the_change_since_the_first_stage():
    panels = {"seed 0": {"SRM": [0.1, 0.2], "both": [0.5, 0.4]}, "seed 1": {"SRM": [0.3, 0.3]}}
    figure = figures.stage_lines(panels, ["in", "out"], ylabel="cosine")
    first, second = figure.axes
    srm, both, zero = first.lines
    assert np.allclose(srm.get_ydata(), [0, 0.1]) and np.allclose(both.get_ydata(), [0, -0.1])
    assert zero.get_ydata()[0] == 0 and srm.get_color() != both.get_color()
    assert np.allclose(second.lines[0].get_ydata(), 0)
    assert [ax.get_title() for ax in figure.axes] == ["seed 0", "seed 1"]
    assert [t.get_text() for t in figure.legends[0].get_texts()] == ["SRM", "both"]
    assert [t.get_text() for t in first.get_xticklabels()] == ["in", "out"]


def test_who_is_heard_shows_loudness_the_pixel_and_the_shares():
    images = (np.full((32, 32, 3), 40, np.uint8), np.full((32, 64, 3), 40, np.uint8))
    support, query = np.zeros((2, 2)), np.zeros((2, 4))
    support[0, 1], query[1, 2], query[0, 3] = 4.0, 99.0, 1.0
    figure = figures.who_is_heard(images, (support, query), (1, 2), {"SRM": SHARES})
    left, right, bars = figure.axes
    loud = [ax.images[1].get_array()[..., 3] for ax in (left, right)]
    assert np.allclose(loud[0], [[0, 0.9], [0, 0]]), "the loudest of both is opaque"
    assert np.isclose(loud[1][0, 3], 0.45) and loud[1][1, 2] == 0, "√(1/4); itself left out"
    (cell,) = right.patches
    assert cell.get_xy() == (31.5, 15.5) and (cell.get_width(), cell.get_height()) == (16, 16)
    assert [t.get_text() for t in bars.get_yticklabels()] == ["SRM"]
    with pytest.raises(ValueError, match=r"pixel \(2, 0\) is not on the map"):
        figures.who_is_heard(images, (support, query), (2, 0), {"SRM": SHARES})

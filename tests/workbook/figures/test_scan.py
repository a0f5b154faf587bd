"""Figures of the scan hold the numbers they are given."""

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest

from hmnet_lite.workbook.figures import scan as figure_scan


def test_sampled_curves_hold_the_numbers_and_say_who_leaves():
    time = np.linspace(0, 2, 21)
    tame, wild = np.array([0.0, 0.5, 0.8]), np.array([0.0, 5.0, -20.0])
    figure = figure_scan.sampled_curves(
        time, 1 - np.exp(-time), np.ones(21), {"tame": ([0, 1, 2], tame), "wild": ([0, 1, 2], wild)}
    )
    lines = {line.get_label(): line.get_ydata() for line in figure.axes[0].lines}
    assert np.array_equal(lines["tame"], tame)
    assert np.array_equal(lines["wild (leaves the picture)"], wild)
    assert np.allclose(lines["the true curve"], 1 - np.exp(-time))
    with pytest.raises(ValueError, match="expected the same"):
        figure_scan.sampled_curves(time, time[1:], time, {})
    plt.close(figure)


def test_curves_against_the_step_leave_out_zeros():
    x = np.array([0.1, 1.0, 10.0])
    ax = figure_scan.against_step(
        x, {"error": [0.0, 1.0, np.inf]}, xlabel="x", ylabel="y", mark=(0.1, 1), mark_label="here"
    )
    (line,) = ax.lines
    assert np.array_equal(np.isnan(line.get_ydata()), [True, False, True])
    assert ax.get_xscale() == ax.get_yscale() == "log"
    assert "here" in [text.get_text() for text in ax.get_legend().get_texts()]
    plt.close(ax.figure)


def test_mixing_matrices_hide_the_future_and_share_their_scale():
    low = np.tril(np.arange(16.0).reshape(4, 4))
    figure = figure_scan.mixing_matrices({"a": low, "b": -2 * low})
    images = [ax.images[0] for ax in figure.axes[:2]]
    for image, matrix in zip(images, (low, -2 * low), strict=True):
        shown = image.get_array()
        assert np.array_equal(shown.mask, np.triu(np.ones((4, 4), bool), 1))
        assert np.array_equal(shown.filled(0), matrix)
        assert image.get_clim() == (-30, 30)
    plt.close(figure)
    with pytest.raises(ValueError, match="from the future"):
        figure_scan.mixing_matrices({"a": low.T})
    with pytest.raises(ValueError, match="expected a square matrix"):
        figure_scan.mixing_matrices({"a": low[:3]})


def test_memory_panels_show_what_is_wanted():
    inputs, marked = np.array([1.0, 5.0, 2.0, 3.0]), np.array([False, True, False, True])
    figure = figure_scan.memory_panels(inputs, marked, {"copy": inputs, "none": 0 * inputs})
    wanted, state = figure.axes[1].lines
    assert np.array_equal(wanted.get_ydata(), [np.nan, 5, 5, 3], equal_nan=True)
    assert np.array_equal(state.get_ydata(), inputs)
    assert len(figure.axes) == 3
    plt.close(figure)
    with pytest.raises(ValueError, match="'copy' has shape"):
        figure_scan.memory_panels(inputs, marked, {"copy": inputs[1:]})


def test_seed_bars_show_means_and_every_seed():
    ax = figure_scan.seed_bars({"a": [0.5, 0.7], "b": [1.0]}, chance=0.25)
    assert [patch.get_width() for patch in ax.patches] == pytest.approx([60, 100])
    assert sorted(ax.lines[0].get_xdata()) == pytest.approx([50, 70])
    assert ax.lines[-1].get_xdata()[0] == 25
    plt.close(ax.figure)
    for wrong in ([], [1.2]):
        with pytest.raises(ValueError, match="expected shares"):
            figure_scan.seed_bars({"a": wrong}, chance=0.25)

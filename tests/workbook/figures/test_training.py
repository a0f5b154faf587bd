"""Curves and bars hold the numbers of their runs and reports."""

from types import SimpleNamespace

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.container import BarContainer

from hmnet_lite.data.emoji.protocol import Protocol
from hmnet_lite.scoring.metrics import Scores
from hmnet_lite.scoring.report import Report
from hmnet_lite.workbook.figures import training as figures


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def run(steps):
    return SimpleNamespace(
        loss=[2 - i / steps for i in range(steps)],
        iou=[i / steps for i in range(steps)],
        seconds=[30.0 * i for i in range(steps)],
    )


def test_running_mean():
    values = np.array([0.0, 3.0, 6.0, 9.0, 30.0])
    assert figures.running_mean(values, 3).tolist() == [1.5, 3.0, 6.0, 15.0, 19.5]
    assert figures.running_mean(values, 0).tolist() == values.tolist()
    assert figures.running_mean(np.full(50, 7.0), 9) == pytest.approx(7.0)


@pytest.mark.parametrize("against, scale", [("step", 1), ("seconds", 0.5)])
def test_training_curves(against, scale):
    histories = {"base": run(40), "HMNet-lite": run(60)}
    figure = figures.training_curves(histories, against=against, smooth=0.1)
    left, right = figure.axes
    raw, smooth = left.lines[2:]
    offset = 1 if against == "step" else 0
    assert raw.get_xdata() == pytest.approx(scale * (np.arange(60) + offset))
    assert raw.get_ydata() == pytest.approx(histories["HMNet-lite"].loss)
    assert smooth.get_ydata() == pytest.approx(
        figures.running_mean(histories["HMNet-lite"].loss, 6)
    )
    assert right.lines[0].get_ydata() == pytest.approx(100 * np.array(histories["base"].iou))
    assert raw.get_alpha() < 1 and smooth.get_alpha() is None
    assert left.lines[1].get_linestyle() != smooth.get_linestyle(), "not by colour alone"
    label = {"step": "step", "seconds": "training time (minutes)"}[against]
    assert left.get_xlabel() == right.get_xlabel() == label
    assert (left.get_ylabel(), right.get_ylabel()) == ("loss", "IoU of the batch (%)")
    assert right.get_ylim() == (0, 100)
    (legend,) = figure.legends
    assert [t.get_text() for t in legend.get_texts()] == ["base", "HMNet-lite"]


def test_training_curves_tell_what_does_not_fit():
    assert not figures.training_curves({"alone": run(5)}).legends
    with pytest.raises(ValueError, match="expected 'step' or 'seconds'"):
        figures.training_curves({"a": run(5)}, against="epoch")
    with pytest.raises(ValueError, match="'a' has no steps"):
        figures.training_curves({"a": run(0)})


def scored(miou):
    return Scores.from_dict({"0": [10, miou, 100, 100, 100]})


@pytest.fixture
def report():
    report = Report()
    for gap, shift in (("same", 20), ("cross", 0)):
        protocol = Protocol(episodes=10, gap=gap)
        report.add("all foreground", protocol, scored(8))
        report.add("prior mask", protocol, scored(30 + shift))
        for seed, value in enumerate((40, 44, 45)):
            report.add("HMNet-lite", protocol, scored(value + shift), seed=seed)
    report.add("every object", Protocol(episodes=10, gap="cross"), scored(31))
    return report


def bars_of(ax):
    return {
        bars.get_label(): [(bar.get_x() + bar.get_width() / 2, bar.get_height()) for bar in bars]
        for bars in ax.containers
        if isinstance(bars, BarContainer)
    }


def test_results_bars(report):
    ax = figures.results_bars(report)
    bars = bars_of(ax)
    assert list(bars) == ["prior mask", "HMNet-lite"]
    assert np.array(bars["prior mask"]) == pytest.approx(np.array([[-0.2, 50], [0.8, 30]]))
    assert np.array(bars["HMNet-lite"]) == pytest.approx(np.array([[0.2, 63], [1.2, 43]]))
    assert [t.get_text() for t in ax.texts] == ["50.0", "30.0", "63.0", "43.0"]
    assert [t.get_text() for t in ax.get_xticklabels()] == ["same", "cross"]
    assert ax.get_ylabel() == "mIoU (%), mean ± std over seeds"
    assert ax.get_ylim()[0] == 0


def test_results_bars_whiskers_are_the_spread_of_trained_methods_only(report):
    ax = figures.results_bars(report)
    whiskers = [c for c in ax.containers if not isinstance(c, BarContainer)]
    (whisker,) = whiskers
    segments = np.array(whisker.lines[2][0].get_segments())
    std = np.std([40, 44, 45], ddof=1)
    assert segments[:, :, 0] == pytest.approx(np.array([[0.2, 0.2], [1.2, 1.2]]))
    assert segments[:, :, 1] == pytest.approx(
        np.array([[63 - std, 63 + std], [43 - std, 43 + std]])
    )


def test_results_bars_floors_are_lines_where_they_were_measured(report):
    ax = figures.results_bars(report)
    floors = {
        c.get_label(): np.array(c.get_segments())
        for c in ax.collections
        if str(c.get_label()).startswith("floor: ")
    }
    assert list(floors) == ["floor: all foreground", "floor: every object"]
    assert floors["floor: all foreground"][..., 1].tolist() == [[8, 8], [8, 8]]
    assert floors["floor: every object"].tolist() == [[[0.56, 31], [1.44, 31]]]
    legend = [t.get_text() for t in ax.get_legend().get_texts()]
    assert legend == ["prior mask", "HMNet-lite", *floors]


def test_results_bars_choices(report):
    given = plt.subplots()[1]
    ax = figures.results_bars(
        report, metric="fb_iou", floors=["all foreground", "every object", "HMNet-lite"], ax=given
    )
    assert ax is given
    assert np.array(bars_of(ax)["prior mask"])[:, 1] == pytest.approx([75, 65])
    assert ax.get_ylabel() == "FB-IoU (%)", "no seeds, no spread to name"
    with pytest.raises(ValueError, match="nothing to draw bars of: the report has no rows"):
        figures.results_bars(Report())
    with pytest.raises(ValueError, match="expected one of miou, fb_iou"):
        figures.results_bars(report, metric="dice")

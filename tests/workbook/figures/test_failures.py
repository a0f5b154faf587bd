"""Failures are counted and shown as they were given."""

import matplotlib

matplotlib.use("Agg")

from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pytest

from hmnet_lite.workbook.figures import failures as figures


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def test_kinds_are_shares_of_all_answers():
    counts = {"net": {"same": {"found": 3, "rough": 1}, "cross": {"found": 0, "rough": 5}}}
    (ax,) = figures.kinds(counts).axes
    assert [bar.get_width() for bar in ax.patches] == pytest.approx([75, 25, 0, 100])
    assert [bar.get_x() for bar in ax.patches] == pytest.approx([0, 75, 0, 0])
    assert [text.get_text() for text in ax.texts] == ["75", "25", "100"]
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["same", "cross"]


def test_more_kinds_than_colours_are_refused():
    with pytest.raises(ValueError, match=r"6 kinds; there are colours for 5"):
        figures.kinds({"net": {"same": dict.fromkeys("abcdef", 1)}})


def test_causes_are_shares_with_and_without():
    some = {"episodes": 4, "failed": 3, "low": 0.5, "high": 1.0}
    few = {"episodes": 6, "failed": 0, "low": 0.0, "high": 0.0}
    none = {"episodes": 0, "failed": 0, "low": float("nan"), "high": float("nan")}
    gaps = {"cross": {"hidden": {"with": some, "without": few},
                      "small": {"with": none, "without": few}}}  # fmt: skip
    (ax,) = figures.causes(gaps).axes
    marks = [line for line in ax.lines if line.get_marker() != "None"]
    assert [line.get_xdata().tolist() for line in marks] == [[75.0], [0.0], [0.0]]
    assert [text.get_text() for text in ax.texts] == ["4", "0"]
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["hidden", "small"]


def test_gallery_shows_support_query_and_answer():
    picture = np.full((8, 8, 3), 200, np.uint8)
    mask = np.zeros((8, 8), np.uint8)
    mask[2:5] = 1
    scene = SimpleNamespace(
        support_images=[picture], support_masks=[mask], query_image=picture, query_mask=mask
    )
    figure = figures.gallery([scene, scene], [mask == 1, mask == 2], ["one", "two"])
    top, answers = figure.axes[:2], figure.axes[4:6]
    assert [ax.get_title() for ax in top] == ["one", "two"]
    right, nothing = (ax.images[0].get_array() for ax in answers)
    assert (right[mask == 0] == nothing[mask == 0]).all(), "both marked nothing there"
    assert (right[mask == 1] != nothing[mask == 1]).any()

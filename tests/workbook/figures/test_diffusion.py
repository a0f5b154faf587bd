"""Drawings of notebook 12 show what they are given."""

import numpy as np
import pytest

from hmnet_lite.workbook.figures import diffusion as figures
from hmnet_lite.workbook.figures.parts import png


def test_pictures_have_their_names_and_values():
    images = {"colour": np.full((4, 4, 3), 2.0), "grey": np.arange(16.0).reshape(4, 4)}
    figure = figures.pictures(images)
    shown = [ax for ax in figure.axes if ax.images]
    assert [ax.get_title() for ax in shown] == list(images)
    assert shown[0].images[0].get_array().max() == 1  # beyond white there is nothing
    assert np.array_equal(shown[1].images[0].get_array(), images["grey"])


@pytest.mark.parametrize("shots", [1, 2])
def test_a_pixel_s_neighbours_are_laid_over_the_pictures(shots):
    images = np.full((1 + shots, 32, 32, 3), 200, np.uint8)
    masks = np.zeros((shots, 32, 32), np.uint8)
    masks[:, 8:16, 8:16] = 1
    own, others = np.full((4, 4), 0.24 / 16), np.full((shots, 4, 4), 0.76 / 16 / shots)
    figure = figures.heard(images[0], images[1:], masks, {"layer 0": (own, others)}, (1, 2), 4)
    titles = [ax.get_title() for ax in figure.axes]
    assert titles[0] == "layer 0: itself, 24 %" and f"{76 // shots} %" in titles[1]
    mark = figure.axes[0].patches[-1]
    assert (mark.get_x(), mark.get_y(), mark.get_width()) == (15.5, 7.5, 8)
    assert len(png(figure)) < 100_000


def side(ours, theirs):
    scores = {"DiffewS": ours, "HMNet-lite": theirs, "mean of both": 0.6, "better of both": 0.8}
    return {"mIoU": scores, "together": {"both": 0.25, "by chance": 0.125}}


def test_two_networks_stand_beside_each_other():
    figure = figures.beside({"same": side(0.5, 0.75), "held_out": side(0.25, 0.5)})
    left, right = figure.axes
    heights = [[bar.get_height() for bar in group] for group in left.containers]
    assert heights == [[50, 25], [75, 50], [60, 60], [80, 80]]
    assert [[bar.get_height() for bar in group] for group in right.containers] == [
        [25, 25], [12.5, 12.5],
    ]  # fmt: skip
    assert [t.get_text() for t in right.get_xticklabels()] == ["same", "held-out"]


def test_arms_are_drawn_against_the_first_with_their_interval_and_seeds():
    def arm(values, against, *seeds):
        gap = {"mIoU": values, "minus the first": against, "of each seed": list(seeds)}
        return {"seeds": list(range(len(values))), "gaps": {"same": gap, "cross": gap}}

    arms = {
        "kv": arm([0.5, 0.6], [0.0, 0.0, 0.0], 0.0, 0.0),
        "tokens": arm([0.4, 0.5], [-0.1, -0.2, 0.05], -0.15, -0.05),
        "qkv": arm([0.4], [-0.1, -0.2, 0.05], -0.1),
    }
    axes = figures.arm_points(arms).axes
    assert [t.get_text() for t in axes[0].get_yticklabels()] == ["tokens (2)", "qkv (1)"]
    for ax in axes:
        assert "kv has 55.0 %" in ax.get_title()
        assert ax.collections[0].get_segments()[0][:, 0] == pytest.approx([-20, 5])
        points, rings = ax.lines[-2:]
        assert points.get_xdata() == pytest.approx([-10, -10])
        assert rings.get_xdata() == pytest.approx([-15, -5])
        assert rings.get_ydata() == pytest.approx([0, 0])  # one seed needs none


def test_shots_are_drawn_against_one():
    one, five = ({"mIoU": 0.5, "minus one shot": x} for x in ([0, 0, 0], [0.1, 0.05, 0.15]))
    figure = figures.shot_points({gap: {"1": one, "5": five} for gap in ("same", "cross")})
    assert [t.get_text() for t in figure.axes[0].get_yticklabels()] == ["5"]
    for ax in figure.axes:
        assert ax.lines[-1].get_xdata() == pytest.approx([10])

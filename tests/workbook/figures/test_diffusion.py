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

"""Figures of traversals show the numbers they are given."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from hmnet_lite.maps import reading_order
from hmnet_lite.workbook.figures import traversals


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


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

"""Orders of reading and their inverse."""

import numpy as np

from hmnet_lite.maps import reading_times


def test_reading_times_invert_an_order():
    order = np.array([2, 0, 3, 1])
    assert reading_times(order).tolist() == [1, 3, 0, 2]

"""The traversal chooser: its controls change the picture."""

import matplotlib

matplotlib.use("Agg")

import numpy as np
import pytest

from hmnet_lite.workbook.widgets.traversals import traversal_chooser


def test_choosing_a_traversal_changes_the_picture():
    image = np.random.default_rng(0).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    direction, ratio, read, picture = traversal_chooser(image).children
    pictures = [bytes(picture.value)]
    for control, value in ((direction, 1), (ratio, 2), (read, 70), (direction, 3)):
        control.value = value
        pictures.append(bytes(picture.value))
    assert all(jpeg.startswith(b"\xff\xd8") for jpeg in pictures)  # JPEG
    assert len(set(pictures)) == len(pictures)
    read.value = 0
    assert bytes(picture.value) not in pictures  # the first pixel alone


def test_a_picture_smaller_than_the_ratio_is_refused():
    with pytest.raises(ValueError, match="cannot be cut"):
        traversal_chooser(np.zeros((3, 6, 3), np.uint8))

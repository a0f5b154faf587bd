"""The ensemble explorer believes whom it is told to."""

import matplotlib

matplotlib.use("Agg")

import numpy as np
import pytest

from hmnet_lite.workbook.widgets.published import ensemble_explorer


def test_the_ensemble_explorer_believes_whom_it_is_told_to():
    pytest.importorskip("ipywidgets", reason="needs the notebooks extra")

    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)
    mask = np.zeros((16, 16), np.uint8)
    mask[:8] = 1
    base, keep, style, picture = ensemble_explorer(
        image, mask, rng.random((16, 16)), rng.random((16, 16))
    ).children
    first = bytes(picture.value)
    assert first.startswith(b"\xff\xd8")
    style.value = 0.9
    assert bytes(picture.value) == first  # it cancels as long as w₀ = 1
    base.value = 0.5
    second = bytes(picture.value)
    assert second != first
    keep.value = 1.2
    third = bytes(picture.value)
    style.value = 0.1
    assert len({second, third, bytes(picture.value)}) == 3
    base.value, keep.value, style.value = 0, 1, 0.5
    assert bytes(picture.value) == first

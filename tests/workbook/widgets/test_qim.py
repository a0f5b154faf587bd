"""Notebook 05's explorer: each control changes the picture, here and in a real browser."""

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest

pytest.importorskip("ipywidgets", reason="needs the notebooks extra")

from hmnet_lite.workbook.widgets.qim import source_explorer

SHARES = {"support": 0.5, "own pixel": 0.25, "other query FG": 0.2, "query BG": 0.05}


def explorer(asked):
    def listen(name, row, column):
        asked.append((name, row, column))
        maps = np.zeros((2, 8, 8))
        maps[0, row, column], maps[1, column, row] = 1, 0.5
        return tuple(maps), {"SRM": SHARES}

    rng = np.random.default_rng(0)
    pictures = {
        name: tuple(rng.integers(0, 256, (2, 64, 64, 3), dtype=np.uint8))
        for name in ("same", "cross")
    }
    *knobs, image = source_explorer(pictures, listen, size=(8, 8), start=(2, 5)).children
    return dict(zip(("episode", "row", "column"), knobs, strict=True)), image


def test_every_control_draws_another_picture_and_back():
    asked = []
    knobs, image = explorer(asked)
    assert asked == [("same", 2, 5)]
    first = bytes(image.value)
    assert first.startswith(b"\xff\xd8") and len(first) <= 100_000
    for name, value in dict(episode="cross", row=7, column=0).items():
        before = knobs[name].value
        knobs[name].value = value
        assert bytes(image.value) != first, name
        knobs[name].value = before
        assert bytes(image.value) == first, f"{name} back where it was"
    assert asked[1:] == [("cross", 2, 5), ("same", 7, 5), ("same", 2, 0)], "each asked once"
    assert (knobs["row"].max, knobs["column"].max) == (7, 7)
    assert all(knob.description for knob in knobs.values())
    assert not plt.get_fignums(), "no figure is left open"

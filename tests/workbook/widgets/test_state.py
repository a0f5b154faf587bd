"""The scan explorer: each control changes the picture, here and in a real browser."""

import matplotlib

matplotlib.use("Agg")

import ipywidgets
import matplotlib.pyplot as plt
import numpy as np

from hmnet_lite.workbook.widgets.state import scan_explorer


def explorer(asked=None):
    def share(name, ratio, direction):
        if asked is not None:
            asked.append((name, ratio, direction))
        return np.linspace(1, 0.1 * (direction + ratio) / 8, 64)

    rng = np.random.default_rng(0)
    pictures = {n: rng.integers(0, 256, (64, 64, 3), dtype=np.uint8) for n in ("owl", "bee")}
    *knobs, image = scan_explorer(pictures, share, ratios=(1, 2), size=(8, 8)).children
    return dict(zip(("episode", "direction", "ratio", "step"), knobs, strict=True)), image


def test_every_control_draws_another_picture_and_back():
    knobs, image = explorer()
    first = bytes(image.value)
    assert first.startswith(b"\xff\xd8") and len(first) <= 100_000
    for name, value in dict(episode="bee", direction=2, ratio=1, step=40).items():
        before = knobs[name].value
        knobs[name].value = value
        assert bytes(image.value) != first, name
        knobs[name].value = before
        assert bytes(image.value) == first, f"{name} back where it was"
    assert not plt.get_fignums(), "no figure is left open"


def test_a_share_is_asked_for_once_and_all_controls_are_named():
    asked = []
    knobs, _ = explorer(asked)
    assert asked == [("owl", 2, 0)]
    knobs["step"].value = 1
    knobs["step"].value = 64
    assert len(asked) == 1
    knobs["direction"].value = 3
    assert asked[1:] == [("owl", 2, 3)]
    assert all(knob.description for knob in knobs.values())
    assert isinstance(knobs["step"], ipywidgets.IntSlider) and knobs["step"].max == 64

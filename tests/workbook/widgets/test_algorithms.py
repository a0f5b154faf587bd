"""The state stepper: its controls change the picture, and it shows the scan's states."""

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np

from hmnet_lite.workbook.widgets.algorithms import state_stepper


def test_stepping_through_a_scan_changes_the_picture():
    u, A = np.linspace(-1, 1, 8), np.array([-1.0, -4.0])
    steps = {"small": np.full(8, 0.1), "large": np.full(8, 0.9)}
    box = state_stepper(u, steps, A, start=3)
    delta, step, image = box.children
    assert (delta.options, step.value, step.max) == (("small", "large"), 3, 8)
    pictures = [bytes(image.value)]
    step.value = 4
    pictures.append(bytes(image.value))
    delta.value = "large"
    pictures.append(bytes(image.value))
    assert all(picture.startswith(b"\xff\xd8") for picture in pictures)  # JPEG
    assert len(set(pictures)) == 3
    step.value, delta.value = 3, "small"
    assert bytes(image.value) == pictures[0]


def test_the_states_shown_are_the_scan_s(monkeypatch):
    shown = []

    def film(u, delta, A, states, *, step):

        shown.append(states)
        return plt.figure(figsize=(1, 1))

    monkeypatch.setattr("hmnet_lite.workbook.figures.algorithms.state_film", film)
    u, delta, A = np.array([1.0, -2.0, 0.5]), np.array([0.1, 0.7, 0.2]), np.array([-1.0, -4.0])
    state_stepper(u, {"one": delta}, A)
    h, expected = 0, []
    for u_t, delta_t in zip(u, delta, strict=True):
        h = np.exp(delta_t * A) * h + delta_t * u_t
        expected.append(h)
    assert np.allclose(shown[0], expected)

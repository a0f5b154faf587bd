"""The explorer of sampling rules: each control changes the picture."""

import matplotlib

matplotlib.use("Agg")

import numpy as np

from hmnet_lite.workbook.widgets import scan as widgets

SPRING = np.array([[0.0, 1.0], [-4.0, -0.4]]), np.array([0.0, 4.0])


def test_the_widget_draws_again_for_another_step_and_another_system():
    box = widgets.discretisation_explorer(
        {"tank": (np.array([[-0.5]]), np.array([1.0])), "spring": SPRING},
        lambda time: np.where(time < 4, 1.0, 0.0),
        (0.5, 1, 2, 4),
        duration=8,
    )
    system, delta, image = box.children
    assert delta.value == 2
    seen = [bytes(image.value)]
    delta.value = 4
    seen.append(bytes(image.value))
    system.value = "spring"  # where Euler runs away
    seen.append(bytes(image.value))
    delta.value = 0.5
    seen.append(bytes(image.value))
    assert len(set(seen)) == 4
    assert all(picture[:2] == b"\xff\xd8" for picture in seen)  # JPEG

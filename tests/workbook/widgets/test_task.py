"""The episode browser: each control changes the picture; and what all live pictures share."""

import matplotlib

matplotlib.use("Agg")


import ipywidgets
import matplotlib.pyplot as plt
import numpy as np
import pytest

from hmnet_lite.data import EmojiEpisodes
from hmnet_lite.workbook.widgets.parts import live_picture
from hmnet_lite.workbook.widgets.task import episode_browser, gap_dial


def knobs_and_image(widget, *names):
    *knobs, image = widget.children
    return dict(zip(names, knobs, strict=True)), image


def moved_and_back(knobs, image, changes):
    first = bytes(image.value)
    assert first.startswith(b"\xff\xd8") and len(first) <= 100_000
    for name, value in changes.items():
        before = knobs[name].value
        knobs[name].value = value
        assert bytes(image.value) != first, name
        knobs[name].value = before
        assert bytes(image.value) == first, f"{name} back where it was"
    assert not plt.get_fignums(), "no figure is left open"
    assert all(knob.description for knob in knobs.values())


def test_live_picture_hands_every_control_on_by_name():

    asked = []
    draw = lambda **values: asked.append(values) or b"%d" % len(asked)  # noqa: E731
    number, letter = ipywidgets.IntSlider(3), ipywidgets.Dropdown(options=["a", "b"])
    widget = live_picture(draw, number=number, letter=letter)
    letter.value = "b"
    number.value = 5
    assert asked == [
        {"number": 3, "letter": "a"},
        {"number": 3, "letter": "b"},
        {"number": 5, "letter": "b"},
    ]
    assert widget.children == (number, letter, widget.children[-1])
    assert bytes(widget.children[-1].value) == b"3"


@pytest.mark.slow
def test_episode_browser_follows_every_control():
    knobs, image = knobs_and_image(episode_browser(0), "gap", "class", "scene", "answer")
    assert [number for _, number in knobs["class"].options] == list(
        EmojiEpisodes(0, "test", gap="same").classes
    )
    moved_and_back(knobs, image, {"gap": "held_out", "class": 37, "scene": 2, "answer": False})


def test_episode_browser_finds_the_class_and_the_scene(monkeypatch):
    from hmnet_lite.workbook.figures import task as figures

    shown = []
    draw = figures.episode_picture
    monkeypatch.setattr(
        figures, "episode_picture", lambda e, **how: shown.append(e) or draw(e, **how)
    )
    knobs, _ = knobs_and_image(episode_browser(2), "gap", "class", "scene", "answer")
    knobs["class"].value = 63
    knobs["scene"].value = 3
    knobs["gap"].value = "cross"
    last = shown[-1]
    assert last.class_name == "violin" and last.index // 20 == 2
    own = EmojiEpisodes(2, "test", gap="cross")[last.index]
    assert np.array_equal(own.query_image, last.query_image)


def test_the_gap_dial_holds_every_answer(episodes):
    half = {gap: np.linspace(0, 1, 128)[None].repeat(128, 0) for gap in episodes}
    live = gap_dial(episodes, {"half": half})
    for gap, episode in episodes.items():
        assert np.array_equal(live.data["answers"]["half"][gap] > 127.5, half[gap] > 0.5)
        assert live.data["styles"][gap] == [episode.support_styles[0], episode.query_style]
    assert live.still[:2] in {b"\x89P", b"\xff\xd8"}

"""Notebook 00's and 07's widgets: each control changes the picture, here and in a browser."""

import matplotlib

matplotlib.use("Agg")

from pathlib import Path
from types import SimpleNamespace

import matplotlib.pyplot as plt
import nbformat
import numpy as np
import pytest

from hmnet_lite.data import EmojiEpisodes
from hmnet_lite.workbook.widgets.parts import episode_browser, live_picture, training_replay
from tests.browser import open_notebook
from tests.project.test_browser_harness import write_notebook

NOTEBOOKS = Path(__file__).parents[3] / "notebooks"


def widget_cell(notebook, call):
    """The committed notebook's own cell that makes the widget."""
    cells = nbformat.read(NOTEBOOKS / notebook, as_version=4).cells
    (cell,) = [c.source for c in cells if c.cell_type == "code" and c.source.startswith(call)]
    return cell


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
    import ipywidgets

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


# ---- notebook 00 ----------------------------------------------------------------------------


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


@pytest.mark.browser
@pytest.mark.slow
def test_notebook_00_turns_the_dial_in_a_browser(tmp_path):
    cell = widget_cell("00_start_here.ipynb", "widgets.")
    notebook = write_notebook(
        tmp_path / "dial.ipynb", "from hmnet_lite.workbook.widgets import parts as widgets", cell
    )
    with open_notebook(notebook, tmp_path / "lab") as page:
        page.run_all()
        before = page.picture()
        page.press("ArrowRight")
        sibling = page.wait_for_other_picture(before)
        page.page.get_by_label("show the answer").uncheck()
        page.wait_for_other_picture(sibling)
        assert page.errors == []


# ---- notebook 07 ----------------------------------------------------------------------------

REPLAY = """
import numpy as np
from types import SimpleNamespace
from hmnet_lite.workbook.widgets import parts as widgets

mask = np.zeros((64, 64), np.uint8)
mask[20:40, 10:50] = 1
image = np.repeat(np.arange(0, 192, 3, np.uint8)[:, None, None], 64, 1).repeat(3, 2)
watched = [SimpleNamespace(query_image=image, query_mask=mask) for _ in range(4)]
grown = {done: np.stack([mask * done / 140 + 0.1] * 4) for done in (0, 50, 100)}
runs = {"without Mamba": grown, "HMNet-lite": {k: v[:, ::-1] for k, v in grown.items()}}
watched_gaps = ("same", "same", "cross", "cross")
"""


@pytest.fixture
def replay():
    values = {}
    exec(REPLAY, values)
    return SimpleNamespace(**values)


def test_training_replay_follows_progress_and_threshold(replay):
    widget = training_replay(replay.watched, replay.runs, replay.watched_gaps)
    knobs, image = knobs_and_image(widget, "done", "threshold")
    assert knobs["done"].value == 100, "it opens on the trained networks"
    moved_and_back(knobs, image, {"done": 0, "threshold": 0.05})


def test_training_replay_tells_what_does_not_fit(replay):
    with pytest.raises(ValueError, match="expected the same for every network"):
        training_replay(replay.watched, replay.runs | {"other": {0: replay.runs["HMNet-lite"][0]}})
    with pytest.raises(ValueError, match=r"4 maps at 0 %; expected one for each of 3 episodes"):
        training_replay(replay.watched[:3], replay.runs)


@pytest.mark.browser
@pytest.mark.slow
def test_notebook_07_replays_its_training_in_a_browser(tmp_path):
    cell = widget_cell("07_training.ipynb", "widgets.")
    notebook = write_notebook(tmp_path / "replay.ipynb", REPLAY, cell)
    with open_notebook(notebook, tmp_path / "lab") as page:
        page.run_all()
        before = page.picture()
        page.press("ArrowLeft")
        half = page.wait_for_other_picture(before)
        page.press("ArrowLeft", slider=1)
        page.wait_for_other_picture(half)
        assert page.errors == []

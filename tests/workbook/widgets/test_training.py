"""The replay of a training: each control changes the picture."""

from types import SimpleNamespace

import matplotlib

matplotlib.use("Agg")

import pytest

from hmnet_lite.workbook.widgets.training import training_replay
from tests.workbook.widgets.test_task import knobs_and_image, moved_and_back

REPLAY = """
import numpy as np
from types import SimpleNamespace
from hmnet_lite.workbook.widgets import training as widgets

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

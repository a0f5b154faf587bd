"""The numbers of notebook 12's figures, on answers that are made by hand and on few episodes."""

from dataclasses import replace

import numpy as np
import pytest

from hmnet_lite.experiments import diffusion as experiments
from hmnet_lite.models.diffews.config import DiffewSConfig
from hmnet_lite.workbook import measured_diffusion as measured
from hmnet_lite.workbook.make import plain


@pytest.fixture
def answers(monkeypatch):
    """Four episodes: both right, one of the two right, both wrong."""
    config = DiffewSConfig(level=0.25)
    monkeypatch.setattr(measured.measured, "network", lambda name: _Network(config))
    truth = np.zeros((4, 8, 8), bool)
    truth[:, :4] = True
    right, wrong = truth[0].astype(float), 1.0 - truth[0]
    drawn = np.stack([right, right, 0.2 * wrong, wrong])
    told = np.stack([right, wrong, right, wrong])
    objects = np.ones((4, 8, 8), np.uint8)
    return measured.Answers(drawn, told, truth, objects, np.array([1, 1, 2, 2]))


class _Network:
    def __init__(self, config):
        self.config = config


def test_side_by_side(answers):
    found = plain(measured.beside(answers))
    assert found["mIoU"]["DiffewS"] == 0.5  # class 1 always right, class 2 never
    assert found["mIoU"]["HMNet-lite"] == pytest.approx(1 / 3, abs=1e-3)  # 32 of 96 pixels, twice
    assert found["mIoU"]["better of both"] == pytest.approx((1 + 1 / 3) / 2, abs=1e-3)
    assert found["together"]["fails"] == [0.5, 0.5] and found["together"]["both"] == 0.25
    assert found["kinds"]["DiffewS"]["another object"] == 2
    assert found["DiffewS is better"] == 0.25


def test_a_pale_drawing_is_read_by_the_relative_threshold_alone(answers):
    pale = replace(answers, drawn=0.1 * answers.drawn)
    sweep = measured.threshold_sweep(pale)
    relative, absolute = sweep["relative"], sweep["absolute"]
    place = sweep["levels"].index(0.25)
    assert relative[place] > 0.3 and absolute[place] == 0
    assert max(relative) >= max(absolute)


def test_a_switch_is_another_for_a_while():
    model = _Network(DiffewSConfig())
    with measured.switched(model, support_keys="sampled"):
        assert model.config.support_keys == "sampled"
    assert model.config.support_keys == "all"


def test_the_arms_are_one_switch_each_and_their_names_are_files():
    for name, arm in experiments.ARMS.items():
        replace(DiffewSConfig(), **arm.changes)  # which refuses what is no switch
        assert name == name.lower() and " " not in name
    first = experiments.ARMS[next(iter(experiments.ARMS))]
    assert not first.changes and first.shots == (1, 1)
    settings = [(tuple(x.changes.items()), x.shots) for x in experiments.ARMS.values()]
    assert len(set(settings)) == len(settings)

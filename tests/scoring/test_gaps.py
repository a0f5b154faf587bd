"""Support use: what a mixer is shown changes, prior and prototype stay."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from hmnet_lite import HMNet, HMNetConfig
from hmnet_lite.data.emoji.protocol import Protocol
from hmnet_lite.models.features import CachedFeatures
from hmnet_lite.record import Recorder
from hmnet_lite.scoring.gaps import (
    Boxed,
    known_floors,
    misled_predictor,
    next_of_another_class,
    wrong_episode,
)
from hmnet_lite.scoring.predict import model_predictor

PROTOCOL = Protocol(episodes=4, image_size=64, shots=2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def episodes(folder):
    return CachedFeatures(PROTOCOL.build(), folder=folder, workers=1, progress=False)


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return HMNet(HMNetConfig(dim=16, depth=2, state=4)).eval()


def heard(predictor, episode):
    with Recorder() as seen:
        predictor(episode)
    return seen.network


def test_only_what_the_mixer_is_shown_changes(episodes, model):
    own = heard(model_predictor(model), episodes[0])
    wrong = heard(misled_predictor(model, episodes, "wrong"), episodes[0])
    none = heard(misled_predictor(model, episodes, "none"), episodes[0])
    other = heard(model_predictor(model), wrong_episode(episodes, episodes[0]))
    for misled in (wrong, none):
        for name in ("prior", "prototype", "query_in"):
            assert torch.equal(misled[name], own[name]), name
        assert not torch.equal(misled["support_in"], own["support_in"])
    torch.testing.assert_close(wrong["support_in"], other["support_in"])
    assert none["support_in"].abs().max() == 0
    with pytest.raises(ValueError, match="shown is 'odd'; expected one of wrong, none"):
        misled_predictor(model, episodes, "odd")


def test_the_wrong_episode_is_the_next_of_another_class_round_the_end():
    rows = [SimpleNamespace(index=i, class_id=c) for i, c in enumerate([3, 3, 5, 3])]
    assert wrong_episode(rows, rows[0]).index == 2
    assert wrong_episode(rows, rows[2]).index == 3
    assert wrong_episode(rows, rows[3]).index == 2
    class_of = [3, 3, 5, 3].__getitem__
    assert [next_of_another_class(class_of, 4, i) for i in range(4)] == [2, 2, 3, 2]
    with pytest.raises(ValueError, match="all 2 episodes ask for class 4"):
        next_of_another_class([4, 4].__getitem__, 2, 0)
    with pytest.raises(ValueError, match="all 1 episodes ask for class 3"):
        wrong_episode(rows[:1], rows[0])


def test_boxes_hold_the_masks_and_are_rectangles(episodes):
    boxed = Boxed(episodes)
    assert len(boxed) == len(episodes)
    for episode, seen in zip(episodes, boxed, strict=True):
        assert seen.query_mask is not None and np.array_equal(seen.query_mask, episode.query_mask)
        assert (seen.support_masks >= episode.support_masks).all()
        assert seen.support_masks.sum() > episode.support_masks.sum()


def test_floors_are_known_on_any_protocol(monkeypatch, folder, episodes):
    monkeypatch.setenv("HMNET_LITE_CACHE", str(folder))
    monkeypatch.setattr("hmnet_lite.scoring.gaps.PRIOR_EPISODES", 4)
    floors = known_floors(PROTOCOL, progress=False)
    assert list(floors) == ["all foreground", "every object", "prior mask"]
    for predict in floors.values():
        assert predict(episodes[1]).shape == (64, 64)

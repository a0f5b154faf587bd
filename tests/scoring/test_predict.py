"""Predictions from cached features and from pictures; the prior's floor."""

import numpy as np
import pytest
import torch

from hmnet_lite import HMNet, HMNetConfig
from hmnet_lite.data.emoji.protocol import Protocol
from hmnet_lite.models.features import CachedFeatures
from hmnet_lite.scoring.evaluate import evaluate
from hmnet_lite.scoring.predict import (
    best_threshold,
    model_predictor,
    prior_predictor,
    segment_episode,
)


@pytest.fixture(scope="module")
def training(tmp_path_factory):
    episodes = Protocol(episodes=6).training(20)
    folder = tmp_path_factory.mktemp("cache")
    return CachedFeatures(episodes, folder=folder, workers=1, progress=False)


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return HMNet(HMNetConfig(dim=16, depth=2, state=4)).eval()


def test_cached_and_straight_predictions_agree(training, model):
    for i in range(3):
        cached = model_predictor(model)(training[i])
        straight = segment_episode(model, training.episodes[i])
        assert cached.shape == (256, 256) and cached.dtype == bool
        assert (cached == straight).mean() > 0.99  # float16 features against float32


def test_the_prior_beats_marking_everything(training):
    episodes = [training[i] for i in range(20)]
    prior = prior_predictor(best_threshold(episodes))
    scores = evaluate(
        {"prior": prior, "all": lambda e: np.ones_like(e.query_mask)}, episodes, progress=False
    )
    assert scores["prior"].miou > 1.5 * scores["all"].miou

"""Photographs from cached features are scored as the photographs themselves."""

import numpy as np
import pytest
import torch

from hmnet_lite import HMNet, HMNetConfig
from hmnet_lite.data.photos.protocol import PhotoProtocol
from hmnet_lite.models.features import CachedFeatures
from hmnet_lite.scoring.evaluate import all_foreground, evaluate, every_object, truth
from hmnet_lite.scoring.photo_report import PhotoReport, Readable
from hmnet_lite.scoring.predict import match_map, model_predictor, segment_episode
from tests.data.photos import trees


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("HMNET_LITE_CACHE", str(tmp_path / "cache"))
    root = trees.class_folders(tmp_path / "pictures", ["bowl", "cup"])
    tall = trees.ids_with((1, 40, 90, 5, 60), size=(130, 70))  # sizes differ, as photographs do
    trees.save_picture(root / "bowl" / "1.jpg", tall)
    trees.save_ids(root / "bowl" / "1.png", tall)
    return root


def test_test_episodes_keep_their_label_and_what_they_do_not_know(root):
    episodes = PhotoProtocol("folder", episodes=6, image_size=64).build(root, progress=False)
    cached = CachedFeatures(episodes, workers=1, progress=False)
    torch.manual_seed(0)
    model = HMNet(HMNetConfig(dim=16, depth=2, state=4)).eval()
    predict, sizes, agreed = model_predictor(model), set(), []
    for straight, kept in zip(episodes, cached, strict=True):
        assert np.array_equal(truth(kept), straight.query_label)
        assert np.array_equal(kept.query_mask, straight.query_mask)
        found = predict(kept)
        assert found.shape == truth(kept).shape == match_map(kept).shape
        agreed.append(np.mean(found == segment_episode(model, straight)))
        assert kept.query_objects is None
        with pytest.raises(ValueError, match="no query_objects"):
            every_object(kept)
        sizes.add(found.shape)
    assert len(sizes) == 2
    assert np.mean(agreed) > 0.995  # features are kept in half precision


def test_training_episodes_have_no_label_of_their_own(root):
    episodes = PhotoProtocol("folder", image_size=64).training(3, root, progress=False)
    for kept in CachedFeatures(episodes, workers=1, progress=False):
        assert kept.query_label is None and kept.query_objects is None
        assert truth(kept) is kept.query_mask


def test_masks_left_out_are_noted_in_the_report(root):
    (root / "cup" / "2.png").write_bytes(b"no picture")
    protocol = PhotoProtocol("folder", episodes=4, image_size=64)
    episodes = Readable(protocol.build(root, on_bad="skip", progress=False), "skip")
    scores = evaluate({"all": all_foreground}, episodes, progress=False)
    (note,) = PhotoReport(protocol, episodes, scores).notes()
    assert "1 files cannot be used and were left out" in note and "cup/2.png" in note

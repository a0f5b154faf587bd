"""Shipped models are found by name, and what is asked for wrongly is told with what there is."""

import pytest
import torch

import hmnet_lite
from hmnet_lite import HMNet, HMNetConfig
from hmnet_lite.training import zoo
from hmnet_lite.training.checkpoint import save_checkpoint

TINY = HMNetConfig(dim=16, depth=0)


@pytest.fixture
def shipped(tmp_path, monkeypatch):
    """A data folder with two models in it."""
    (tmp_path / "MANIFEST.json").write_text("{}")
    monkeypatch.setenv("HMNET_LITE_DATA", str(tmp_path))
    torch.manual_seed(0)
    model = HMNet(TINY)
    for fold in (0, 1):
        path = tmp_path / "checkpoints" / f"tiny-fold{fold}.safetensors"
        save_checkpoint(model, path, fold=fold, seed=0)
    return model


def test_models_are_loaded_by_name_or_path(shipped, tmp_path):
    assert zoo.names() == ["tiny-fold0", "tiny-fold1"]
    path = tmp_path / "checkpoints" / "tiny-fold1.safetensors"
    for model in ("tiny-fold1", path, str(path)):
        loaded = hmnet_lite.load(model, device="cpu")
        assert loaded.config == TINY and not loaded.training
        assert torch.equal(loaded.merge_query.weight, shipped.merge_query.weight)
        assert zoo.facts(model)["fold"] == 1


def test_unknown_models_are_told_with_those_there_are(shipped, tmp_path):
    with pytest.raises(ValueError, match=r"no model 'tiny-fold7'; shipped models: tiny-fold0, "):
        hmnet_lite.load("tiny-fold7")
    with pytest.raises(ValueError, match="Did you mean 'tiny-fold0'"):
        zoo.find("tiny_fold0")
    with pytest.raises(FileNotFoundError, match=r"no model file no/such\.safetensors; shipped"):
        zoo.find("no/such.safetensors")
    path = tmp_path / "checkpoints" / "tiny-fold0.safetensors"
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(ValueError, match="not a whole safetensors file"):
        hmnet_lite.load("tiny-fold0")


def test_without_models_the_message_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv("HMNET_LITE_DATA", str(tmp_path / "nowhere"))
    assert zoo.names() == []
    with pytest.raises(ValueError, match="no model is shipped here"):
        zoo.find("hmnet-lite-all")

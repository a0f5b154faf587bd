"""A brief arm is trained, scored and written once."""

import json

import pytest

from hmnet_lite.data.emoji.protocol import Protocol
from hmnet_lite.experiments import diffusion
from hmnet_lite.models.diffews.config import DiffewSConfig
from hmnet_lite.scoring.packing import unpack_scores
from hmnet_lite.training.config import TrainConfig
from hmnet_lite.training.diffusion import train_diffusion


@pytest.fixture
def prior(tmp_path, monkeypatch):
    monkeypatch.setenv("HMNET_LITE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(diffusion, "SCENES", 12)
    monkeypatch.setattr(diffusion, "STEPS", 2)
    monkeypatch.setattr(diffusion, "TEST", Protocol(fold=0, episodes=3, seed=321))
    monkeypatch.setattr("hmnet_lite.training.diffusion.LEVELS_FROM", 8)
    tiny = DiffewSConfig(channels=8, blocks=(16, 32), heads=2, tokens=16)
    common = dict(scenes=12, progress=False)
    budget = TrainConfig(steps=1, batch=2)
    ae = train_diffusion("autoencoder", tiny, budget, tmp_path / "ae.safetensors", **common)
    return train_diffusion("denoise", None, budget, tmp_path / "p.safetensors", begin=ae, **common)


def test_an_arm_is_made_once_and_its_file_says_what_it_scored(prior, tmp_path, monkeypatch):
    words = ["--begin", str(prior), "--only", "kv", "--results", str(tmp_path / "r"),
             "--checkpoints", str(tmp_path / "c")]  # fmt: skip
    assert diffusion.main(words) == 0
    path = tmp_path / "r" / "arm-kv-seed0.json"
    told = json.loads(path.read_text())
    assert told["training"]["steps"] == 2 and told["group"] == "interaction"
    assert set(told["gaps"]) == {"same", "cross"}
    for found in told["gaps"].values():
        assert unpack_scores(found["counts"], 1)[0].miou == found["miou"]
    written = path.stat().st_mtime_ns
    assert diffusion.main(words) == 0 and path.stat().st_mtime_ns == written
    assert list(diffusion.load(tmp_path / "r")) == ["kv"]
    monkeypatch.setattr(diffusion, "TEST", Protocol(fold=0, episodes=4, seed=321))
    monkeypatch.setattr(diffusion, "train_diffusion", None)  # (would be called for a training)
    assert diffusion.main(words) == 0
    again = json.loads(path.read_text())
    assert unpack_scores(again["gaps"]["same"]["counts"], 1)[0].episodes == 4
    assert again["training"] == told["training"]


def test_a_file_that_is_no_denoiser_is_told_in_one_line(tmp_path, capsys):
    words = ["--begin", str(tmp_path / "none.safetensors"), "--results", str(tmp_path / "r"),
             "--checkpoints", str(tmp_path / "c"), "--only", "kv"]  # fmt: skip
    assert diffusion.main(words) == 2
    assert capsys.readouterr().err.count("\n") == 1

"""hmnet train-diffusion, then evaluate: a DiffewS in two stages, read back from its file."""

import json
from pathlib import Path

import pytest

from hmnet_lite.commands import train_diffusion
from hmnet_lite.commands.main import main
from hmnet_lite.scoring import gaps
from hmnet_lite.training.checkpoint import load_checkpoint, read_facts

SMALL = ["--scenes", "12", "--fold", "2", "--steps", "2", "--batch", "2"]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HMNET_LITE_CACHE", str(tmp_path / "cache"))


def test_train_and_evaluate(capsys, monkeypatch):
    asked = ["train-diffusion", *SMALL]
    sizes = ["--channels", "8", "--blocks", "16", "32", "--heads", "2", "--tokens", "16"]
    assert main([*asked, "--stage", "autoencoder", *sizes, "--out", "ae.safetensors"]) == 0
    assert "2 steps in" in capsys.readouterr().out
    then = ["--stage", "masks", "--begin", "ae.safetensors", "--shots", "1", "2"]
    arms = ["--injection", "addition", "--level", "0.4"]
    assert main([*asked, *then, *arms, "--out", "net.safetensors"]) == 0
    config, facts = load_checkpoint("net.safetensors").config, read_facts("net.safetensors")
    assert (config.blocks, config.injection, config.level) == ((16, 32), "addition", 0.4)
    assert (facts["fold"], facts["stage"], facts["shots"]) == (2, "masks", [1, 2])
    on = ["evaluate", "net.safetensors"]
    monkeypatch.setattr(gaps, "PRIOR_EPISODES", 4)  # that choose the prior's threshold
    told = [*on, "--episodes", "2", "--gaps", "same", "--out", "report.json", "--keep"]
    capsys.readouterr()
    assert main(told) == 0
    table = capsys.readouterr().out
    assert all(name in table for name in ("net", "prior mask", "HMNet-lite", "every object"))
    report = json.loads(Path("report.json").read_text("utf-8"))
    assert report["protocol"]["fold"] == 2 and len(report["rows"]) == 5
    (row,) = (row for row in report["rows"] if row["method"] == "net")
    assert read_facts("net.safetensors")["metrics"] == {"same": round(row["miou"], 6)}
    assert set(row["misled"]) == {"wrong", "none"} and "net, wrong class" in table
    assert not any(row["misled"] for row in report["rows"] if row["method"] != "net")
    for words, why in (
        (["--fold", "1"], "trained with fold 2 novel"),
        (["hmnet-lite-fold2"], "net.safetensors is a DiffewS"),
    ):
        assert main([*on, *words]) == 2
        assert why in capsys.readouterr().err
    assert main([*asked, *then, "--channels", "4", "--out", "x.safetensors"]) == 2
    assert "ae.safetensors has other sizes" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words, message",
    [
        (["--stage", "masks"], "needs the file of an earlier stage"),
        (["--stage", "masks", "--begin", "hmnet.safetensors"], "no checkpoint at hmnet"),
        (["--stage", "autoencoder", "--out", "net.pth"], "a name that ends in .safetensors"),
        (["--stage", "autoencoder", "--blocks", "20"], "expected multiples of 16"),
        (["--stage", "autoencoder", "--fold", "7"], "fold is 7; expected 0 to 3"),
        (["--stage", "autoencoder", "--shots", "3", "2"], "expected fewest and most"),
        (["--shots", "1", "2"], "--stage"),
    ],
)
def test_what_is_asked_wrongly_is_one_line_before_the_work(words, message, tmp_path, capsys):
    assert main(["train-diffusion", *words]) == 2
    told = capsys.readouterr().err
    assert message in told and told.count("\n") == 1
    assert not list(tmp_path.glob("*.safetensors"))


@pytest.mark.parametrize("on_gpu", [False, True])
def test_a_gpu_gets_more_unless_sizes_are_given(on_gpu, monkeypatch, capsys):
    asked = []

    def train(stage, network, budget, out, **more):
        asked.append((more["changes"].get("blocks"), more["scenes"]))
        raise ValueError("enough is known")

    monkeypatch.setattr(train_diffusion, "train_diffusion", train)
    monkeypatch.setattr("torch.cuda.is_available", lambda: on_gpu)
    for words in (
        ["--stage", "autoencoder"],
        ["--stage", "autoencoder", "--blocks", "16", "32", "--scenes", "12"],
        ["--stage", "masks", "--begin", "ae.safetensors"],
    ):
        Path("ae.safetensors").touch()
        assert main(["train-diffusion", *words, "--out", "x.safetensors"]) == 2
        assert "enough is known" in capsys.readouterr().err
    blocks, scenes = ((96, 128), 6000) if on_gpu else (None, 1500)
    assert asked == [(blocks, scenes), ((16, 32), 12), (None, scenes)]

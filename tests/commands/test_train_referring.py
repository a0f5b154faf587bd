"""hmnet train-referring, then evaluate: a ReMamber of one sitting, read back from its file."""

import json
from pathlib import Path

import pytest

from hmnet_lite.commands.main import main
from hmnet_lite.training.checkpoint import load_checkpoint, read_facts


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HMNET_LITE_CACHE", str(tmp_path / "cache"))


def test_train_and_evaluate(capsys):
    asked = ["train-referring", "--dim", "16", "--depths", "1", "0", "--inner", "16"]
    asked += ["--fusion", "norm", "--scenes", "12", "--fold", "2", "--steps", "2", "--batch", "2"]
    assert main([*asked, "--out", "net.safetensors"]) == 0
    assert "2 steps in" in capsys.readouterr().out
    config, facts = load_checkpoint("net.safetensors").config, read_facts("net.safetensors")
    assert (config.depths, config.fusion, config.dim) == ((1, 0), "norm", 16)
    assert (facts["fold"], facts["scenes"], facts["steps"]) == (2, 12, 2)
    on = ["evaluate", "net.safetensors", "--episodes", "2"]
    assert main([*on, "--out", "report.json"]) == 0
    told = capsys.readouterr().out
    assert all(name in told for name in ("novel", "seen", "compositions", "relation ignored"))
    report = json.loads(Path("report.json").read_text("utf-8"))
    assert report["fold"] == 2 and set(report["splits"]) == {"novel", "seen", "compositions"}
    for split, use in report["sentence use"].items():
        assert 100 * use["right"] == pytest.approx(
            report["splits"][split]["model"]["all"]["oIoU"], abs=0.01
        )
        lost, low, high = use["minus wrong"]
        assert lost == pytest.approx(use["right"] - use["wrong"]) and low <= lost <= high
        assert f"{split:<18}" in told.split("sentence use (oIoU)")[1]
    assert main([*on, "--no-support-use"]) == 0
    assert "sentence use" not in capsys.readouterr().out
    for words in (["--keep"], ["--gaps", "same"], ["--fold", "1"]):
        assert main([*on, *words]) == 2
        assert f"{words[0]} means nothing for net.safetensors" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words, message",
    [
        (["--out", "net.pth"], "expected a name that ends in .safetensors"),
        (["--dim", "20"], "dim=20; expected a positive multiple of 16"),
        (["--fold", "7"], "fold is 7; expected 0 to 3"),
        (["--scenes", "0"], "length is 0; expected 1 to"),
        (["--shots", "2"], "--shots"),
    ],
)
def test_what_is_asked_wrongly_is_one_line_before_the_work(words, message, tmp_path, capsys):
    assert main(["train-referring", *words]) == 2
    told = capsys.readouterr().err
    assert message in told and told.count("\n") == 1
    assert not list(tmp_path.glob("*.safetensors"))

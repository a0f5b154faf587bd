"""The commands that train, evaluate and compare."""

import json

import numpy as np
import pytest

from hmnet_lite import HMNet, HMNetConfig
from hmnet_lite.commands import main as cli
from hmnet_lite.data.emoji.protocol import Protocol
from hmnet_lite.scoring.evaluate import Report
from hmnet_lite.training.checkpoint import read_facts, save_checkpoint

TINY = HMNetConfig(dim=16, depth=2, state=4)


# ---- commands


@pytest.mark.slow
def test_train_evaluate_and_compare_commands(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HMNET_LITE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(
        cli, "METHODS", {"HMNet-lite": TINY, "without Mamba": HMNetConfig(dim=16, depth=0)}
    )
    few = ["--minutes", "0.02", "--training-episodes", "16"]
    network = str(tmp_path / "net.safetensors")
    assert (
        cli.main(["train", "--fold", "1", "--depth", "2", "--dim", "16", *few, "--out", network])
        == 0
    )
    assert read_facts(network)["fold"] == 1
    test = ["--gaps", "same", "cross", "--episodes", "4"]
    assert cli.main(["evaluate", network, *test, "--out", str(tmp_path / "one.json")]) == 0
    report = Report.from_json(tmp_path / "one.json")
    assert report.methods == ["all foreground", "every object", "prior mask", "net"]
    assert report.gaps == ["same", "cross"] and report.protocol["fold"] == 1

    both = ["compare", *few, *test, "--seeds", "0", "1", "--checkpoints", str(tmp_path / "nets")]
    assert cli.main([*both, "--out", str(tmp_path / "both.json")]) == 0
    report = Report.from_json(tmp_path / "both.json")
    assert report.methods[3:] == ["HMNet-lite", "without Mamba"]
    assert report.cell("HMNet-lite", "cross").seeds == 2
    assert [run["seed"] for run in report.training["runs"]] == [0, 0, 1, 1]
    assert "mIoU (%)" in capsys.readouterr().out
    # a second time trains nothing; another budget is not mixed in
    monkeypatch.setattr(cli, "train", lambda *_, **__: pytest.fail("trained again"))
    assert cli.main(both) == 0
    both[both.index("0.02")] = "0.03"
    assert cli.main(both) == 2
    assert "was trained with minutes=0.02, this comparison asks for 0.03" in capsys.readouterr().err


def test_bad_commands_end_in_one_line(tmp_path, capsys):
    assert cli.main(["train", "--fold", "9"]) == 2
    error = capsys.readouterr().err
    assert (
        error.startswith("hmnet_lite train: fold is 9; expected 0 to 3") and error.count("\n") == 1
    )
    assert cli.main(["evaluate", str(tmp_path / "no.safetensors")]) == 2
    assert "train one with python -m hmnet_lite train" in capsys.readouterr().err
    path = save_checkpoint(HMNet(TINY), tmp_path / "net.safetensors", fold=1, seed=0)
    assert cli.main(["evaluate", str(path), "--fold", "0"]) == 2
    assert "its test classes are ones it has seen" in capsys.readouterr().err


def test_reports_keep_how_networks_were_trained(tmp_path):
    report = Report({1: "monkey"})
    report.training = {"episodes": 5, "runs": [{"seed": 0, "steps": 3}]}
    from hmnet_lite.scoring.metrics import Scores

    scores = Scores()
    scores.update(np.ones((2, 2), bool), np.ones((2, 2), np.uint8), 1)
    report.add("x", Protocol(episodes=1), scores)
    assert Report.from_json(report.to_json(tmp_path / "r.json")).training == report.training
    assert json.loads((tmp_path / "r.json").read_text())["training"]["episodes"] == 5

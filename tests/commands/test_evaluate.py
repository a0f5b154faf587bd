"""hmnet train, evaluate and compare on Emoji-20i, with networks of one sitting."""

import json

import pytest
import torch

from hmnet_lite import HMNet, HMNetConfig
from hmnet_lite.commands.main import main
from hmnet_lite.scoring.report import Report
from hmnet_lite.training.checkpoint import read_facts, save_checkpoint

TINY = HMNetConfig(dim=16, depth=2, state=4)
SMALL = ["--dim", "16", "--state", "4", "--image-size", "64"]


@pytest.fixture(autouse=True)
def small(tmp_path, monkeypatch):
    """A cache of its own, and few training episodes behind the prior's threshold."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HMNET_LITE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("hmnet_lite.scoring.gaps.PRIOR_EPISODES", 4)


def network(path, config=TINY, **facts):
    torch.manual_seed(facts.get("seed", 0))
    return str(save_checkpoint(HMNet(config), path, **facts))


def test_runs_of_one_method_shots_boxes_and_support_use(tmp_path, capsys):
    runs = [network(f"net-seed{seed}.safetensors", fold=1, seed=seed) for seed in (0, 1)]
    asked = ["evaluate", *runs, "--gaps", "same", "cross", "--episodes", "4", "--shots", "2"]
    asked += ["--image-size", "64", "--support-annotation", "box", "--out", "report.json"]
    assert main(asked) == 0
    told = capsys.readouterr().out
    report = Report.from_json("report.json")
    assert report.methods == ["all foreground", "every object", "prior mask", "net"]
    assert report.gaps == ["same", "cross"] and report.support_annotation == "box"
    assert (report.protocol["fold"], report.protocol["shots"]) == (1, 2)
    assert report.cell("net", "cross").seeds == 2
    assert report.made["command"].startswith("hmnet evaluate net-seed0.safetensors")
    for shown in ("wrong", "none"):  # a fresh mixer is silent: it cannot use what it is shown
        assert report.support_use("net", "same", shown).mean == 0
    assert report.support_use("prior mask", "same") is None
    assert "mIoU (%)" in told and "net, wrong class" in told
    assert "on boxes" in told
    assert "metrics" not in read_facts(runs[0])
    found = report.difference("net", "prior mask", "same")
    assert found.runs == 2 and found.low <= found.mean <= found.high


def test_scores_are_kept_in_the_header(capsys):
    path = network("net.safetensors", fold=1, seed=3)
    asked = ["--gaps", "same", "--episodes", "3", "--image-size", "64", "--keep"]
    assert main(["evaluate", path, *asked, "--out", "report.json"]) == 0
    row = next(row for row in Report.from_json("report.json").rows if row.method == "net")
    facts = read_facts(path)
    assert facts["metrics"] == {"same": round(row.miou, 6)}
    assert facts["misled"] == {"same": {k: round(m, 4) for k, m in row.misled.items()}}
    tested = facts["tested"]
    assert (tested["fold"], tested["shots"], tested["episodes"], tested["seed"]) == (1, 1, 3, 321)
    assert main(["evaluate", path, "--dataset", "pascal", "--root", ".", "--keep"]) == 2
    assert "--keep is for the emoji" in capsys.readouterr().err


def test_folds_are_taken_from_the_checkpoints(capsys):
    one, two = (network(f"{i}.safetensors", fold=i, seed=0) for i in (1, 2))
    bare, every = network("bare.safetensors"), network("every.safetensors", fold=None)
    for words, message in (
        ([one, "--fold", "0"], "trained with novel classes: 1.safetensors with fold 1; on fold 0"),
        ([one, two], "with fold 1, 2.safetensors with fold 2; test one fold at a time"),
        ([bare], "bare.safetensors does not say which fold was novel when it was trained"),
        ([one, one], "is the second '1' with seed 0"),
        ([every], "every.safetensors was trained on every class, so none is left that is new"),
    ):
        assert main(["evaluate", *words, "--image-size", "64"]) == 2
        assert message in capsys.readouterr().err
    asked = ["--fold", "3", "--gaps", "same", "--episodes", "2", "--image-size", "64"]
    assert main(["evaluate", bare, *asked]) == 0


@pytest.mark.slow
def test_train_evaluate_and_compare(tmp_path, capsys, monkeypatch):
    few = [*SMALL, "--steps", "3", "--batch", "2", "--training-episodes", "8"]
    assert main(["train", "--fold", "1", *few, "--seed", "4", "--out", "net.safetensors"]) == 0
    facts = read_facts("net.safetensors")
    assert (facts["fold"], facts["seed"], facts["steps"]) == (1, 4, 3)
    test = ["--gaps", "same", "--episodes", "4"]
    both = ["compare", *few, *test, "--seeds", "0", "1", "--checkpoints", "nets"]
    assert main([*both, "--out", "both.json"]) == 0
    assert "HMNet-lite minus without Mamba, same: " in capsys.readouterr().out
    report = Report.from_json("both.json")
    assert report.methods[3:] == ["HMNet-lite", "without Mamba"]
    assert report.cell("HMNet-lite", "same").seeds == 2
    assert [run["seed"] for run in report.training["runs"]] == [0, 0, 1, 1]
    assert json.loads((tmp_path / "both.json").read_text())["made"]["command"].startswith("hmnet")
    # a second time trains nothing; another recipe or network is not mixed in
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "nets").iterdir()}
    assert main(both) == 0
    assert before == {path: path.stat().st_mtime_ns for path in (tmp_path / "nets").iterdir()}
    for change, message in (
        (["--steps", "4"], "steps=3, this comparison asks for 4"),
        (["--dim", "32"], "dim=16, this comparison asks for 32"),
        (["--learning-rate", "0.1"], "learning_rate=0.003, this comparison asks for 0.1"),
    ):
        assert main([*both, *change]) == 2
        assert message in capsys.readouterr().err

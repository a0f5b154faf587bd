"""The commands on photographs, on small trees in the real layouts."""

from pathlib import Path

import pytest
import torch

from hmnet_lite import HMNet, HMNetConfig
from hmnet_lite.commands.main import main
from hmnet_lite.data.photos.protocol import PhotoProtocol
from hmnet_lite.scoring.metrics import Scores
from hmnet_lite.scoring.photo_report import PhotoReport
from hmnet_lite.scoring.predict import segment_episode
from hmnet_lite.training import zoo
from hmnet_lite.training.checkpoint import read_facts, save_checkpoint
from tests.data.photos import trees
from tests.golden.synth import synth_state_dict
from tests.scoring.test_photo_report import ByColour

NAMES = Path(__file__).parents[1] / "golden" / "hmnet_r50_1shot.names.json"
TINY = HMNetConfig(dim=16, depth=2, state=4)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("HMNET_LITE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("hmnet_lite.scoring.gaps.PRIOR_EPISODES", 4)


@pytest.fixture
def own(tmp_path):
    return trees.class_folders(tmp_path / "pictures", ["bowl", "cup", "mug"])


def test_options_that_mean_nothing_are_refused(tmp_path, own, capsys):
    path = str(save_checkpoint(HMNet(TINY), tmp_path / "net.safetensors", fold=1, seed=0))
    on = ["--dataset", "folder", "--root", str(own)]
    for words, message in (
        (["evaluate", path, "--root", "x"], "--root only has a meaning with photographs; add --da"),
        (["evaluate", path, "--backbone", "vgg16"], "--backbone only has a meaning with photogr"),
        (["train", "--small-object", "64"], "--small-object only has a meaning with photographs"),
        (["train", "--support-annotation", "box"], "--support-annotation only has a meaning with"),
        (["train", "--no-filter-novel"], "filter_novel is False; dataset"),
        (["train", *on, "--distractors", "3"], "--distractors only has a meaning with --dataset"),
        (["train", *on, "--image-size", "250"], "--image-size 250; HMNet-lite expects a multiple"),
        (["train", *on, "--image-size", "100000"], "--image-size 100000; expected at most 2048"),
        (["evaluate", path, *on, "--gaps", "same"], "--gaps only has a meaning with --dataset"),
        (["evaluate", path, path, *on], "2 checkpoints; on photographs one is tested at a time"),
        (["evaluate", path, "--dataset", "pascal"], "--dataset pascal needs --root"),
        (["train", "--dataset", "coco"], "--dataset coco needs --root"),
        (["evaluate", path, *on, "--backbone", "vgg16"], "names its own backbone; leave --back"),
        (["evaluate", path, "--dataset", "folder", "--root", "no/such"], "there is no such folder"),
        (["evaluate", path, *on, "--fold", "7"], "fold is 7; expected 0 to 3"),
        (["evaluate", "no.pth", *on], "there is no model file no.pth"),
        (["evaluate", path, *on, "--out", f"{own}/cup/r.json"], "among the files that are read"),
        (["train", *on, "--out", f"{own}/net.safetensors"], "choose a place outside"),
        (["train", *on, "--out", f"{own}/cup/1.png"], "cup/1.png would lie in"),
        (["train", *on, "--tensorboard", str(own)], "--tensorboard "),
    ):
        assert main(words) == 2, words
        error = capsys.readouterr().err
        assert message in error and error.count("\n") == 1, error


def test_a_network_is_not_tested_on_the_fold_it_was_trained_on(tmp_path, capsys):
    root = trees.pascal(tmp_path / "voc")
    facts = {"dataset": "pascal", "fold": 1, "fold_scheme": "consecutive", "image_size": 64}
    path = str(save_checkpoint(HMNet(TINY), tmp_path / "net.safetensors", seed=0, **facts))
    asked = ["evaluate", path, "--dataset", "pascal", "--root", str(root), "--episodes", "2"]
    assert main([*asked, "--fold", "0"]) == 2
    assert "was trained with fold 1, so with fold 0 classes it has seen" in capsys.readouterr().err
    out = tmp_path / "report.json"
    assert main([*asked, "--small-object", "100", "--out", str(out)]) == 0
    report = PhotoReport.from_json(out)
    assert (report.protocol.fold, report.protocol.image_size) == (1, 64)
    assert set(report.class_names) == set(range(6, 11))
    assert report.checkpoint["sha256"] and report.checkpoint["trained_on_tested"] == []


def test_evaluate_one_s_own_pictures_past_a_broken_one(tmp_path, own, monkeypatch, capsys):
    model = ByColour()
    model.backbone, model.config = HMNet(TINY).backbone, TINY
    monkeypatch.setattr(zoo, "load", lambda _: model)
    path = str(save_checkpoint(HMNet(TINY), tmp_path / "net.safetensors", classes=["cup"]))
    asked = ["evaluate", "--checkpoint", path, "--dataset", "folder", "--root", str(own)]
    asked += ["--image-size", "64", "--episodes", "15", "--seed", "4"]
    assert main([*asked, "--out", str(tmp_path / "whole.json")]) == 0
    told = capsys.readouterr()
    report = PhotoReport.from_json(tmp_path / "whole.json")
    assert report.table() in told.out and report.protocol.seed == 4
    assert report.scores["net"].miou > 0.93 > 0.5 > report.scores["all foreground"].miou
    assert list(report.scores) == ["all foreground", "prior mask", "net"]
    assert report.made["command"] == " ".join(["hmnet", *asked, "--out", f"{tmp_path}/whole.json"])
    assert len(report.scores["net"].counts) == 15  # each episode's, for paired intervals
    assert "1 of 3 classes tested have the name of one the network was trained on" in told.out
    assert "evaluate" in told.err and "15" in told.err  # the progress bar

    broken = own / "mug" / "2.jpg"
    broken.write_bytes(broken.read_bytes()[:900])
    assert main(asked) == 2
    assert "mug/2.jpg cannot be read" in capsys.readouterr().err
    assert main([*asked, "--on-bad-image", "skip", "--out", str(tmp_path / "skip.json")]) == 0
    skipped = PhotoReport.from_json(tmp_path / "skip.json")
    assert skipped.skipped and skipped.scores["net"].episodes == 15 - len(skipped.skipped)
    assert "broken files: mug/2.jpg" in capsys.readouterr().out


@pytest.mark.slow
def test_train_and_evaluate_on_one_s_own_pictures(tmp_path, own, capsys):
    network, on = str(tmp_path / "net.safetensors"), ["--dataset", "folder", "--root", str(own)]
    few = ["--minutes", "0.02", "--training-episodes", "16", "--depth", "0", "--dim", "16"]
    assert main(["train", *on, "--image-size", "64", *few, "--out", network]) == 0
    facts = read_facts(network)
    assert (facts["dataset"], facts["fold"], facts["image_size"]) == ("folder", None, 64)
    assert facts["classes"] == ["bowl", "cup", "mug"] and facts["steps"] > 0
    out = tmp_path / "report.json"
    assert main(["evaluate", network, *on, "--episodes", "3", "--out", str(out)]) == 0
    assert PhotoReport.from_json(out).protocol.image_size == 64
    assert "3 of 3 classes tested have the name" in capsys.readouterr().out
    # and on the emoji, all of whose folds are new to it
    asked = ["evaluate", network, "--gaps", "same", "--episodes", "2", "--fold", "2"]
    assert main(asked) == 0


@pytest.mark.slow
def test_the_published_protocol_end_to_end_with_synthetic_weights(tmp_path, capsys):
    root = trees.pascal(tmp_path / "VOCdevkit" / "VOC2012")
    weights = synth_state_dict(NAMES, 5)
    weights = {f"module.{name}": torch.from_numpy(value) for name, value in weights.items()}
    torch.save({"epoch": 1, "state_dict": weights}, tmp_path / "authors.pth")
    out = tmp_path / "report.json"
    asked = ["evaluate", "--dataset", "pascal", "--root", str(tmp_path / "VOCdevkit")]
    asked += ["--checkpoint", str(tmp_path / "authors.pth"), "--fold", "0", "--shots", "1"]
    asked += ["--backbone", "resnet50", "--image-size", "473", "--seed", "321"]
    assert main([*asked, "--episodes", "2", "--small-object", "900", "--out", str(out)]) == 0
    report = PhotoReport.from_json(out)
    assert report.protocol == PhotoProtocol("pascal", episodes=2, small_object=900)
    assert report.scores["authors"].episodes == 2 and report.checkpoint["backbone"] == "resnet50"
    assert report.data["pictures"] == 60 and report.table() in capsys.readouterr().out
    # the network's own answer to an episode is what was counted
    from hmnet_lite.models.hmnet.weights import load_published

    model = load_published(tmp_path / "authors.pth")
    counted = Scores()
    for episode in report.protocol.build(root, progress=False):
        counted.update(segment_episode(model, episode), episode.query_label, episode.class_id)
    assert counted == report.scores["authors"]
    # a checkpoint of other shots is told before any data is read
    assert main([*asked, "--shots", "5"]) == 2
    assert "authors.pth" in capsys.readouterr().err

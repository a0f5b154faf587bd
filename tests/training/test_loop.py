"""From episodes to a trained, saved, evaluated network; caches and checkpoints that stay whole."""

import errno
import itertools
import json
import os
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from hmnet_lite import HMNet, HMNetConfig, files
from hmnet_lite.commands import main as cli
from hmnet_lite.data.emoji.protocol import Protocol
from hmnet_lite.models.features import CachedFeatures, stack
from hmnet_lite.scoring.evaluate import Report, evaluate
from hmnet_lite.scoring.predict import (
    best_threshold,
    model_predictor,
    prior_predictor,
    segment_episode,
)
from hmnet_lite.training.checkpoint import load_checkpoint, read_facts, save_checkpoint
from hmnet_lite.training.loop import TrainConfig, segmentation_loss, train

TINY = HMNetConfig(dim=16, depth=2, state=4)
PROTOCOL = Protocol(episodes=6)
SHARD = 16  # episodes in a file; the package's 50 would take longer


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module", autouse=True)
def small_shards():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hmnet_lite.models.features.SHARD", SHARD)
        yield


@pytest.fixture(scope="module")
def training(folder):
    return CachedFeatures(PROTOCOL.training(SHARD + 6), folder=folder, workers=1, progress=False)


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return HMNet(TINY).eval()


# ---- cached features


def test_cached_episodes_are_the_episodes(training, model):
    assert len(training) == SHARD + 6
    for i in (0, SHARD - 1, SHARD, -1):
        cached, episode = training[i], training.episodes[i]
        assert cached.class_id == episode.class_id and cached.index == i % len(training)
        for name in ("query_mask", "support_masks", "query_objects"):
            assert np.array_equal(getattr(cached, name), getattr(episode, name)), name
        image = torch.from_numpy(episode.query_image).permute(2, 0, 1)[None] / 255
        for kept, fresh in zip(cached.query, model.backbone(image), strict=True):
            torch.testing.assert_close(kept.float(), fresh[0], rtol=2e-3, atol=2e-3)  # float16
    with pytest.raises(IndexError):
        training[len(training)]


def test_masks_with_ignored_pixels_survive_packing():
    from hmnet_lite.models.features import _pack, _unpack

    masks = np.random.default_rng(0).choice([0, 1, 255], (3, 5, 7)).astype(np.uint8)
    assert np.array_equal(_unpack(_pack(masks), (5, 7)), masks)


def test_a_second_opening_computes_nothing_and_workers_agree(training, folder, monkeypatch):
    files_before = {p: p.stat().st_mtime_ns for p in folder.rglob("*.safetensors")}
    monkeypatch.setattr(
        "hmnet_lite.models.features._compute_shard", lambda *_: pytest.fail("computed")
    )
    again = CachedFeatures(PROTOCOL.training(SHARD + 6), folder=folder, progress=False)
    assert torch.equal(again[3].support, training[3].support)
    assert files_before == {p: p.stat().st_mtime_ns for p in folder.rglob("*.safetensors")}


def test_other_content_is_another_cache(training, folder):
    def key(protocol):
        return CachedFeatures(protocol.training(2), folder=folder, workers=1, progress=False).folder

    assert key(PROTOCOL) == training.folder  # a shorter set is the same content
    assert key(Protocol(fold=1)) != training.folder


@pytest.mark.slow
def test_two_processes_compute_what_one_does(training, tmp_path):
    two = CachedFeatures(PROTOCOL.training(SHARD + 6), folder=tmp_path, workers=2, progress=False)
    assert len(list(two.folder.iterdir())) == 2
    for shard in two.folder.iterdir():
        theirs, ours = (load_file(folder / shard.name) for folder in (two.folder, training.folder))
        assert theirs.keys() == ours.keys()
        for name, value in theirs.items():  # another process may round a feature the other way
            near = 2**-10 if value.is_floating_point() else 0
            torch.testing.assert_close(value, ours[name], rtol=near, atol=near)


def test_a_damaged_shard_is_computed_again(tmp_path):
    one = CachedFeatures(PROTOCOL.training(2), folder=tmp_path, workers=1, progress=False)
    shard = next(one.folder.iterdir())
    whole = shard.read_bytes()
    shard.write_bytes(whole[: len(whole) // 2])
    CachedFeatures(PROTOCOL.training(2), folder=tmp_path, workers=1, progress=False)
    assert shard.read_bytes() == whole


def test_interrupted_caching_keeps_whole_shards_and_goes_on(tmp_path, monkeypatch):
    from hmnet_lite.models import features

    monkeypatch.setattr(features, "SHARD", 2)
    compute, done = features._compute_shard, []

    def stop_at_second(*job):
        if done:
            raise KeyboardInterrupt
        done.append(job)
        return compute(*job)

    monkeypatch.setattr(features, "_compute_shard", stop_at_second)
    ask = dict(folder=tmp_path, workers=1, progress=False)
    with pytest.raises(KeyboardInterrupt):
        CachedFeatures(PROTOCOL.training(4), **ask)
    assert len(list(tmp_path.rglob("*"))) == 2  # the folder and one whole shard
    counted = []
    monkeypatch.setattr(
        features, "_compute_shard", lambda *job: counted.append(job) or compute(*job)
    )
    assert len(CachedFeatures(PROTOCOL.training(4), **ask)) == 4 and len(counted) == 1


def test_a_full_disk_while_caching_is_said_and_leaves_nothing(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(OSError, match=r"no room to write it .* Mend: free some space") as error:
        CachedFeatures(PROTOCOL.training(2), folder=tmp_path, workers=1, progress=False)
    assert error.value.errno == errno.ENOSPC
    assert not [p for p in tmp_path.rglob("*") if p.is_file()]


# ---- training


def test_loss_by_hand_and_ignored_pixels():
    logits = torch.zeros(1, 2, 2, 2)
    masks = torch.tensor([[[1, 0], [255, 255]]])
    # p = 0.5 on two known pixels; cross-entropy is averaged over all four pixels
    expected = 2 * np.log(2) / 4 + 1 - 2 * 0.5 / (0.25 + 0.25 + 1)
    assert segmentation_loss(logits, masks).item() == pytest.approx(expected, rel=1e-5)
    logits[..., 1, :] = torch.randn(2, 2)  # what is ignored does not matter
    assert segmentation_loss(logits, masks).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.slow
def test_training_learns_and_repeats_exactly(training):
    def run(seed):
        torch.manual_seed(0)
        net = HMNet(TINY)
        return train(net, training, TrainConfig(steps=12, batch=4, seed=seed), progress=False), net

    (history, net), (again, twin), (other, _) = run(0), run(0), run(1)
    assert history.steps == 12 and len(history.seconds) == len(history.iou) == 12
    assert np.mean(history.loss[-3:]) < np.mean(history.loss[:3]) - 0.1
    assert history.loss == again.loss != other.loss
    assert all(torch.equal(a, b) for a, b in zip(net.parameters(), twin.parameters(), strict=True))
    assert not net.training  # left ready to use


def test_a_budget_in_seconds_is_kept(training, monkeypatch):
    clock = SimpleNamespace(perf_counter=itertools.count(step=0.25).__next__)
    monkeypatch.setattr("hmnet_lite.training.loop.time", clock)
    history = train(HMNet(TINY), training, TrainConfig(seconds=1, batch=2), progress=False)
    assert history.seconds == [0.25, 0.5, 0.75, 1.0]


@pytest.mark.parametrize(
    "settings, message",
    [
        ({}, "give exactly one of the two budgets"),
        ({"seconds": 1, "steps": 1}, "give exactly one of the two budgets"),
        ({"steps": -3}, "expected a positive budget"),
        ({"seconds": 0.0}, "expected a positive budget"),
        ({"steps": 1, "batch": 0}, "a batch of at least 1"),
    ],
)
def test_bad_budgets_are_named(settings, message):
    with pytest.raises(ValueError, match=message):
        TrainConfig(**settings)


def test_too_few_episodes_and_broken_losses_are_named(training):
    with pytest.raises(ValueError, match=r"22 training episodes and a batch of 99"):
        train(HMNet(TINY), training, TrainConfig(steps=1, batch=99), progress=False)
    net = HMNet(TINY)
    with torch.no_grad():
        net.decoder.classify.bias.fill_(float("nan"))
    with pytest.raises(FloatingPointError, match=r"the loss is nan at step 0; lower learning_rate"):
        train(net, training, TrainConfig(steps=1, batch=2), progress=False)


# ---- predictions


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


# ---- checkpoints


def test_checkpoint_round_trip(tmp_path, training, model):
    path = save_checkpoint(model, tmp_path / "net.safetensors", fold=2, seed=7)
    back = load_checkpoint(path)
    assert back.config == TINY and not back.training and read_facts(path) == {"fold": 2, "seed": 7}
    batch = stack([training[0]])
    ask = (batch.query, batch.support, batch.support_masks)
    assert torch.equal(back.segment(*ask), model.segment(*ask))
    assert path.stat().st_size < 600_000  # the frozen backbone is not in it


def test_bad_checkpoints_are_named(tmp_path, model):
    with pytest.raises(FileNotFoundError, match=r"no checkpoint at .*none.safetensors; train one"):
        load_checkpoint(tmp_path / "none.safetensors")
    path = save_checkpoint(model, tmp_path / "net.safetensors")
    whole = path.read_bytes()
    path.write_bytes(whole[:1000])
    with pytest.raises(ValueError, match=r"not a whole safetensors file"):
        load_checkpoint(path)
    path.write_bytes(b"\x80\x05cos\nsystem\n(S'true'\ntR.")  # a pickle is never opened as one
    with pytest.raises(ValueError, match=r"not a whole safetensors file"):
        load_checkpoint(path)
    from safetensors.torch import save_file

    save_file({"x": torch.zeros(1)}, path)
    with pytest.raises(ValueError, match=r"not an hmnet-lite checkpoint"):
        load_checkpoint(path)
    path.write_bytes(whole.replace(model.backbone.fingerprint.encode(), b"0" * 16))
    with pytest.raises(ValueError, match=r"was trained on backbone weights 0000"):
        load_checkpoint(path)


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
    monkeypatch.setattr(cli, "train_model", lambda *_: pytest.fail("trained again"))
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

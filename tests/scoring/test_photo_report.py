"""The protocol, the report and the command for photographs, on small trees in the real layouts."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from hmnet_lite import HMNet, HMNetConfig
from hmnet_lite.commands import main as cli
from hmnet_lite.commands import photos as cli_photos
from hmnet_lite.data.photos import protocol as photo_protocol
from hmnet_lite.data.photos import sampler as photo
from hmnet_lite.data.photos.pictures import BadImage
from hmnet_lite.data.photos.protocol import PHOTO_DATASETS, PhotoProtocol
from hmnet_lite.models.features import CachedFeatures
from hmnet_lite.scoring.evaluate import all_foreground, evaluate, truth
from hmnet_lite.scoring.metrics import Scores
from hmnet_lite.scoring.photo_report import PhotoReport, Readable
from hmnet_lite.scoring.predict import segment_episode
from hmnet_lite.training.checkpoint import read_facts, save_checkpoint
from tests.data.photos import trees
from tests.golden.synth import synth_state_dict

NAMES = Path(__file__).parents[1] / "golden" / "hmnet_r50_1shot.names.json"
TINY = HMNetConfig(dim=16, depth=2, state=4)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("HMNET_LITE_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def own(tmp_path):
    return trees.class_folders(tmp_path / "pictures", ["bowl", "cup", "mug"])


def protocol(**changes):
    return PhotoProtocol(**{"dataset": "folder", "episodes": 12, "image_size": 64, **changes})


class ByColour(nn.Module):
    """Knows the answer: marks what has the mean colour of the support's class."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, query, supports, masks):
        inside = (masks == 1).float()[:, :, None]
        mean = (supports * inside).sum((1, 3, 4)) / inside.sum((1, 3, 4))
        near = (query - mean[..., None, None]).abs().amax(1) < 0.2
        return torch.stack([~near, near], 1).float()


# ---- protocol


def test_defaults_are_the_published_protocols():
    assert photo_protocol.DEFAULTS.keys() == set(PHOTO_DATASETS)
    pascal, coco = PhotoProtocol("pascal"), PhotoProtocol("coco")
    assert (pascal.fold, pascal.episodes, pascal.seed, pascal.image_size) == (0, 1000, 321, 473)
    assert (coco.fold, coco.episodes, coco.seed, coco.image_size) == (0, 4000, 321, 633)
    assert coco.fold_scheme == "consecutive" and pascal.filter_novel and coco.filter_novel
    assert pascal.small_object == coco.small_object == photo.SMALL_OBJECT
    for dataset in PHOTO_DATASETS:
        written = json.loads(json.dumps(PhotoProtocol(dataset).to_dict()))
        assert PhotoProtocol.from_dict(written) == PhotoProtocol(dataset)
        assert set(written) == {f.name for f in dataclasses.fields(PhotoProtocol)}
        assert all(value is not None for name, value in written.items() if name != "fold")


@pytest.mark.parametrize(
    "fields, message",
    [
        ({"dataset": "pascal5i"}, "expected one of pascal, coco, fss1000, folder. Did you mean"),
        ({"dataset": "pascal", "fold": 4}, "fold is 4; expected 0 to 3"),
        ({"dataset": "fss1000", "fold": 0}, "fold is 0; FSS-1000 has none"),
        ({"dataset": "pascal", "fold_scheme": "interleaved"}, "expected one of consecutive"),
        ({"dataset": "pascal", "labels": "json"}, "labels is 'json'; expected one of png"),
        ({"dataset": "coco", "labels": "xml"}, "expected one of png, json"),
        ({"dataset": "folder", "episodes": 0}, "episodes is 0; expected at least 1"),
        ({"dataset": "folder", "small_object": 0}, "small_object is 0; expected at least 1"),
        ({"dataset": "folder", "support_annotation": "dots"}, "expected one of mask, box"),
        ({"dataset": "folder", "filter_novel": 1}, "expected True or False"),
        ({"dataset": "folder", "seed": -1}, "seed is -1"),
    ],
)
def test_every_field_is_checked(fields, message):
    with pytest.raises((ValueError, TypeError)) as caught:
        PhotoProtocol(**fields)
    assert message in str(caught.value)


def test_every_field_reaches_the_episodes(tmp_path):
    root = trees.coco_png(tmp_path)
    given = PhotoProtocol(
        "coco", fold=2, fold_scheme="interleaved", episodes=3, seed=5, image_size=48,
        filter_novel=False, small_object=99, support_annotation="box",
    )  # fmt: skip
    for data, split, seed, length in (
        (given.build(root, progress=False), "test", 5, 3),
        (given.training(7, root, seed=6, progress=False), "train", 6, 7),
    ):
        assert (data.split, data.seed, len(data), data.shots) == (split, seed, length, 1)
        assert (data.image_size, data.small_object) == (48, 99)
        assert (data.filter_novel, data.support_annotation) == (False, "box")
        assert (3 in data.classes) == (split == "test") and len(data.classes) == (
            20 if split == "test" else 60
        )


# ---- scores at the label's own size, broken files


def test_predictions_are_scored_at_the_size_of_the_label(own):
    data = protocol().build(own, progress=False)
    for episode in data:
        assert truth(episode) is episode.query_label
        assert segment_episode(ByColour(), episode).shape == trees.SIZE
    scores = evaluate(
        {"colour": lambda e: segment_episode(ByColour(), e), "all": all_foreground}, data,
        progress=False,
    )  # fmt: skip
    assert scores["colour"].miou > 0.93  # a 64-pixel answer for an 80-pixel picture
    counted = sum(sums[2] for sums in scores["all"].to_dict().values())
    assert counted == 12 * 60 * 80  # every pixel of the pictures, none of the padding


def test_odd_sizes_come_back_upright(tmp_path):
    """A tall picture: resized to its square's side, then cut to its own columns."""
    for number in range(1, 3):
        ids = trees.ids_with((1, 60, 110, 2, 20), size=(121, 33))
        trees.save_picture(tmp_path / "mug" / f"{number}.jpg", ids)
        trees.save_ids(tmp_path / "mug" / f"{number}.png", ids)
    (episode,) = protocol(episodes=1, image_size=128).build(tmp_path, progress=False)
    found = segment_episode(ByColour(), episode)
    assert found.shape == (121, 33)
    assert (found == (episode.query_label == 1)).mean() > 0.97


def test_broken_pictures_stop_or_are_skipped_named_and_counted(own):
    path = own / "mug" / "2.jpg"
    path.write_bytes(path.read_bytes()[:900])
    data = protocol(episodes=30).build(own, progress=False)
    with pytest.raises(BadImage, match=r"2\.jpg cannot be read .* needed by episode \d+ of 30"):
        list(Readable(data))
    with pytest.raises(ValueError, match="on_bad is 'ignore'; expected one of stop, skip"):
        Readable(data, "ignore")
    readable = Readable(data, "skip")
    scores = evaluate({"all foreground": all_foreground}, readable, progress=False)
    skipped = readable.skipped
    assert skipped and scores["all foreground"].episodes == 30 - len(skipped)
    assert {skip["file"] for skip in skipped} == {"mug/2.jpg"}
    report = PhotoReport(protocol(episodes=30), readable, scores)
    assert (
        f"{len(skipped)} of 30 episodes were skipped for 1 broken files: mug/2.jpg"
        in (report.notes()[0])
    )
    path.write_bytes(b"")
    list(readable)
    assert len(readable.skipped) == len(skipped)  # counted afresh


# ---- report


def make_report(own, **scores):
    data = Readable(protocol().build(own, progress=False))
    rows = {name: Scores.from_dict(sums) for name, sums in scores.items()}
    return PhotoReport(protocol(), data, rows, {"file": "x.pth"})


SUMS = {"0": [5, 30, 100, 80, 100], "2": [7, 50, 100, 90, 100]}


def test_report_table_and_notes(own):
    report = make_report(own, mine=SUMS, other={**SUMS, "2": [7, 0, 10, 1, 2]})
    assert report.table() == (
        "IoU (%), folder, 1-shot  mine  other\n"
        "-----------------------  ----  -----\n"
        "bowl                     30.0   30.0\n"
        "mug                      50.0    0.0\n"
        "mIoU                     40.0   15.0\n"
        "FB-IoU                   62.5   53.3"
    )
    assert report.notes() == [
        "1 of 3 classes had no episode, so mIoU is the mean of the others: cup"
    ]
    assert report.table(markdown=True).startswith("| IoU (%), folder, 1-shot | mine | other |")


def test_report_round_trip_and_damage(own, tmp_path):
    report = make_report(own, mine=SUMS)
    path = report.to_json(tmp_path / "out" / "report.json")
    back = PhotoReport.from_json(path)
    for name in ("protocol", "scores", "class_names", "data", "skipped", "checkpoint", "made"):
        assert getattr(back, name) == getattr(report, name), name
    assert back.table() == report.table()
    value = json.loads(path.read_text())
    assert value["protocol"] == protocol().to_dict()
    assert value["methods"]["mine"]["class_iou"] == {"0": 0.3, "2": 0.5}
    del value["protocol"]["filter_novel"]
    for damage in (json.dumps(value), "{", "[]"):
        path.write_text(damage)
        with pytest.raises(ValueError, match=r"is not a report on photographs .*evaluate again"):
            PhotoReport.from_json(path)


def test_a_report_refuses_other_episodes_than_its_protocol_s(own):
    with pytest.raises(ValueError, match="'mine' was scored on 5 episodes and 0 were skipped, the"):
        make_report(own, mine={"0": SUMS["0"]})


# ---- commands


def test_options_that_mean_nothing_are_refused(tmp_path, own, capsys):
    path = str(save_checkpoint(HMNet(TINY), tmp_path / "net.safetensors", fold=1, seed=0))
    photos = ["--dataset", "folder", "--root", str(own)]
    for words, message in (
        (["evaluate", path, "--root", "x"], "--root only has a meaning with photographs; add --da"),
        (["evaluate", path, "--backbone", "vgg16"], "--backbone only has a meaning with photogr"),
        (["train", "--image-size", "64"], "--image-size only has a meaning with photographs"),
        (["train", "--no-filter-novel"], "--filter-novel only has a meaning with photographs"),
        (["evaluate", path, *photos, "--gaps", "same"], "--gaps only has a meaning with --dataset"),
        (["evaluate", path, "--dataset", "pascal"], "--dataset pascal needs --root"),
        (["train", "--dataset", "coco"], "--dataset coco needs --root"),
        (["evaluate"], "give one checkpoint: evaluate FILE, or evaluate --checkpoint FILE"),
        (["evaluate", path, "--checkpoint", path], "give one checkpoint"),
        (
            ["evaluate", path, *photos, "--backbone", "vgg16"],
            "names its own backbone; leave --back",
        ),
        (["evaluate", path, "--dataset", "folder", "--root", "no/such"], "there is no folder no/s"),
        (["evaluate", path, *photos, "--fold", "7"], "fold is 7; expected 0 to 3"),
        (["evaluate", "no.pth", *photos], "no checkpoint at no.pth"),
    ):
        assert cli.main(words) == 2, words
        error = capsys.readouterr().err
        assert message in error and error.count("\n") == 1, error


def test_a_network_is_not_tested_on_the_fold_it_was_trained_on(tmp_path, capsys):
    root = trees.pascal(tmp_path / "voc")
    facts = {"dataset": "pascal", "fold": 1, "fold_scheme": "consecutive", "image_size": 64}
    path = str(save_checkpoint(HMNet(TINY), tmp_path / "net.safetensors", seed=0, **facts))
    asked = ["evaluate", path, "--dataset", "pascal", "--root", str(root), "--episodes", "2"]
    assert cli.main([*asked, "--fold", "0"]) == 2
    assert "was trained with fold 1, so with fold 0 classes it has seen" in capsys.readouterr().err
    out = tmp_path / "report.json"
    assert cli.main([*asked, "--small-object", "100", "--out", str(out)]) == 0
    report = PhotoReport.from_json(out)
    assert (report.protocol.fold, report.protocol.image_size) == (1, 64)
    assert set(report.class_names) == set(range(6, 11))
    assert report.checkpoint["sha256"] and report.checkpoint["trained_on_tested"] == []


def test_evaluate_one_s_own_pictures_past_a_broken_one(tmp_path, own, monkeypatch, capsys):
    monkeypatch.setattr(cli_photos, "_load", lambda *_: ByColour())
    path = str(save_checkpoint(HMNet(TINY), tmp_path / "net.safetensors", classes=["cup"]))
    asked = ["evaluate", "--checkpoint", path, "--dataset", "folder", "--root", str(own)]
    asked += ["--image-size", "64", "--episodes", "15", "--seed", "4"]
    assert cli.main([*asked, "--out", str(tmp_path / "whole.json")]) == 0
    told = capsys.readouterr()
    report = PhotoReport.from_json(tmp_path / "whole.json")
    assert report.table() in told.out and report.protocol.seed == 4
    assert report.scores["net"].miou > 0.93 > 0.5 > report.scores["all foreground"].miou
    assert "1 of 3 classes tested have the name of one the network was trained on" in told.out
    assert "evaluate" in told.err and "15" in told.err  # the progress bar

    broken = own / "mug" / "2.jpg"
    broken.write_bytes(broken.read_bytes()[:900])
    assert cli.main(asked) == 2
    assert "mug/2.jpg cannot be read" in capsys.readouterr().err
    assert cli.main([*asked, "--on-bad-image", "skip", "--out", str(tmp_path / "skip.json")]) == 0
    skipped = PhotoReport.from_json(tmp_path / "skip.json")
    assert skipped.skipped and skipped.scores["net"].episodes == 15 - len(skipped.skipped)
    assert "broken files: mug/2.jpg" in capsys.readouterr().out


@pytest.mark.slow
def test_features_of_photographs_are_cached_as_training_needs(own, tmp_path):
    data = protocol().training(5, own, progress=False)
    cached = CachedFeatures(data, folder=tmp_path / "features", workers=1, progress=False)
    batch = cached.batch([0, 4])
    assert batch.query.deep.shape == (2, 112, 4, 4) and batch.query_masks.shape == (2, 64, 64)
    assert np.array_equal(cached[3].support_masks, data[3].support_masks)
    again = protocol().training(5, own, progress=False)
    assert CachedFeatures(again, folder=tmp_path / "features").folder == cached.folder


@pytest.mark.slow
def test_train_and_evaluate_on_one_s_own_pictures(tmp_path, own, capsys):
    network, photos = str(tmp_path / "net.safetensors"), ["--dataset", "folder", "--root", str(own)]
    few = ["--minutes", "0.02", "--training-episodes", "16", "--depth", "0", "--dim", "16"]
    assert cli.main(["train", *photos, "--image-size", "64", *few, "--out", network]) == 0
    facts = read_facts(network)
    assert (facts["dataset"], facts["fold"], facts["image_size"]) == ("folder", None, 64)
    assert facts["classes"] == ["bowl", "cup", "mug"] and facts["steps"] > 0
    out = tmp_path / "report.json"
    assert cli.main(["evaluate", network, *photos, "--episodes", "3", "--out", str(out)]) == 0
    assert PhotoReport.from_json(out).protocol.image_size == 64
    assert "3 of 3 classes tested have the name" in capsys.readouterr().out
    # and on the emoji, all of whose folds are new to it
    asked = ["evaluate", network, "--gaps", "same", "--episodes", "2", "--fold", "2"]
    assert cli.main(asked) == 0


@pytest.mark.slow
def test_the_published_protocol_end_to_end_with_synthetic_weights(tmp_path, capsys):
    root = trees.pascal(tmp_path / "VOCdevkit" / "VOC2012")
    weights = synth_state_dict(NAMES, 5)
    weights = {f"module.{name}": torch.from_numpy(value) for name, value in weights.items()}
    torch.save({"epoch": 1, "state_dict": weights}, tmp_path / "authors.pth")
    out = tmp_path / "report.json"
    asked = ["evaluate", "--dataset", "pascal", "--root", str(tmp_path)]
    asked += ["--checkpoint", str(tmp_path / "authors.pth"), "--fold", "0", "--shots", "1"]
    asked += ["--backbone", "resnet50", "--image-size", "473", "--seed", "321"]
    assert cli.main([*asked, "--episodes", "2", "--small-object", "900", "--out", str(out)]) == 0
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
    assert cli.main([*asked, "--shots", "5"]) == 2
    assert "authors.pth" in capsys.readouterr().err

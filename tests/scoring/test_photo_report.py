"""The protocol, the report and the command for photographs, on small trees in the real layouts."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from hmnet_lite import HMNetConfig
from hmnet_lite.data.photos import protocol as photo_protocol
from hmnet_lite.data.photos import sampler as photo
from hmnet_lite.data.photos.pictures import BadImage
from hmnet_lite.data.photos.protocol import PHOTO_DATASETS, PhotoProtocol
from hmnet_lite.models.features import CachedFeatures
from hmnet_lite.scoring.evaluate import all_foreground, evaluate, truth
from hmnet_lite.scoring.metrics import Scores
from hmnet_lite.scoring.photo_report import PhotoReport, Readable
from hmnet_lite.scoring.predict import segment_episode
from tests.data.photos import trees

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
        "1 of 3 classes had no episode (cup), so mIoU is the mean of the others"
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


@pytest.mark.slow
def test_features_of_photographs_are_cached_as_training_needs(own, tmp_path):
    data = protocol().training(5, own, progress=False)
    cached = CachedFeatures(data, folder=tmp_path / "features", workers=1, progress=False)
    batch = cached.batch([0, 4])
    assert batch.query.deep.shape == (2, 384, 4, 4) and batch.query_masks.shape == (2, 64, 64)
    assert np.array_equal(cached[3].support_masks, data[3].support_masks)
    again = protocol().training(5, own, progress=False)
    assert CachedFeatures(again, folder=tmp_path / "features").folder == cached.folder

"""RefCOCO's layout on a small tree: sentences, masks, splits, and files that are not right."""

import json
import os
import pickle

import numpy as np
import pytest
from PIL import Image

from hmnet_lite.data.photos.layout import MissingData
from hmnet_lite.data.photos.refer import ReferPhotos


def reference(number, annotation, split, *sentences):
    told = [{"sent": text, "sent_id": 10 * number + i} for i, text in enumerate(sentences)]
    return {"ref_id": number, "ann_id": annotation, "image_id": 7, "split": split,
            "sentences": told}  # fmt: skip


REFS = [reference(1, 1, "val", "left square", "the square on the left"),
        reference(2, 2, "testA", "right one"), reference(3, 1, "train", "it")]  # fmt: skip


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "refcoco"
    folder.mkdir()
    (tmp_path / "images/train2014").mkdir(parents=True)
    Image.new("RGB", (30, 20), "red").save(tmp_path / "images/train2014/a.png")
    squares = [[2, 2, 10, 2, 10, 10, 2, 10], [20, 5, 28, 5, 28, 15, 20, 15]]
    instances = {
        "images": [{"id": 7, "file_name": "a.png", "height": 20, "width": 30}],
        "categories": [{"id": 1, "name": "person"}],
        "annotations": [
            {"id": i, "image_id": 7, "category_id": 1, "segmentation": [square], "iscrowd": 0}
            for i, square in enumerate(squares, 1)
        ],
    }
    (folder / "instances.json").write_text(json.dumps(instances))
    (folder / "refs(unc).p").write_bytes(pickle.dumps(REFS, protocol=2))
    return tmp_path


def test_every_sentence_is_one_item(root):
    data = ReferPhotos(root)
    assert [data[i].text for i in range(len(data))] == ["left square", "the square on the left"]
    assert data[0].image.shape == (20, 30, 3) and data[0].mask.dtype == np.uint8
    assert data[0].mask[3:9, 3:9].all() and not data[0].mask[:, 15:].any()
    other = ReferPhotos(root, split="testA")[-1]
    assert other.text == "right one" and other.mask[6:14, 21:27].all()
    with pytest.raises(IndexError, match="sentence 2 of 2"):
        data[2]


def test_json_will_do_and_two_lists_must_be_chosen_from(root):
    folder = root / "refcoco"
    (folder / "refs(google).json").write_text(json.dumps(REFS[1:]))
    with pytest.raises(ValueError, match=r"choose one with split_by"):
        ReferPhotos(root)
    assert len(ReferPhotos(root, split="train", split_by="google")) == 1


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (dict(name="coco"), "name is 'coco'; expected one of refcoco"),
        (dict(split="test"), "split is 'test'; expected one of testA, train, val"),
        (dict(split_by="umd"), r"no sentences in .*expected root/refcoco/instances.json"),
        (dict(name="refcoco+"), r"no refcoco\+ in .*expected root/refcoco\+/instances.json"),
    ],
)
def test_what_is_not_there_is_told(root, wrong, message):
    with pytest.raises((ValueError, MissingData), match=message):
        ReferPhotos(root, **wrong)


class Runs:
    def __reduce__(self):
        return os.system, ("true",)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (pickle.dumps([Runs()]), "which plain data has no use for"),
        (b"nonsense", "is no list of references"),
        (pickle.dumps({"a": 1}), "it holds a dict; expected a list"),
        (pickle.dumps([{"split": "val"}]), "is wrong at reference 0: 'ann_id'"),
        (pickle.dumps([reference(1, 9, "val", "x")]), "names annotation 9, which instances.json"),
    ],
)
def test_damaged_lists_are_told_and_nothing_runs(root, content, message):
    (root / "refcoco" / "refs(unc).p").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        ReferPhotos(root)


def test_a_photograph_that_is_missing_or_of_another_size_is_told(root):
    path = root / "images/train2014/a.png"
    Image.new("RGB", (31, 20)).save(path)
    with pytest.raises(ValueError, match=r"the annotations say \(20, 30\)"):
        ReferPhotos(root)[0]
    path.unlink()
    with pytest.raises(ValueError, match=r"a\.png"):
        ReferPhotos(root)[0]

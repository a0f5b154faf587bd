"""PASCAL-5i, COCO-20i and FSS-1000 in the layouts people have."""

import numpy as np
import pytest
from PIL import Image

from hmnet_lite.data.photos.coco import CocoEpisodes
from hmnet_lite.data.photos.folder import FolderEpisodes
from hmnet_lite.data.photos.fss import FSSEpisodes
from hmnet_lite.data.photos.layout import MissingData
from hmnet_lite.data.photos.masks import MaskFormat
from hmnet_lite.data.photos.pascal import PascalEpisodes
from tests.data.photos import trees
from tests.data.photos.trees import QUIET, shows


def test_pascal_is_found_below_the_root_and_lists_may_hold_pairs(tmp_path, voc):
    for place in ("VOC2012", "VOCdevkit/VOC2012"):
        above = tmp_path / place.partition("/")[0].lower()
        (above / place).parent.mkdir(parents=True)
        (above / place).symlink_to(voc)
        assert PascalEpisodes(above, 0, "test", **QUIET).facts["pictures"] == 60
    expected = PascalEpisodes(voc, 0, "test", **QUIET).facts["digest"]
    moved = trees.pascal(tmp_path / "moved")
    names = (moved / "ImageSets/Segmentation/val.txt").read_text().split()
    (moved / "ImageSets/Segmentation/val.txt").unlink()
    lines = [f"/JPEGImages/{n}.jpg SegmentationClassAug/{n}.png" for n in names]
    trees.write_lists(moved, {"val": lines})
    data = PascalEpisodes(moved, 0, "test", **QUIET)
    assert data.facts["digest"] == expected  # the same data, however its lists are written


def test_pascal_training_lists(tmp_path):
    root = trees.pascal(tmp_path / "voc")
    lists = root / "ImageSets" / "Segmentation"
    listed = PascalEpisodes(root, 0, "train", **QUIET)
    assert listed.facts["lists"] == "trainaug.txt, SegmentationClassAug"
    (lists / "trainaug.txt").unlink()
    rest = PascalEpisodes(root, 0, "train", **QUIET)
    assert rest.facts["lists"] == "SegmentationClassAug without val.txt, SegmentationClassAug"
    assert rest.facts["digest"] == listed.facts["digest"]
    (lists / "val.txt").unlink()
    with pytest.raises(MissingData, match=r"no list trainaug\.txt or .* in .*VOCtrainval"):
        PascalEpisodes(root, 0, "train", **QUIET)

    plain = trees.pascal(tmp_path / "plain", masks="SegmentationClass")
    lists = plain / "ImageSets" / "Segmentation"
    (lists / "trainaug.txt").rename(lists / "train.txt")
    data = PascalEpisodes(plain, 0, "train", **QUIET)
    assert data.facts["lists"] == "train.txt, SegmentationClass"


def test_a_missing_root_says_what_to_download_and_where_to_put_it(tmp_path):
    (tmp_path / "empty").mkdir()
    for make, words in (
        (lambda p: PascalEpisodes(p, 0, "test"), ("VOCtrainval_11-May-2012.tar", "JPEGImages")),
        (lambda p: CocoEpisodes(p, 0, "test"), ("val2014.zip", "<root>/val2014/*.jpg")),
        (lambda p: FSSEpisodes(p, "test"), ("fewshot_data.zip", "<root>/ab_wheel/1.jpg")),
        (lambda p: FolderEpisodes(p, None, "test"), ("<root>/mug/kitchen.png", "white")),
    ):
        for root in (tmp_path / "nowhere", tmp_path / "empty"):
            with pytest.raises(FileNotFoundError) as caught:
                make(root)
            assert all(word in str(caught.value) for word in (*words, "--root", str(root)))


def test_coco_with_class_id_masks_and_both_fold_schemes(tmp_path):
    root = trees.coco_png(tmp_path / "MSCOCO2014", years=("val2014",)).parent
    data = CocoEpisodes(root, 3, "test", length=4, **QUIET)
    assert list(data.classes) == list(range(61, 81)) and data.classes[80] == "toothbrush"
    assert all(shows(e.query_image, e.query_mask, e.class_id) for e in data)
    data = CocoEpisodes(root, 3, "test", fold_scheme="interleaved", **QUIET)
    assert list(data.classes) == list(range(4, 81, 4))
    with pytest.raises(MissingData, match="there is no train2014"):
        CocoEpisodes(root, 0, "train", **QUIET)
    with pytest.raises(ValueError, match="expected consecutive or interleaved"):
        CocoEpisodes(root, 0, "test", fold_scheme="panet", **QUIET)
    with pytest.raises(ValueError, match="labels is 'xml'; expected png or json"):
        CocoEpisodes(root, 0, "test", labels="xml", **QUIET)


def test_coco_from_json_is_coco_from_the_masks_it_draws(tmp_path):
    trees.coco_json(tmp_path)
    with pytest.raises(MissingData, match=r"instances_val2014.json: draw .* with --labels json"):
        CocoEpisodes(tmp_path, 0, "test", **QUIET)
    data = CocoEpisodes(tmp_path, 0, "test", labels="json", length=6, **QUIET)
    assert data.facts["pictures"] == 160 and data.facts["lists"] == "val2014, json"
    assert all(shows(e.query_image, e.query_mask, e.class_id) for e in data)
    assert all(shows(e.support_images[0], e.support_masks[0], e.class_id) for e in data)
    with pytest.raises(MissingData, match=r"no instances_train2014\.json"):
        (tmp_path / "train2014").mkdir()
        CocoEpisodes(tmp_path, 0, "train", labels="json", **QUIET)


def test_fss_lists_say_which_classes_are_novel(tmp_path):
    names = [f"class{i:02d}" for i in range(10)]
    root = trees.class_folders(tmp_path / "fewshot_data", names, pictures=2).parent
    lists = {"trn": names[:5], "val": names[5:7], "test": names[7:]}
    trees.write_lists(root, lists)
    for split, part in (("train", "trn"), ("test", "test")):
        data = FSSEpisodes(root, split, length=3, **QUIET)
        assert list(data.classes.values()) == lists[part]
        assert data.facts["pictures"] == 2 * len(lists[part])
        assert data.facts["lists"] == "trn.txt, val.txt, test.txt"
        assert all(shows(e.query_image, e.query_mask, e.class_id + 1) for e in data)
    (root / "trn.txt").unlink()
    (root / "val.txt").unlink()
    (root / "test.txt").rename(root / "fss_test_set.txt")
    assert list(FSSEpisodes(root, "train", **QUIET).classes.values()) == names[:7]
    trees.write_lists(root, {"fss_test_set": ["unicorn"]})
    with pytest.raises(MissingData, match="names class 'unicorn', not a folder of"):
        FSSEpisodes(root, "test", **QUIET)


def test_fss_without_lists_has_a_fixed_split_that_reports_admit(tmp_path):
    names = [f"class{i:02d}" for i in range(25)]
    root = trees.class_folders(tmp_path, names, pictures=2)
    train, test = (FSSEpisodes(root, split, **QUIET) for split in ("train", "test"))
    assert (len(train.classes), len(test.classes)) == (13, 6)  # 52 and 24 %, 6 kept apart
    assert not set(train.classes) & set(test.classes)
    assert test.classes == FSSEpisodes(root, "test", **QUIET).classes
    assert test.facts["lists"] == "no lists found: our own split"


def test_fss_masks_are_read_by_brightness(tmp_path):
    path = tmp_path / "1.png"
    Image.fromarray(np.array([[[250, 255, 190], [20, 0, 9]]], np.uint8)).save(path)
    assert MaskFormat(by_brightness=True).read(path).tolist() == [[1, 0]]

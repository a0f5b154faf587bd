"""Photographs as episodes, from small trees in the layouts people have."""

import collections
import dataclasses
import itertools
import os
import pickle

import numpy as np
import pytest
from PIL import Image

from hmnet_lite.data.photos import coco, pascal
from hmnet_lite.data.photos.coco import CocoEpisodes
from hmnet_lite.data.photos.folder import FolderEpisodes
from hmnet_lite.data.photos.fss import FSSEpisodes
from hmnet_lite.data.photos.layout import MissingData, novel_in_fold
from hmnet_lite.data.photos.listing import make_listing
from hmnet_lite.data.photos.pascal import PascalEpisodes
from hmnet_lite.data.photos.pictures import BadImage, MaskFormat, read_picture
from hmnet_lite.data.photos.sampler import SMALL_OBJECT
from tests.data.photos import trees

QUIET = {"progress": False, "small_object": 100, "image_size": 64}


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("HMNET_LITE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def voc(tmp_path_factory):
    return trees.pascal(tmp_path_factory.mktemp("voc"))


@pytest.fixture
def own(tmp_path):
    return trees.class_folders(tmp_path / "pictures", ["bowl", "cup", "mug"])


def shows(image, mask, class_id):
    """Whether a picture has the class's colour where, and only where, its mask says."""
    near = np.abs(image.astype(int) - trees.colour(class_id)).max(axis=-1) < 60
    known = mask != 255
    return (near == (mask == 1))[known].mean() > 0.96


# ---- what an episode is


def test_a_test_episode_shows_one_novel_class_in_query_and_supports(voc):
    data = PascalEpisodes(voc, 1, "test", shots=2, length=20, **QUIET)
    assert data.classes == {6: "bus", 7: "car", 8: "cat", 9: "chair", 10: "cow"}
    for episode in data:
        assert episode.class_name == data.classes[episode.class_id]
        assert shows(episode.query_image, episode.query_mask, episode.class_id)
        for image, mask in zip(episode.support_images, episode.support_masks, strict=True):
            assert shows(image, mask, episode.class_id)


def test_the_query_keeps_its_mask_at_its_own_size_and_padding_is_ignored(voc):
    episode = PascalEpisodes(voc, 0, "test", **QUIET)[0]
    assert episode.query_image.shape == (64, 64, 3)
    assert episode.query_label.shape == trees.SIZE == (60, 80)
    assert (episode.query_label[:2] == 255).all()  # as drawn
    assert (episode.query_mask[48:] == 255).all()  # 80 → 64 makes 60 → 48
    assert (episode.query_image[48:] == 0).all() and (episode.support_images[:, 48:] == 0).all()
    small = Image.fromarray(episode.query_label).resize((64, 48), Image.Resampling.NEAREST)
    assert np.array_equal(episode.query_mask[:48], np.asarray(small))


def test_training_shows_base_classes_in_augmented_squares(voc):
    data = PascalEpisodes(voc, 0, "train", length=30, **QUIET)
    assert set(data.classes) == set(range(6, 21))
    views = [data[i] for i in range(30)]
    assert all(e.query_label is None and e.query_mask.shape == (64, 64) for e in views)
    assert all(shows(e.support_images[0], e.support_masks[0], e.class_id) for e in views)
    # the same picture comes again in another view
    plans = [data.plan(i)[1] for i in range(30)]
    assert len({e.query_mask.tobytes() for e in views}) > len(set(plans)) * 0.9


# ---- which episodes


def test_every_round_asks_every_picture_once_and_supports_are_others(voc):
    data = PascalEpisodes(voc, 2, "test", shots=2, length=60, **QUIET)
    plans = [data.plan(i) for i in range(60)]
    for start in range(0, 60, 15):  # 5 classes × 3 pictures
        assert len({query for _, query, _ in plans[start : start + 15]}) == 15
    assert [q for _, q, _ in plans[:15]] != [q for _, q, _ in plans[15:30]]
    for class_id, query, supports in plans:
        assert len({query, *supports}) == 3
        assert all(f"_{class_id:03d}" in data.listing.items[i].image for i in (query, *supports))


def test_an_episode_depends_on_seed_and_index_only(voc):
    data = PascalEpisodes(voc, 0, "train", length=40, **QUIET)
    late_first = PascalEpisodes(voc, 0, "train", length=7, **QUIET)
    for i in (6, 0, -1, 3):
        for name in ("query_image", "query_mask", "support_images", "support_masks"):
            assert np.array_equal(getattr(late_first[i], name), getattr(data[i % 7], name))
    assert [data.plan(i) for i in range(9)] != [
        PascalEpisodes(voc, 0, "train", seed=1, length=40, **QUIET).plan(i) for i in range(9)
    ]
    with pytest.raises(IndexError, match="episode 40 of 40"):
        data[40]


def test_more_shots_add_supports_and_change_nothing_else(voc):
    one, two = (PascalEpisodes(voc, 0, "test", shots=k, **QUIET) for k in (1, 2))
    for i in range(12):
        (a, b, c), (d, e, f) = one.plan(i), two.plan(i)
        assert (a, b) == (d, e) and c == f[:1]


def test_classes_of_one_picture_are_all_asked_for(tmp_path, voc):
    root = trees.pascal(tmp_path / "voc", pictures=2)
    both = trees.ids_with((1, 5, 30, 0, 30), (2, 5, 30, 40, 70))
    name = "2007_001000"
    trees.save_picture(root / "JPEGImages" / f"{name}.jpg", both)
    trees.save_ids(root / "SegmentationClassAug" / f"{name}.png", both)
    data = PascalEpisodes(root, 0, "test", length=400, **QUIET)
    asked = collections.Counter(
        class_id
        for class_id, query, _ in map(data.plan, range(400))
        if name in data.listing.items[query].image
    )
    assert set(asked) == {1, 2} and min(asked.values()) > 0.3 * sum(asked.values())


def test_the_small_object_threshold_counts_pixels_at_the_picture_s_own_size(tmp_path):
    root = trees.pascal(tmp_path)
    for number, bottom in enumerate((10 + 64, 10 + 64, 10 + 65)):
        ids = trees.ids_with((1, 10, bottom, 0, 32), size=(90, 100))
        name = f"2007_001{number:03d}"
        trees.save_picture(root / "JPEGImages" / f"{name}.jpg", ids)
        trees.save_ids(root / "SegmentationClassAug" / f"{name}.png", ids)
    assert SMALL_OBJECT == 2048 == 64 * 32
    names = [f"2007_001{n:03d}" for n in range(3)]
    trees.write_lists(root / "ImageSets" / "Segmentation", {"val": names})
    source = {"progress": False, "image_size": 64}
    for least, usable in ((2048, 3), (2049, 1), (2080, 1), (2081, 0)):
        with pytest.raises(ValueError) as caught:  # the other classes have no picture
            PascalEpisodes(root, 0, "test", small_object=least, **source)
        few = "aeroplane" not in str(caught.value)
        assert few == (usable >= 2)
        assert (f"aeroplane ({usable})" in str(caught.value)) == (not few)


@pytest.mark.parametrize("keep", [True, False])
def test_filtering_drops_pictures_that_hold_a_novel_class(tmp_path, keep):
    root = trees.pascal(tmp_path)
    for number in range(3):  # a cat (8, base) beside a few pixels of boat (4, novel in fold 0)
        ids = trees.ids_with((8, 5, 45, 0, 40), (4, 5, 9, 50, 54))
        name = f"2011_0080{number:02d}"
        trees.save_picture(root / "JPEGImages" / f"{name}.jpg", ids)
        trees.save_ids(root / "SegmentationClassAug" / f"{name}.png", ids)
    options = {**QUIET, "length": 60, "filter_novel": not keep}
    if not keep:
        with pytest.raises(ValueError, match=r"usable pictures .*: cat \(0\)"):
            PascalEpisodes(root, 0, "train", **options)
        return
    data = PascalEpisodes(root, 0, "train", **options)
    cats = [data[i] for i in range(60) if data.plan(i)[0] == 8]
    assert cats
    for episode in cats:
        boat = np.abs(episode.query_image.astype(int) - trees.colour(4)).max(axis=-1) < 60
        assert not episode.query_mask[boat & (episode.query_mask != 255)].any()


def test_box_supports_are_filled_rectangles_and_queries_stay_masks(tmp_path):
    root = trees.pascal(tmp_path)
    path = root / "SegmentationClassAug"
    for mask in path.glob("2007_00[1-5]*.png"):
        ids = np.asarray(Image.open(mask)).copy()
        ids[20:30, 20:30] = 0  # a hole
        trees.save_ids(mask, ids)
    options = {**QUIET, "image_size": 80}
    for annotation, hole in (("mask", 0), ("box", 1)):
        episode = PascalEpisodes(root, 0, "test", support_annotation=annotation, **options)[0]
        assert episode.query_mask[25, 25] == 0
        assert (episode.support_masks[0, 20:30, 20:30] == hole).all()


# ---- folds


def test_folds_are_the_literature_s():
    voc, eighty = range(1, 21), range(1, 81)
    assert novel_in_fold(0, voc, "consecutive") == {1, 2, 3, 4, 5}
    assert novel_in_fold(3, voc, "consecutive") == {16, 17, 18, 19, 20}
    assert novel_in_fold(2, eighty, "consecutive") == set(range(41, 61))
    assert novel_in_fold(2, eighty, "interleaved") == set(range(3, 81, 4))
    for scheme in ("consecutive", "interleaved"):
        folds = [novel_in_fold(k, eighty, scheme) for k in range(4)]
        assert set().union(*folds) == set(eighty) and sum(map(len, folds)) == 80
    names = dict(enumerate(pascal.CLASSES, 1))
    assert len(names) == 20 and names[15] == "person" and names[20] == "tvmonitor"
    names = dict(enumerate(coco.CLASSES, 1))
    assert len(names) == 80 and (names[1], names[80]) == ("person", "toothbrush")


@pytest.mark.parametrize("fold", [4, -1, None, True])
def test_an_unknown_fold_is_refused(voc, fold):
    with pytest.raises(ValueError, match=f"fold is {fold}; expected 0 to 3"):
        PascalEpisodes(voc, fold, "test", **QUIET)


def test_unknown_words_are_refused(voc):
    with pytest.raises(ValueError, match="split is 'val'; expected one of train, test"):
        PascalEpisodes(voc, 0, "val", **QUIET)
    with pytest.raises(ValueError, match="support_annotation is 'point'; expected one of mask, bo"):
        PascalEpisodes(voc, 0, "test", support_annotation="point", **QUIET)
    with pytest.raises(ValueError, match="shots is 0; expected at least 1"):
        PascalEpisodes(voc, 0, "test", shots=0, **QUIET)


# ---- PASCAL's layouts


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


# ---- COCO


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


# ---- FSS-1000


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
    assert MaskFormat(check_colours=False).read(path).tolist() == [[1, 0]]


# ---- one's own pictures


def test_own_pictures_with_and_without_folds(own):
    data = FolderEpisodes(own, None, "test", length=9, progress=False, image_size=64)
    assert data.classes == {0: "bowl", 1: "cup", 2: "mug"}
    assert all(shows(e.query_image, e.query_mask, e.class_id + 1) for e in data)
    assert FolderEpisodes(own, None, "train", **QUIET).classes == data.classes
    assert FolderEpisodes(own, 1, "test", **QUIET).classes == {1: "cup"}
    assert FolderEpisodes(own, 1, "train", **QUIET).classes == {0: "bowl", 2: "mug"}
    with pytest.raises(ValueError, match="folder has no class for split 'test' among its 3"):
        FolderEpisodes(own, 3, "test", **QUIET)


@pytest.mark.parametrize(
    "values, mode, expected",
    [
        ([0, 255, 255], "L", [0, 1, 1]),
        ([0, 1, 255], "L", [0, 1, 255]),
        ([0, 1, 1], "L", [0, 1, 1]),
        ([3, 130, 250], "L", [0, 1, 1]),  # soft edges
        ([0, 255, 0], "1", [0, 1, 0]),
        ([0, 1, 255], "P", [0, 1, 255]),
        ([0, 255, 127], "RGB", [0, 1, 0]),
        ([0, 255, 0], "RGBA", [0, 1, 0]),
        ([0, 65535, 300], "I;16", [0, 1, 0]),
        ([0, 1, 1], "I;16", [0, 1, 1]),
    ],
)
def test_yes_or_no_masks_of_every_kind(tmp_path, values, mode, expected):
    path = tmp_path / "mask.png"
    if mode == "P":
        trees.save_ids(path, np.array([values], np.uint8))
    elif mode == "I;16":
        Image.fromarray(np.array([values], np.uint16)).save(path)
    else:
        Image.fromarray(np.array([values], np.uint8)).convert(mode).save(path)
    assert MaskFormat().read(path).tolist() == [expected]


def test_pictures_taken_sideways_stand_upright_before_they_meet_their_mask(own):
    path = own / "mug" / "1.jpg"
    upright = np.asarray(Image.open(path))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise by a quarter
    Image.fromarray(np.rot90(upright)).save(path, quality=95, subsampling=0, exif=exif.tobytes())
    assert Image.open(path).size == (60, 80)
    assert np.abs(read_picture(path, upright=True).astype(int) - upright).mean() < 3
    assert read_picture(path).shape == (80, 60, 3)
    data = FolderEpisodes(own, None, "test", length=9, **QUIET)
    assert all(shows(e.query_image, e.query_mask, e.class_id + 1) for e in data)


def test_worker_processes_get_the_same_episodes(own):
    data = FolderEpisodes(own, None, "train", **QUIET)
    data.plan(0)
    copy = pickle.loads(pickle.dumps(data))
    assert copy.fingerprint == data.fingerprint
    assert np.array_equal(copy[5].query_image, data[5].query_image)


# ---- fingerprints and cached lists


def test_the_fingerprint_tells_everything_but_the_length(voc):
    given = {"shots": 1, "seed": 321, **QUIET}
    changes = ({"shots": 2}, {"seed": 1}, {"image_size": 32}, {"small_object": 101},
               {"support_annotation": "box"}, {"filter_novel": False}, {})  # fmt: skip
    prints = {PascalEpisodes(voc, 0, "test", **{**given, **c}).fingerprint for c in changes}
    for fold, split in ((1, "test"), (0, "train")):
        prints.add(PascalEpisodes(voc, fold, split, **given).fingerprint)
    assert len(prints) == len(changes) + 2
    assert PascalEpisodes(voc, 0, "test", length=5, **given).fingerprint in prints


def test_a_list_is_made_once_and_read_back(voc, cache, monkeypatch):
    first = PascalEpisodes(voc, 0, "test", **QUIET)
    (path,) = (cache / "lists").iterdir()
    monkeypatch.setattr(MaskFormat, "read", lambda *_: pytest.fail("a mask was read again"))
    again = PascalEpisodes(voc, 0, "test", **QUIET)
    assert again.facts == first.facts and again.fingerprint == first.fingerprint
    assert [again.plan(i) for i in range(9)] == [first.plan(i) for i in range(9)]
    assert list((cache / "lists").iterdir()) == [path]


def objects_inside(path):
    with path.open("wb") as file:
        np.savez(file, key=np.array(["x"], object), item=np.array([{}], object))


def of_others(path):
    with np.load(path) as file:
        values = dict(file)
    with path.open("wb") as file:
        np.savez(file, **{**values, "key": np.array("another")})


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"no list at all"),
        objects_inside,
        of_others,
    ],
    ids=["truncated", "empty", "garbage", "pickled objects", "another's"],
)
def test_a_damaged_list_is_made_again(voc, cache, damage):
    first = PascalEpisodes(voc, 0, "test", **QUIET)
    (path,) = (cache / "lists").iterdir()
    whole = path.read_bytes()
    damage(path)
    again = PascalEpisodes(voc, 0, "test", **QUIET)
    assert np.array_equal(again.listing.pixels, first.listing.pixels)
    with np.load(path) as kept:
        assert str(kept["key"]) == first.listing.key
    assert len(path.read_bytes()) == len(whole)


def test_a_changed_mask_is_counted_again(own):
    first = FolderEpisodes(own, None, "test", **QUIET)
    path = own / "cup" / "2.png"
    mask = np.zeros(trees.SIZE, np.uint8)
    mask[:30, :40] = 255
    Image.fromarray(mask).save(path)
    again = FolderEpisodes(own, None, "test", **QUIET)
    assert again.listing.pixels.tolist() != first.listing.pixels.tolist()
    assert 1200 in again.listing.pixels and again.fingerprint != first.fingerprint
    stamp = path.stat().st_mtime_ns + 10**9
    os.utime(path, ns=(stamp, stamp))  # same size, later date: perhaps another drawing
    assert FolderEpisodes(own, None, "test", **QUIET).fingerprint != again.fingerprint


def test_counts_are_the_masks(voc):
    data = PascalEpisodes(voc, 0, "test", **QUIET)
    listing = data.listing
    for row in range(0, len(listing.item), 7):
        ids = np.asarray(Image.open(listing.items[listing.item[row]].mask))
        assert listing.pixels[row] == (ids == listing.class_id[row]).sum()
    assert len(listing.item) == 60


# ---- bad input


def test_a_mask_of_colours_is_named_with_the_mend(tmp_path, own):
    root = trees.pascal(tmp_path / "voc")
    path = root / "SegmentationClassAug" / "2007_004001.png"
    ids = Image.open(path)
    ids.convert("RGB").save(path)
    with pytest.raises(BadImage, match=r"2007_004001\.png holds colours \(mode RGB\); expect"):
        PascalEpisodes(root, 0, "test", **QUIET)
    Image.fromarray(np.asarray(ids) * 9).save(path)
    with pytest.raises(BadImage, match=r"2007_004001\.png holds 36, 247; expected class ids 0 "):
        PascalEpisodes(root, 0, "test", **QUIET)
    path = own / "mug" / "1.png"
    Image.new("RGB", trees.SIZE[::-1], (200, 0, 0)).save(path)
    with pytest.raises(BadImage, match=r"1\.png holds colours; expected black and white"):
        FolderEpisodes(own, None, "test", **QUIET)


def test_a_mask_of_another_size_is_named_with_both_sizes(own):
    Image.new("L", (40, 30), 255).save(own / "mug" / "2.png")
    with pytest.raises(BadImage, match=r"2\.png is 30 × 40 pixels .* its picture 60 × 80"):
        FolderEpisodes(own, None, "test", **QUIET)


def test_a_picture_without_its_mask_and_a_mask_without_its_picture(own, tmp_path):
    (own / "mug" / "3.png").unlink()
    with pytest.raises(BadImage, match=r"3\.png is not there, and 3\.jpg needs it as its mask"):
        FolderEpisodes(own, None, "test", **QUIET)
    (own / "mug" / "3.jpg").rename(own / "mug" / "4.jpg")
    (own / "mug" / "5.png").write_bytes((own / "mug" / "2.png").read_bytes())
    with pytest.raises(BadImage, match=r"5\.png is a mask without its picture 5\.jpg"):
        FolderEpisodes(own, None, "test", **QUIET)
    root = trees.pascal(tmp_path / "voc")
    (root / "JPEGImages" / "2007_001001.jpg").unlink()
    with pytest.raises(BadImage, match=r"2007_001001\.jpg is not there, and 2007_001001\.png"):
        PascalEpisodes(root, 0, "test", **QUIET)


def test_a_class_with_too_few_pictures_is_named(own):
    FolderEpisodes(own, None, "test", shots=2, **QUIET)
    with pytest.raises(ValueError, match=r"fewer than 4 usable pictures .*: bowl \(3\), cup \(3\)"):
        FolderEpisodes(own, None, "test", shots=3, **QUIET)
    (own / "plate").mkdir()
    assert len(FolderEpisodes(own, None, "test", **QUIET).classes) == 3  # nothing in it
    for suffix in (".jpg", ".png"):
        (own / "plate" / f"1{suffix}").write_bytes((own / "mug" / f"1{suffix}").read_bytes())
    with pytest.raises(ValueError, match=r"2 usable pictures .*: plate \(1\)\. .*Mend: add pictu"):
        FolderEpisodes(own, None, "test", **QUIET)


def test_a_corrupt_picture_is_named_when_an_episode_needs_it(own):
    path = own / "mug" / "2.jpg"
    path.write_bytes(path.read_bytes()[:900])
    data = FolderEpisodes(own, None, "test", length=30, **QUIET)
    position = next(i for i, item in enumerate(data.listing.items) if item.image == str(path))
    needed = [i for i in range(30) if position in (data.plan(i)[1], *data.plan(i)[2])]
    assert 0 < len(needed) < 30
    for i in range(30):
        if i not in needed:
            data[i]
            continue
        with pytest.raises(BadImage, match=r"2\.jpg cannot be read .*Mend: copy or download") as e:
            data[i]
        assert e.value.path == path
        assert str(pickle.loads(pickle.dumps(e.value))) == str(e.value)  # crosses processes


def test_a_class_that_vanishes_when_resized_is_told(own):
    for number in (1, 2, 3):
        mask = np.zeros(trees.SIZE, np.uint8)
        mask[31, 41] = 255
        Image.fromarray(mask).save(own / "mug" / f"{number}.png")
    options = {"progress": False, "image_size": 16, "length": 30}
    data = FolderEpisodes(own, None, "test", **options)
    mugs = [i for i in range(30) if data.plan(i)[0] == 2]
    with pytest.raises(BadImage, match=r"so little of mug that nothing of it is left at 16 pixels"):
        for i in mugs:
            data[i]


def test_lists_are_text_never_run(tmp_path):
    root = trees.pascal(tmp_path)
    (root / "ImageSets/Segmentation/val.txt").write_text("__import__('os').abort()\n")
    with pytest.raises(BadImage, match=r"__import__\('os'\)\.abort\(\)\.jpg is not there"):
        PascalEpisodes(root, 0, "test", **QUIET)


def test_items_are_sorted_however_they_come(voc):
    data = PascalEpisodes(voc, 0, "test", **QUIET)
    source = data.source
    other = make_listing("x", reversed(source.items), source.masks, progress=False)
    assert other.items == data.listing.items and other.digest == data.listing.digest
    assert dataclasses.replace(data.listing, pixels=data.listing.pixels + 1).digest != other.digest
    assert all(a <= b for a, b in itertools.pairwise(other.item))

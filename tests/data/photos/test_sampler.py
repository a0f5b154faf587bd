"""Photographs as episodes: what one shows, which come, and the folds."""

import collections

import numpy as np
import pytest
from PIL import Image

from hmnet_lite.data.photos import coco, pascal
from hmnet_lite.data.photos.layout import novel_in_fold
from hmnet_lite.data.photos.pascal import PascalEpisodes
from hmnet_lite.data.photos.sampler import SMALL_OBJECT
from tests.data.photos import trees
from tests.data.photos.trees import QUIET, shows


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

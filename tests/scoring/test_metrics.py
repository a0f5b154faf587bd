"""mIoU and FB-IoU: against torchmetrics, by properties, by hand, and on bad input."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from torchmetrics.classification import BinaryJaccardIndex, MulticlassJaccardIndex

from hmnet_lite.scoring.metrics import IGNORE, Scores, as_mask, mask_iou

SIZE = (6, 7)
masks = hnp.arrays(np.uint8, SIZE, elements=st.sampled_from([0, 1]))
targets = hnp.arrays(np.uint8, SIZE, elements=st.sampled_from([0, 1, IGNORE]))
episode_lists = st.lists(st.tuples(masks, targets, st.integers(0, 3)), min_size=1, max_size=8)
properties = settings(max_examples=60, deadline=None)


def total(episodes):
    scores = Scores()
    for prediction, target, class_id in episodes:
        scores.update(prediction, target, class_id)
    return scores


def random_episodes(seed, count=40, classes=5):
    """Big enough for every class to be met, with ignored pixels and masks better than chance."""
    rng = np.random.default_rng(seed)
    for _ in range(count):
        truth = (rng.random((33, 29)) < rng.uniform(0.05, 0.5)).astype(np.uint8)
        guess = np.where(rng.random(truth.shape) < 0.8, truth, 1 - truth)
        truth[rng.random(truth.shape) < 0.1] = IGNORE
        yield guess, truth, int(rng.integers(classes))


def test_by_hand():
    scores = Scores()
    # class 3: intersection 1, union 3; then intersection 2, union 2; together 3 / 5
    scores.update([[1, 1, 0, 0]], [[1, 0, 1, 0]], 3)
    scores.update([[1, 1, 0, 1]], [[1, 1, 0, 255]], 3)
    # class 9: intersection 0, union 4
    scores.update([[0, 0, 1, 1]], [[1, 1, 0, 0]], 9)
    assert scores.class_iou == {3: 3 / 5, 9: 0.0}
    assert scores.miou == pytest.approx((3 / 5 + 0) / 2)
    # foreground 3 / 9; background intersections 1 + 1 + 0, unions 3 + 1 + 4
    assert scores.fb_iou == pytest.approx((3 / 9 + 2 / 8) / 2)
    assert scores.episodes == 3
    assert "3 episodes, 2 classes, mIoU 0.300" in repr(scores)


def test_it_is_not_the_mean_of_the_episodes():
    large, small = np.ones((10, 10), np.uint8), np.zeros((10, 10), np.uint8)
    small[0, 0] = 1
    scores = Scores()
    scores.update(large, large, 0)
    scores.update(np.zeros_like(small), small, 0)
    assert scores.miou == 100 / 101
    assert [mask_iou(large, large), mask_iou(np.zeros_like(small), small)] == [1.0, 0.0]


@pytest.mark.parametrize("seed", range(3))
def test_class_iou_and_miou_agree_with_torchmetrics(seed):
    """Each class is a binary task for torchmetrics; the mean is over those classes."""
    references = {}
    scores = Scores()
    for guess, truth, class_id in random_episodes(seed):
        scores.update(guess, truth, class_id)
        metric = references.setdefault(class_id, BinaryJaccardIndex(ignore_index=IGNORE))
        metric.update(torch.from_numpy(guess).long(), torch.from_numpy(truth).long())
    expected = {class_id: float(metric.compute()) for class_id, metric in references.items()}
    assert scores.class_iou == pytest.approx(expected, abs=1e-6)
    assert scores.miou == pytest.approx(np.mean(list(expected.values())), abs=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_miou_agrees_with_torchmetrics_multiclass(seed):
    """Relabelled to 0 = background, c + 1 = class c: foreground IoUs of one multiclass task."""
    classes = 5
    metric = MulticlassJaccardIndex(classes + 1, average="none", ignore_index=IGNORE)
    scores = Scores()
    for guess, truth, class_id in random_episodes(seed, classes=classes):
        scores.update(guess, truth, class_id)
        label = np.where(truth == 1, class_id + 1, truth)
        metric.update(torch.from_numpy(guess * (class_id + 1)).long(), torch.tensor(label).long())
    assert list(scores.class_iou) == list(range(classes))
    assert list(scores.class_iou.values()) == pytest.approx(metric.compute()[1:].tolist(), abs=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_fb_iou_agrees_with_torchmetrics(seed):
    metric = MulticlassJaccardIndex(2, average="macro", ignore_index=IGNORE)
    scores = Scores()
    for guess, truth, class_id in random_episodes(seed):
        scores.update(guess, truth, class_id)
        metric.update(torch.from_numpy(guess).long(), torch.from_numpy(truth).long())
    assert scores.fb_iou == pytest.approx(float(metric.compute()), abs=1e-6)


@properties
@given(episode_lists, st.data())
def test_order_does_not_matter_and_every_episode_counts(episodes, data):
    shuffled = data.draw(st.permutations(episodes))
    assert total(episodes) == total(shuffled)
    assert total(episodes).episodes == len(episodes) == len(total(episodes).counts)


@properties
@given(episode_lists)
def test_counts_by_episode_give_the_sums_back(episodes):
    scores = total(episodes)
    back = Scores.from_counts(json.loads(json.dumps(scores.counts_to_dict())))
    assert back == scores and np.array_equal(back.counts, scores.counts)


@properties
@given(episode_lists)
def test_bounds_and_perfection(episodes):
    scores = total(episodes)
    assert all(0 <= iou <= 1 for iou in scores.class_iou.values())
    perfect = total([(target == 1, target, class_id) for _, target, class_id in episodes])
    assert all(iou == 1 for iou in perfect.class_iou.values())
    if perfect.class_iou:
        assert perfect.miou == perfect.fb_iou == 1


@properties
@given(episode_lists, masks)
def test_ignored_pixels_do_not_matter(episodes, noise):
    changed = [(np.where(t == IGNORE, noise, p), t, c) for p, t, c in episodes]
    assert total(changed) == total(episodes)


@properties
@given(episode_lists)
def test_swapping_the_roles_of_foreground_and_background_keeps_fb_iou(episodes):
    swapped = [(1 - p, np.where(t == IGNORE, t, 1 - t), c) for p, t, c in episodes]
    if any((t != IGNORE).any() for _, t, _ in episodes):
        assert total(swapped).fb_iou == pytest.approx(total(episodes).fb_iou)


@properties
@given(masks, masks)
def test_swapping_prediction_and_truth_keeps_everything(a, b):
    assert total([(a, b, 0)]) == total([(b, a, 0)])


@properties
@given(episode_lists)
def test_the_sums_survive_json(episodes):
    scores = total(episodes)
    assert Scores.from_dict(json.loads(json.dumps(scores.to_dict()))) == scores


def test_an_episode_without_foreground_counts_its_false_positives():
    scores = Scores()
    scores.update([[1, 1]], [[1, 1]], 0)
    scores.update([[1, 0]], [[0, 255]], 0)
    assert scores.class_iou == {0: 2 / 3}
    assert scores.fb_iou == pytest.approx((2 / 3 + 0 / 1) / 2)


def test_a_class_with_nothing_to_find_and_nothing_found_has_no_iou():
    scores = Scores()
    scores.update([[0, 0]], [[0, 255]], 4)
    assert scores.class_iou == {}
    assert scores.fb_iou == 1.0  # its background is right; there is no foreground half
    with pytest.raises(ValueError, match="no mIoU after 1 episodes"):
        _ = scores.miou
    scores.update([[1, 0]], [[1, 0]], 5)
    assert scores.class_iou == {5: 1.0}
    assert scores.miou == 1.0


def test_foreground_only_episodes_have_no_background_half():
    scores = Scores()
    scores.update([[1, 1]], [[1, 1]], 0)
    assert scores.fb_iou == 1.0
    scores.update([[1, 0]], [[1, 1]], 0)
    assert scores.fb_iou == pytest.approx((3 / 4 + 0 / 1) / 2)


def test_nothing_scored_yet():
    with pytest.raises(ValueError, match="no mIoU after 0 episodes"):
        _ = Scores().miou
    with pytest.raises(ValueError, match="no FB-IoU after 0 episodes"):
        _ = Scores().fb_iou
    assert repr(Scores()) == "Scores(0 episodes)"


def test_every_kind_of_mask_counts_the_same():
    guess, truth, _ = next(random_episodes(0))
    reference = total([(guess, truth, 1)])
    for kind in (guess.astype(bool), guess.astype(np.int64), torch.from_numpy(guess).bool()):
        assert total([(kind, torch.from_numpy(truth), np.int64(1))]) == reference


GOOD = np.zeros((2, 3), np.uint8)


@pytest.mark.parametrize(
    "prediction, target, message",
    [
        (np.zeros((2, 3)), GOOD, r"dtype float64; .*logits\.argmax"),
        (np.full((2, 3), np.nan), GOOD, r"dtype float64, with NaN in it; expected bool"),
        (np.zeros((1, 2, 3), np.uint8), GOOD, r"shape \(1, 2, 3\).*prediction\[0\]"),
        (np.full((2, 3), 255, np.uint8), GOOD, r"holds 255; .*Mend: prediction == 1"),
        (np.full((2, 3), -1), GOOD, r"holds -1; expected only 0"),
        (np.zeros((2, 4), bool), GOOD, r"shape \(2, 4\), target \(2, 3\).*resize the logits"),
        (GOOD, np.full((2, 3), 2), r"target has dtype int64 and holds 2; expected integers 0"),
        (GOOD, np.full((2, 3), np.nan), r"target has dtype float64 and holds nan"),
        (GOOD, np.arange(12).reshape(2, 6), r"holds 0, 1, 2, 3, 4, 5, \.\.\."),
    ],
)
def test_bad_masks_are_told_and_nothing_is_added(prediction, target, message):
    scores = Scores()
    with pytest.raises(ValueError, match=message):
        scores.update(prediction, target, 0)
    assert scores.to_dict() == {}


@pytest.mark.parametrize("class_id", ["cat", 1.0, True, None])
def test_bad_class_ids_are_told_and_nothing_is_added(class_id):
    scores = Scores()
    with pytest.raises(TypeError, match="expected the integer id"):
        scores.update(GOOD, GOOD, class_id)
    assert scores.to_dict() == {}


def test_bad_sums_and_bad_counts_are_told():
    with pytest.raises(ValueError, match="expected 5 counts: episodes, fg_intersection"):
        Scores.from_dict({"1": [1, 2]})
    with pytest.raises(ValueError, match="sums of class 1 are"):
        Scores.from_dict({"1": [1, 2, 3, 4, -5]})
    with pytest.raises(ValueError, match="an episode has counts"):
        Scores.from_counts({"class_id": "1", "intersection": "5", "union": "4", "pixels": "9"})


def test_mask_iou_and_as_mask():
    assert mask_iou([[1, 1, 0]], [[1, 0, 255]]) == 0.5
    assert mask_iou([[0, 0, 1]], [[0, 0, 255]]) is None
    assert as_mask(torch.tensor([[0, 1]])).tolist() == [[False, True]]

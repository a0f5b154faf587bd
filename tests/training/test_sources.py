"""Episodes by number: cached ones shuffled, scenes paired, on any number of processes."""

import numpy as np
import pytest
import torch

from hmnet_lite import HMNet, HMNetConfig
from hmnet_lite.data.emoji.protocol import Protocol
from hmnet_lite.data.emoji.scenes import EmojiScenes
from hmnet_lite.models.bank import SceneBank
from hmnet_lite.models.features import CachedFeatures
from hmnet_lite.training.metric import bank_objects, fit_metric
from hmnet_lite.training.sources import ScenePairs, Shuffled

EPISODES = Protocol(image_size=64).training(40)


@pytest.fixture(scope="module")
def scenes():
    return EmojiScenes(EPISODES)


@pytest.fixture(scope="module")
def bank(scenes, tmp_path_factory):
    return SceneBank(scenes, folder=tmp_path_factory.mktemp("bank"), workers=1, progress=False)


def test_pairs_are_two_scenes_of_one_class(bank, scenes):
    pairs = ScenePairs(bank, stride=1)
    for number in range(60):
        query, support = pairs.draw(number, 0)
        scene, label, class_id, _ = bank.objects[[query, support]].T.tolist()
        assert scene[0] != scene[1] and class_id[0] == class_id[1] and class_id[0] in bank.classes
        batch = pairs.batch([number], 0, "cpu")
        for k, masks in enumerate((batch.query_masks, batch.support_masks[:, 0])):
            truth = (scenes[scene[k]].labels == label[k]).astype(np.uint8)
            assert any(np.array_equal(masks[0].numpy(), t) for t in (truth, truth[:, ::-1]))
            assert truth.mean() >= (0.015, 0.02)[k]


def test_pairs_depend_on_seed_and_number_alone(bank):
    pairs, again = ScenePairs(bank), ScenePairs(bank)
    whole = pairs.batch(range(8), 3, "cpu")
    for rows in ([0, 2, 4, 6], [1, 3, 5, 7]):
        part = again.batch(rows, 3, "cpu")
        assert torch.equal(part.query.deep, whole.query.deep[rows])
        assert torch.equal(part.support_masks, whole.support_masks[rows])
    assert not torch.equal(pairs.batch(range(8), 4, "cpu").query.deep, whole.query.deep)
    assert len({tuple(pairs.draw(n, 0)) for n in range(300)}) > 120  # far more than 40 episodes


def test_styles_and_shots_are_as_asked(bank):
    styles = np.array(bank.styles)

    def share(same_style):
        pairs = ScenePairs(bank, same_style=same_style)
        drawn = np.array([pairs.draw(n, 0) for n in range(200)])
        return (styles[drawn[:, 0]] == styles[drawn[:, 1]]).mean()

    assert share(0.0) < 0.1 and share(1.0) > 0.5  # a style of a class may be in one scene alone
    several = ScenePairs(bank, shots=3)
    batch = several.batch(range(4), 0, "cpu")
    assert batch.support.shape[:2] == batch.support_masks.shape[:2] == (4, 3)
    for number in range(20):
        assert len(set(bank.objects[several.draw(number, 0), 0].tolist())) == 4
    with pytest.raises(ValueError, match=r"no class of this bank of 80 scenes has a query and 70"):
        ScenePairs(bank, shots=70)


def test_cached_episodes_come_each_once_a_round(tmp_path):
    cached = CachedFeatures(
        Protocol(image_size=64).training(6), folder=tmp_path, workers=1, progress=False
    )
    source = Shuffled(cached)
    deep = [cached[i].query.deep.float() for i in range(6)]

    def met(numbers):  # which episodes a batch holds, mirrored or not
        rows = source.batch(numbers, 0, "cpu").query.deep
        same = [[torch.equal(row, x) or torch.equal(row, x.flip(-1)) for x in deep] for row in rows]
        return [row.index(True) for row in same]

    first, second = met(range(6)), met(range(6, 12))
    assert sorted(first) == sorted(second) == list(range(6)) and first != second
    assert met([7, 0]) == [second[1], first[0]]


def test_the_metric_is_fitted_to_the_source(bank, tmp_path):
    cached = CachedFeatures(
        Protocol(image_size=64).training(30), folder=tmp_path, workers=1, progress=False
    )
    for source in (ScenePairs(bank), Shuffled(cached)):
        one, two = HMNet(HMNetConfig(dim=16, depth=0)), HMNet(HMNetConfig(dim=16, depth=0))
        assert fit_metric(one, source) and fit_metric(two, source)
        assert torch.equal(one.metric.mean, two.metric.mean) and one.metric.mean.any()
        assert not torch.equal(one.metric.whiten0, torch.eye(len(one.metric.whiten0)))
    objects, classes = bank_objects(bank, 0.015)
    scene, label, class_id, _ = bank.objects[0].tolist()
    mask = bank.label_maps(torch.tensor([scene])) == label
    share = torch.nn.functional.adaptive_avg_pool2d(mask.float(), bank.features.deep.shape[-2:])
    inside = (share * (share >= 0.5 * share.max()))[0]
    mean = (bank.features.deep[scene].float() * inside).sum((1, 2)) / inside.sum()
    torch.testing.assert_close(objects[0], mean, rtol=1e-2, atol=1e-2)  # masks at half the size
    assert classes[0] == class_id
    assert not fit_metric(torch.nn.Linear(2, 2), ScenePairs(bank))

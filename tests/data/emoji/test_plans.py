"""What scenes hold: classes, styles and distractors, by fold, split and gap."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from hmnet_lite.data import EmojiEpisodes
from hmnet_lite.data.emoji import tiles
from hmnet_lite.data.emoji.dataset import FLUENT_STYLES, TRAIN_STYLES
from hmnet_lite.data.emoji.protocol import GAPS, TRAINING_GAPS
from hmnet_lite.data.emoji.scene import compose

DATA = Path(__file__).parents[3] / "data_samples"


@pytest.mark.parametrize("fold", range(4))
@pytest.mark.parametrize("gap", TRAINING_GAPS)
def test_training_scenes_hold_base_classes_only(fold, gap):
    folds = {c["id"]: c["fold"] for c in tiles.classes(DATA)}
    dataset = EmojiEpisodes(fold, "train", gap=gap, shots=2)
    assert len(dataset.classes) == 60
    for i in range(240):
        plan = dataset.plan(i)
        assert plan.class_id in dataset.classes
        for scene in (plan.query, *plan.supports):
            assert all(folds[thing.class_id] != fold for thing in scene.things)


def test_drawing_touches_no_tile_that_the_plan_does_not_name():
    dataset = EmojiEpisodes(0, "train", gap="cross", length=10)
    touched = set()

    class Watched(dict):
        def __getitem__(self, class_id):
            touched.add(class_id)
            return super().__getitem__(class_id)

    drawn = {style: Watched(tiles.tiles(DATA, style)) for style in TRAIN_STYLES}
    for i in range(len(dataset)):
        plan = dataset.plan(i)
        for scene in (plan.query, *plan.supports):
            touched.clear()
            compose(scene, drawn, tiles.photographs(DATA, "train"), dataset.image_size)
            assert touched == {thing.class_id for thing in scene.things} <= set(dataset.classes)


@pytest.mark.parametrize("fold", range(4))
def test_test_targets_are_the_novel_classes_in_equal_numbers(fold):
    novel = {c["id"] for c in tiles.classes(DATA) if c["fold"] == fold}
    dataset = EmojiEpisodes(fold, "test", gap="same", length=1000)
    stream = [dataset.plan(i).class_id for i in range(200)]
    turns = [stream[i : i + 20] for i in range(0, 200, 20)]
    assert set(dataset.classes) == novel
    assert all(set(turn) == novel for turn in turns)  # so 1,000 episodes have 50 of each
    assert len({tuple(turn) for turn in turns}) == len(turns)


def test_scenes_name_the_target_once_and_distractors_half_alike():
    kinds = {c["id"]: c["superclass"] for c in tiles.classes(DATA)}
    dataset = EmojiEpisodes(0, "test", gap="cross", shots=2)
    counts, alike, novel_distractors = Counter(), [], 0
    for i in range(300):
        plan = dataset.plan(i)
        assert all(len(scene.things) == 3 for scene in plan.supports)
        counts[len(plan.query.things) - 1] += 1
        for scene in (plan.query, *plan.supports):
            ids = [thing.class_id for thing in scene.things]
            assert scene.target.class_id == plan.class_id and len(set(ids)) == len(ids)
            same = sum(kinds[n] == kinds[plan.class_id] for n in ids) - 1
            assert same in {(len(ids) - 1) // 2, len(ids) // 2}
            alike.append(same / (len(ids) - 1))
            novel_distractors += sum(n in dataset.classes for n in ids) - 1
    assert set(counts) == {2, 3, 4} and min(counts.values()) > 60
    assert 0.45 < np.mean(alike) < 0.55
    assert novel_distractors > 50  # a photograph holds what it holds


@pytest.mark.parametrize("gap", GAPS)
@pytest.mark.parametrize("shots", [1, 3])
def test_styles_follow_the_gap_and_cannot_leak_the_answer(gap, shots):
    dataset = EmojiEpisodes(0, "test", gap=gap, shots=shots)
    queries, pairs = Counter(), set()
    for i in range(150):
        plan = dataset.plan(i)
        query = plan.query.target.style
        supports = [scene.target.style for scene in plan.supports]
        queries[query] += 1
        pairs |= {(query, support) for support in supports}
        if gap == "same":
            assert query in TRAIN_STYLES and set(supports) == {query}
        elif gap == "cross":
            assert {query, *supports} <= set(TRAIN_STYLES) and query not in supports
        elif gap == "sibling":
            assert {query, *supports} <= set(FLUENT_STYLES) and query not in supports
        else:
            assert query == "fluent-3d" and set(supports) <= set(TRAIN_STYLES)
        for scene, other in [(plan.query, supports[0]), *((s, query) for s in plan.supports)]:
            around = {thing.style for thing in (*scene.below, *scene.above)}
            assert around == {scene.target.style, other}  # both styles, in every scene
    possible = {"same": 5, "cross": 20, "sibling": 6, "held_out": 5}[gap]
    assert len(pairs) == possible
    assert min(queries.values()) > 0.5 * 150 / len(queries)

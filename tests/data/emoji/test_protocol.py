"""A protocol decides the episodes, is written down whole, and refuses what it cannot honour."""

import dataclasses
import json
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from hmnet_lite.data.emoji.protocol import GAPS, TRAINING_GAPS, Interleaved, Protocol

OTHER = Protocol(
    fold=2,
    episodes=7,
    seed=5,
    shots=3,
    gap="sibling",
    image_size=128,
    distractors=(1, 3),
    occlusion=0.25,
    scale=(0.3, 0.5),
)


def test_defaults_are_the_fields():
    protocol = Protocol()
    assert (protocol.episodes, protocol.seed, protocol.fold, protocol.shots) == (1000, 321, 0, 1)
    assert protocol.filter_novel is True and protocol.gap == "cross"


def test_it_cannot_be_changed_only_replaced():
    with pytest.raises(dataclasses.FrozenInstanceError):
        OTHER.fold = 1
    assert dataclasses.replace(OTHER, fold=1).fold == 1


@pytest.mark.parametrize("protocol", [Protocol(), OTHER])
def test_round_trip_through_json_names_every_field(protocol):
    written = json.loads(json.dumps(protocol.to_dict()))
    assert set(written) == {field.name for field in dataclasses.fields(Protocol)}
    assert Protocol.from_dict(written) == protocol
    assert hash(Protocol.from_dict(written)) == hash(protocol)


def test_numpy_numbers_become_plain_ones():
    given = {"fold": np.int64(2), "occlusion": np.float64(0.25), "scale": [0.3, np.float64(0.5)]}
    protocol = Protocol(**given, distractors=[np.int8(1), 2])
    assert protocol == Protocol(fold=2, occlusion=0.25, scale=(0.3, 0.5), distractors=(1, 2))
    json.dumps(protocol.to_dict())


@pytest.mark.parametrize(
    "field, value, error, message",
    [
        ("dataset", "emojis", ValueError, "expected one of emoji. Did you mean 'emoji'?"),
        ("gap", "siblings", ValueError, "Did you mean 'sibling'?"),
        ("gap", None, ValueError, "expected one of same, sibling, cross, held_out"),
        ("fold", 4, ValueError, "fold is 4; expected 0 to 3"),
        ("fold", -1, ValueError, "fold is -1; expected 0 to 3"),
        ("fold", True, TypeError, "fold is True; expected an integer"),
        ("fold", "0", TypeError, "fold is '0'; expected an integer"),
        ("episodes", 0, ValueError, "episodes is 0; expected at least 1"),
        ("episodes", 1e3, TypeError, "episodes is 1000.0; expected an integer"),
        ("seed", 2**32, ValueError, "seed is 4294967296; expected 0 to 4294967295"),
        ("shots", 0, ValueError, "shots is 0; expected at least 1"),
        ("image_size", 0, ValueError, "image_size is 0; expected at least 1"),
        ("filter_novel", 1, TypeError, "filter_novel is 1; expected True or False"),
        ("filter_novel", False, ValueError, "base classes only"),
        ("distractors", -1, ValueError, "distractors is -1; expected at least 0"),
        ("distractors", (1, 2, 3), TypeError, "is (1, 2, 3); expected (fewest, most)"),
        ("distractors", (3, 2), ValueError, "distractors[1] is 2; expected at least 3"),
        ("distractors", (1, 2.5), TypeError, "distractors[1] is 2.5; expected an integer"),
        ("occlusion", 1.0, ValueError, "hides all of the target"),
        ("occlusion", float("nan"), ValueError, "occlusion is nan; expected 0 to 1"),
        ("occlusion", "much", TypeError, "occlusion is 'much'; expected a number"),
        ("scale", 0.5, TypeError, "scale is 0.5; expected (smallest, largest)"),
        ("scale", (0.5, 0.3), ValueError, "expected 0 < smallest <= largest <= 1"),
        ("scale", (0.5, 1.3), ValueError, "scale[1] is 1.3; expected 0 to 1"),
    ],
)
def test_every_field_is_checked(field, value, error, message):
    with pytest.raises(error) as caught:
        Protocol(**{field: value})
    assert message in str(caught.value)


def test_records_are_complete_and_hold_nothing_else():
    values = Protocol().to_dict()
    with pytest.raises(ValueError, match=r"no field 'shot'.*mean 'shots'"):
        Protocol.from_dict({**values, "shot": 1})
    del values["filter_novel"], values["seed"]
    with pytest.raises(ValueError, match="lacks seed, filter_novel; a record names every field"):
        Protocol.from_dict(values)


class Recorded:
    """Stands in for EmojiEpisodes: remembers what it was asked for."""

    def __init__(self, fold, split, **options):
        self.asked = {"fold": fold, "split": split, **options}
        self.fingerprint = f"{sorted(self.asked.items())}"

    def __len__(self):
        return self.asked["length"]


@pytest.fixture
def recorded(monkeypatch):
    module = SimpleNamespace(EmojiEpisodes=Recorded)
    monkeypatch.setitem(sys.modules, "hmnet_lite.data.emoji.dataset", module)


def test_build_passes_every_field(recorded):
    assert OTHER.build().asked == {
        "fold": 2,
        "split": "test",
        "gap": "sibling",
        "shots": 3,
        "seed": 5,
        "length": 7,
        "image_size": 128,
        "distractors": (1, 3),
        "occlusion": 0.25,
        "scale": (0.3, 0.5),
    }


def test_training_follows_the_same_rules_with_its_own_seed_and_gaps(recorded):
    data = OTHER.training(5, seed=9)
    assert [part.asked["gap"] for part in data.parts] == ["same", "cross"]
    for part in data.parts:
        expected = {**OTHER.build().asked, "split": "train", "seed": 9, "length": 5}
        changed = {name for name in expected if part.asked[name] != expected[name]}
        assert changed == {"gap"}
    assert [part.asked["gap"] for part in OTHER.training(4, "cross").parts] == ["cross"]


def test_training_fingerprint_changes_with_content_and_order(recorded):
    prints = {
        Protocol().training(4, gaps, seed=seed).fingerprint
        for gaps in (("same", "cross"), ("cross", "same"), ("same", "same"))
        for seed in (0, 1)
    }
    assert len(prints) == 6
    assert Protocol().training(4).fingerprint == Protocol().training(4).fingerprint


def test_training_refuses_what_only_testing_may_see(recorded):
    assert set(TRAINING_GAPS) < set(GAPS)
    for gap in set(GAPS) - set(TRAINING_GAPS):
        with pytest.raises(ValueError, match=f"training gap is '{gap}'; expected one of same, cro"):
            Protocol().training(10, ["same", gap])
    with pytest.raises(ValueError, match="gaps is empty"):
        Protocol().training(10, [])
    with pytest.raises(ValueError, match="length is 0; expected at least 1"):
        Protocol().training(0)


def test_turns_need_parts_of_equal_length():
    even, long = Recorded(0, "train", length=2), Recorded(0, "train", length=4)
    with pytest.raises(ValueError, match=r"parts of \[2, 4\] episodes; expected as many"):
        Interleaved([even, long])
    with pytest.raises(ValueError, match=r"parts of \[\] episodes"):
        Interleaved([])


# ---------------------------------------------------------------- with the real benchmark


def test_test_episodes_are_of_novel_classes_and_training_ones_of_base_classes():
    protocol = Protocol(fold=1, episodes=3, image_size=64, shots=2)
    test, train = protocol.build(), protocol.training(4)
    assert len(test) == 3 and len(train) == 4
    assert not set(test.classes) & set(train.classes)
    assert {e.class_id for e in test} <= set(test.classes)
    assert {e.class_id for e in train} <= set(train.classes)
    assert test[0].query_image.shape == (64, 64, 3) and test[0].shots == 2


def test_training_gaps_take_turns_and_keep_their_index():
    data = Protocol(image_size=64).training(5)
    episodes = list(data)
    assert [e.index for e in episodes] == list(range(5))
    alike = [e.query_style == e.support_styles[0] for e in episodes]
    assert alike == [True, False, True, False, True]
    assert np.array_equal(data[-1].query_image, episodes[4].query_image)
    for outside in (5, -6):
        with pytest.raises(IndexError, match=f"episode {outside} of 5"):
            data[outside]


def test_gap_alone_changes_the_style_and_nothing_else():
    """What makes scores at two gaps comparable pair by pair."""
    same, cross = (Protocol(gap=gap, episodes=4, image_size=64).build() for gap in TRAINING_GAPS)
    assert [e.class_id for e in same] == [e.class_id for e in cross]
    assert same.fingerprint != cross.fingerprint


def test_the_benchmark_s_narrower_limits_are_told_when_it_is_built():
    with pytest.raises(ValueError, match="image_size is 32; expected 64 to 512"):
        Protocol(image_size=32).build()


def test_without_a_fold_every_class_is_learned_and_none_tested():
    protocol = Protocol(fold=None)
    assert sorted(protocol.training(4).classes) == list(range(1, 81))
    with pytest.raises(ValueError, match=r"fold is None, .* none is left to test on"):
        protocol.build()
    assert Protocol.from_dict(protocol.to_dict()) == protocol

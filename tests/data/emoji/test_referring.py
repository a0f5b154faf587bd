"""Emoji-Ref: sentences name one object, words decide, splits keep what they say."""

import numpy as np
import pytest

from hmnet_lite.data.emoji.referring.arrange import colours
from hmnet_lite.data.emoji.referring.dataset import SPLITS, EmojiReferring, held_out
from hmnet_lite.data.emoji.referring.grammar import grammar_words, say, templates
from hmnet_lite.data.emoji.referring.meaning import Meaning, Seen, fits, names_one
from hmnet_lite.data.emoji.referring.nouns import SYNONYMS, names, nouns, plural
from hmnet_lite.data.stream import Stream

DATA = {split: EmojiReferring(0, split, length=12, sentences=6) for split in SPLITS}


def thing(label, class_id, x, y, area=0.05, style="noto", **shades):
    return Seen(label, class_id, "animal", style, area, y, x, tuple(shades.items()))


@pytest.mark.parametrize("split", SPLITS)
def test_every_sentence_names_one_object_and_needs_its_words(split):
    data, texts = DATA[split], []
    for index in range(12):
        seen, sentences = data.told(index)
        assert sentences
        for s in sentences:
            assert names_one(s.meaning, seen).label == s.label
            if s.meaning.kind != "name":  # without what decides, more would fit
                assert sum(map(len, fits(s.meaning.without_relation, seen))) > 1 or s.meaning.colour
            texts.append(s.text)
    assert len(set(texts)) > 0.9 * len(texts)


def test_several_objects_of_a_scene_are_named():
    several = [len({s.label for s in DATA["seen"].told(i)[1]}) > 1 for i in range(12)]
    assert np.mean(several) > 0.7


def test_splits_keep_what_they_say():
    base, novel = DATA["train"].classes.keys(), DATA["novel"].classes.keys()
    assert len(base) == 60 and len(novel) == 20 and not base & novel
    for split, data in DATA.items():
        for index in range(12):
            seen, sentences = data.told(index)
            if split != "novel":
                assert {s.class_id for s in seen} <= base
            for s in sentences:
                m = s.meaning
                kept = any(held_out(s.class_id, w) for w in (m.colour, m.relation, m.rank) if w)
                assert s.class_id in data.classes
                assert kept or split != "compositions"
                assert not (kept and split == "train")


def test_scenes_are_the_same_in_any_order_and_drawn_as_told():
    data, again = DATA["novel"], EmojiReferring(0, "novel", length=12, sentences=6)
    scene, other = data[5], again[-7]
    assert np.array_equal(scene.image, other.image) and scene.sentences == other.sentences
    assert (scene.seen, scene.sentences) == data.told(5) and data.fingerprint == again.fingerprint
    for s in scene.seen:
        rows, columns = np.nonzero(scene.labels == s.label)
        assert s.area == len(rows) / scene.labels.size
        assert s.x == pytest.approx(columns.mean() / 256)
    assert np.array_equal(scene.mask(scene.sentences[0]), scene.labels == scene.sentences[0].label)
    assert EmojiReferring(0, "novel", length=12, seed=5).fingerprint != data.fingerprint


def test_the_resolver_knows_yes_no_and_unclear():
    cats = [thing(1, 3, 0.2, 0.5, red=0.9), thing(2, 3, 0.8, 0.5, area=0.1, red=0.3, blue=0.6)]
    bus = thing(3, 46, 0.5, 0.5, style="twemoji")
    scene = [*cats, bus]

    def one(**words):
        found = names_one(Meaning(**{"noun": 3, **words}), scene)
        return found and found.label

    assert one() is None and one(noun=46) == 3
    assert one(relation="left", anchor=46) == 1 and one(relation="right", anchor=46) == 2
    assert one(relation="above", anchor=46) is None
    assert one(rank="leftmost") == 1 and one(rank="largest") == 2 and one(rank="top") is None
    assert one(colour="blue") == 2 and one(colour="red") is None  # the other is partly red
    assert one(noun=None, rank="odd style") == 3
    assert one(noun=46, rank="largest") is None  # a rank among one says nothing
    assert one(relation="left", anchor=61) is None  # no such anchor


def test_a_relation_that_is_mostly_another_one_is_unclear():
    a, b = thing(1, 3, 0.4, 0.2), thing(2, 46, 0.5, 0.8)
    sure, unclear = fits(Meaning(3, relation="left", anchor=46), [a, b])
    assert not sure and unclear == [a]


def test_there_are_many_templates_and_all_can_be_said():
    assert len(templates()) > 200
    stream = Stream("test")
    said = {say(Meaning(61, rank="smallest"), stream) for _ in range(200)}
    assert len(said) > 20 and all("bell" in text for text in said)
    assert "bells" in " ".join(said)
    assert not any("{" in text for text in said)


def test_nouns_are_of_one_class_and_no_grammar():
    everything = [noun for several in names().values() for noun in several]
    assert len(set(everything)) == len(everything)
    assert SYNONYMS.keys() <= names().keys()
    assert not set(nouns()) & set(grammar_words())
    assert plural("bus") == "buses" and plural("scissors") is None


def test_colours_are_named():
    pixels = [[255, 0, 0, 255], [250, 250, 250, 255], [0, 0, 60, 60], [10, 10, 10, 255]]
    assert dict(colours(np.array(pixels))) == dict(red=0.25, white=0.25, blue=0.25, black=0.25)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (dict(split="test"), "split is 'test'; expected one of train, seen"),
        (dict(fold=4), "fold is 4; expected 0 to 3"),
        (dict(length=0), "length is 0; expected 1 to"),
    ],
)
def test_arguments_are_checked(wrong, message):
    with pytest.raises(ValueError, match=message):
        EmojiReferring(**wrong)

"""Sentences and what their words are to them, and an encoder that learns it without a picture."""

from dataclasses import replace

import pytest
import torch

from hmnet_lite.data.emoji.referring.dataset import EmojiReferring, held_out
from hmnet_lite.data.emoji.referring.meaning import Meaning
from hmnet_lite.data.emoji.referring.nouns import names
from hmnet_lite.data.emoji.referring.words import Words
from hmnet_lite.data.stream import Stream
from hmnet_lite.models.remamba.config import ReMamberConfig
from hmnet_lite.models.remamba.model import ReMamber
from hmnet_lite.training.reading import BESIDE, NAMES, OTHER, learn_to_read, sentence, token_parts

TINY = ReMamberConfig(dim=16, inner=8, state=4, depths=(0,), token_side=4, text_depth=1,
                      relations=True)  # fmt: skip
BASE = [*EmojiReferring(0, "train").classes]
OF = {words[0]: i for i, words in names().items()}


@pytest.mark.parametrize(
    ("text", "meaning", "parts"),
    [
        ("above the dog, the pig", Meaning(OF["pig"], relation="above", anchor=OF["dog"]),
         [OTHER, OTHER, BESIDE, OTHER, NAMES]),
        ("of the two pigs, the largest", Meaning(OF["pig"], rank="largest"),
         [OTHER, OTHER, OTHER, NAMES, OTHER, OTHER]),
        ("a red thing", Meaning(None, colour="red"), [OTHER, NAMES, NAMES]),
        ("the animal next to the pig", Meaning("animal", relation="nearest", anchor=OF["pig"]),
         [OTHER, NAMES, OTHER, OTHER, OTHER, BESIDE]),
    ],
)  # fmt: skip
def test_what_each_token_is_to_its_sentence(text, meaning, parts):
    assert token_parts(Words(), text, meaning, 8) == parts + [OTHER] * (8 - len(parts))


def test_sentences_keep_to_what_training_scenes_may_say():
    stream, words = Stream("test", 0), Words()
    told = [sentence(stream, BASE) for _ in range(400)]
    for text, meaning in told:
        parts = token_parts(words, text, meaning, 20)
        assert NAMES in parts and (BESIDE in parts) == (meaning.relation is not None), text
        if isinstance(meaning.noun, int):
            assert meaning.noun in BASE and meaning.anchor != meaning.noun
            said = (meaning.colour, meaning.relation, meaning.rank)
            assert not any(word and held_out(meaning.noun, word) for word in said), text
        assert meaning.anchor is None or meaning.anchor in BASE
    assert {m.kind for _, m in told} == {"name", "colour", "rank", "relation", "both"}


def test_an_encoder_learns_to_read_and_nothing_else_changes():
    torch.manual_seed(0)
    model = ReMamber(TINY)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    assert learn_to_read(model, BASE, 0) == 0.0
    assert learn_to_read(model, BASE, 60) > 0.75  # half by chance
    changed = {n for n, v in model.state_dict().items() if not torch.equal(v, before[n])}
    assert changed and all(name.startswith(("text.", "reading.")) for name in changed)


def test_a_network_without_relations_reads_nothing():
    with pytest.raises(ValueError, match="reading=1 of a network without relations; expected 0"):
        learn_to_read(ReMamber(replace(TINY, relations=False)), BASE, 1)
    with pytest.raises(ValueError, match="reading=-1; expected 0 or more steps"):
        learn_to_read(ReMamber(TINY), BASE, -1)

"""Sentences to tokens: nouns by meaning, and clear answers to what cannot be read."""

import pytest
import torch
import torch.nn.functional as F

from hmnet_lite.data.emoji.referring.dataset import EmojiReferring
from hmnet_lite.data.emoji.referring.words import MOST, UnknownWords, Words, axes, table

WORDS = Words()


def test_phrases_are_tokens():
    assert WORDS.split("Show me the ear of corn, LEFT of the buses!") == [
        "show", "me", "the", "ear of corn", "left", "of", "the", "buses",
    ]  # fmt: skip
    numbers, vectors = WORDS("the bus")
    assert numbers.shape == (MOST,) and vectors.shape == (MOST, 64)
    assert numbers.count_nonzero() == 2 and vectors.any(1).tolist() == [False, True] + [False] * 18
    assert torch.equal(vectors, WORDS("the buses")[1])  # a plural means its singular


def test_all_sentences_of_the_benchmark_can_be_read():
    data = EmojiReferring(0, "novel", length=8, sentences=20)
    for index in range(8):
        for sentence in data.told(index)[1]:
            WORDS(sentence.text)


def test_meaning_is_near_where_words_are():
    def near(a, b):
        return F.cosine_similarity(table()[a], table()[b], dim=0).item()

    assert near("rooster", "chicken") > near("rooster", "wrench") + 0.3
    assert near("wrench", "spanner") > near("wrench", "pizza") + 0.3
    mean, directions = axes()
    assert mean.shape == (384,) and directions.shape == (64, 384)


@pytest.mark.parametrize(
    ("sentence", "message"),
    [
        ("", "the sentence is empty; say what to find"),
        (" ... ", "the sentence is empty"),
        ("the 🐙", "'🐙': signs are not read; say it in words"),
        ("not the octopus", "'not': say what is to be found, not what is not"),
        ("the blorgle left of the bus", "'blorgle': not among the"),
        ("the helicoptre left of the bus", "Did you mean 'helicopter'"),
        ("der rote Bus links von der Katze", "these words are not known; expected .* English"),
        ("кошка слева от автобуса", "these words are not known; expected .* English"),
        ("the bus " * 5000, "has 10,000 words; expected at most 20"),
        ("the bus left of the cat " * 5, "has 30 words; expected at most 20"),
    ],
)
def test_what_cannot_be_read_is_told_in_a_line(sentence, message):
    with pytest.raises(ValueError, match=message) as told:
        WORDS(sentence)
    assert len(str(told.value)) < 250 and "\n" not in str(told.value)


def test_no_string_is_a_type_error():
    with pytest.raises(TypeError, match="the sentence is a int; expected a string"):
        WORDS(7)


def test_a_sentence_encoder_gives_meaning_to_other_words():
    words = Words(encode=lambda word: torch.full((64,), float(len(word))))
    assert words("the blorgle")[1][1].tolist() == [7.0] * 64
    with pytest.raises(UnknownWords):
        words("кошка")

"""Sentences to tokens, and what nouns mean: a small table of pretrained vectors.

A network that has never met "rooster" can still find one where it knows that the word is near
"hen", "bird" and "farm". That knowledge is in `data_samples/words.safetensors`: the vectors that
all-MiniLM-L6-v2 gives to the names and keywords of things in Unicode's CLDR, on their 64 principal
axes. A name's vector stands for the name and its keywords together. `tools/build_words.py` made it.
"""

from __future__ import annotations

import difflib
import json
import re
import unicodedata
from collections.abc import Callable
from functools import lru_cache

import torch
from torch import Tensor

from hmnet_lite.data.emoji import tiles
from hmnet_lite.data.emoji.referring.grammar import grammar_words
from hmnet_lite.data.emoji.referring.nouns import nouns
from hmnet_lite.tensors import read_tensors

FILE = "words.safetensors"
CHANNELS = 64  # of a noun's vector
MOST = 20  # tokens of a sentence
NEGATIONS = frozenset(("not", "no", "without", "except", "neither", "nor", "never", "nothing"))
NOUN = "<noun>"  # the grammar's word for whatever has a vector


class UnknownWords(ValueError):
    """A sentence with words that have no meaning here.

    Attributes:
        words: which.
        english: whether they may be English words that the table does not hold.
    """

    def __init__(self, message: str, words: list[str], english: bool = False):
        super().__init__(message)
        self.words, self.english = words, english


class Words:
    """A vocabulary: grammar words by number, nouns by vector.

    Args:
        encode: (words) → (CHANNELS,) for nouns that the table does not hold, or None.

    Attributes:
        grammar: the words that are learned, by number; 0 pads, 1 is any noun.
    """

    def __init__(self, encode: Callable[[str], Tensor] | None = None):
        self.grammar = {word: i for i, word in enumerate(("", NOUN, *grammar_words()))}
        self._table, self._singular, self._encode = table(), nouns(), encode
        self._longest = 4

    def split(self, sentence: str) -> list[str]:
        """The tokens of a sentence: grammar words, and nouns of up to four words, longest first.

        Raises:
            TypeError: not a string.
            ValueError: it is empty, or longer than `MOST` tokens.
            UnknownWords: it holds words that are neither; names the nearest known ones.
        """
        if not isinstance(sentence, str):
            raise TypeError(f"the sentence is a {type(sentence).__name__}; expected a string")
        said = sentence[:20_000].lower()
        words = re.findall(r"[^\W_]+(?:[-'][^\W_]+)*", said)
        signs = [x for x in said if unicodedata.category(x) in ("So", "Sk", "Sc")]
        if signs:  # an emoji would be passed over, and with it what the sentence is about
            raise UnknownWords(f"{signs[0]!r}: signs are not read; say it in words", signs)
        refused = [word for word in words if word in NEGATIONS]
        if refused:  # the table has vectors for some of them
            raise UnknownWords(f"{refused[0]!r}: say what is to be found, not what is not", refused)
        if not words:
            raise ValueError("the sentence is empty; say what to find, such as 'the red bus'")
        if len(words) > 4 * MOST:
            count = f"{len(sentence.split()):,}"
            raise ValueError(f"the sentence has {count} words; expected at most {MOST}: say less")
        tokens, unknown, at = [], [], 0
        while at < len(words):
            for length in range(min(self._longest, len(words) - at), 0, -1):
                phrase = " ".join(words[at : at + length])
                if phrase in self.grammar or self._noun(phrase) is not None:
                    tokens.append(phrase)
                    break
            else:
                length = 1
                unknown.append(words[at])
            at += length
        if unknown:
            raise self._unknown(unknown, words)
        if len(tokens) > MOST:
            raise ValueError(
                f"the sentence has {len(tokens)} words; expected at most {MOST}: say less"
            )
        return tokens

    def __call__(self, sentence: str) -> tuple[Tensor, Tensor]:
        """Numbers (MOST,) int64, 0 where the sentence has ended, and vectors (MOST, CHANNELS).

        Raises as `split` does, and ValueError where no token is a noun.
        """
        numbers, vectors = torch.zeros(MOST, dtype=torch.int64), torch.zeros(MOST, CHANNELS)
        tokens = self.split(sentence)
        if all(token in self.grammar for token in tokens):
            raise ValueError(
                f"{sentence!r} names no thing; say what to find, such as 'the red thing'"
            )
        for i, token in enumerate(tokens):
            if token in self.grammar:
                numbers[i] = self.grammar[token]
            else:
                numbers[i], vectors[i] = self.grammar[NOUN], self._noun(token)
        return numbers, vectors

    def _noun(self, phrase: str) -> Tensor | None:
        """The vector of a noun, of its singular, or of one that is near enough to be it."""
        for form in (phrase, self._singular.get(phrase), phrase.removesuffix("s")):
            if form in self._table:
                return self._table[form]
        if self._encode is not None and " " not in phrase and phrase.isascii():
            return self._encode(phrase)
        return None

    def _unknown(self, unknown: list[str], words: list[str]) -> UnknownWords:
        shown = ", ".join(repr(word[:30]) for word in unknown[:5])
        shown += f" and {len(unknown) - 5} more" if len(unknown) > 5 else ""
        if len(unknown) > len(words) / 2:
            return UnknownWords(
                f"{shown}: these words are not known; expected a sentence in English, such as "
                "'the red bus left of the cat'",
                unknown,
            )
        known = [*self.grammar, *self._table]
        near = difflib.get_close_matches(unknown[0], known, n=1, cutoff=0.8)
        guess = f". Did you mean {near[0]!r}?" if near else ""
        return UnknownWords(
            f"{shown}: not among the {len(known):,} words that are known; use another word{guess}",
            unknown,
            english=True,
        )


@lru_cache(maxsize=1)
def table() -> dict[str, Tensor]:
    """Noun → its vector, (CHANNELS,) float32."""
    tensors, header = read_tensors(tiles.data_folder() / FILE)
    vectors = tensors["vectors"].float() * tensors["scale"]
    return dict(zip(json.loads(header["words"]), vectors, strict=True))


@lru_cache(maxsize=1)
def axes() -> tuple[Tensor, Tensor]:
    """Of the table's space: the mean (384,) and the principal axes (CHANNELS, 384), float32."""
    tensors, _ = read_tensors(tiles.data_folder() / FILE)
    return tensors["mean"].float(), tensors["axes"].float()

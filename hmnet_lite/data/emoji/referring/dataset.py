"""Emoji-Ref: segmentation by words on the drawings of Emoji-20i.

A scene lays three to six objects on a background, often two or three of one class, so that words
decide. Each of its sentences names exactly one object (`names_one` says so), and dropping the part
of it that decides would leave more than one. Splits:

    train          base classes on training backgrounds
    seen           base classes on test backgrounds
    novel          the object named is of a novel class, which no training scene shows
    compositions   base classes; a class together with a relation, rank or colour that no training
                   sentence joins to it
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from hmnet_lite.data.emoji import tiles
from hmnet_lite.data.emoji.dataset import TRAIN_STYLES
from hmnet_lite.data.emoji.protocol import FOLDS
from hmnet_lite.data.emoji.referring.arrange import arrange, draw
from hmnet_lite.data.emoji.referring.grammar import COLOURS, say
from hmnet_lite.data.emoji.referring.meaning import RANKS, RELATIONS, Meaning, Seen, fits, names_one
from hmnet_lite.data.emoji.referring.nouns import KINDS
from hmnet_lite.data.emoji.scene import Thing
from hmnet_lite.data.fields import integer, one_of
from hmnet_lite.data.stream import Stream

SPLITS = ("train", "seen", "novel", "compositions")
GENERATOR = 1  # raise it whenever the same parameters would give another scene or sentence
HELD_OUT = 5  # one of so many pairs (class, relation or rank or colour) is kept for compositions


@dataclass(frozen=True)
class Sentence:
    """One sentence of a scene."""

    text: str
    meaning: Meaning
    label: int  # of the one object it names
    class_id: int  # of that object


@dataclass(frozen=True)
class ReferringScene:
    """A picture, everything in it, and sentences that name one object each."""

    image: np.ndarray  # (H, W, 3) uint8 RGB
    labels: np.ndarray  # (H, W) uint8: 0 background, otherwise an object's label (below 15)
    objects: tuple[tuple[int, int, str], ...]  # label, class id, style: as in `LabelledScene`
    seen: tuple[Seen, ...]
    sentences: tuple[Sentence, ...]
    index: int

    def mask(self, sentence: Sentence) -> np.ndarray:
        """(H, W) uint8: 1 where the object that the sentence names shows."""
        return (self.labels == sentence.label).astype(np.uint8)


class EmojiReferring(Sequence):
    """A sequence of `ReferringScene`, made when asked for.

    Scene `i` depends on the arguments, `i` and the files in data_samples/ alone.

    Args:
        fold: 0..3. Its 20 classes are novel, the other 60 base classes.
        split: one of `SPLITS`.
        seed: any non-negative integer.
        length: number of scenes.
        sentences: at most so many a scene; a scene for which there are fewer has fewer, at least 1.
        image_size: pixels, 64..512.

    Raises:
        TypeError, ValueError: an argument is not as above; FileNotFoundError: no data_samples.
    """

    def __init__(self, fold: int = 0, split: str = "train", *, seed: int = 321, length: int = 500,
                 sentences: int = 4, image_size: int = 256):  # fmt: skip
        self.fold = integer("fold", fold, 0, FOLDS - 1)
        self.split = one_of("split", split, SPLITS)
        self.seed = integer("seed", seed, 0, 2**63)
        self.length = integer("length", length, 1, 10**9)
        self.sentences = integer("sentences", sentences, 1, 100)
        self.image_size = integer("image_size", image_size, 64, 512)
        folder = tiles.data_folder()
        known = tiles.classes(folder)
        self._classes = {c["id"]: c for c in known}
        self._base = tuple(c["id"] for c in known if c["fold"] != self.fold)
        self._novel = tuple(c["id"] for c in known if c["fold"] == self.fold)
        self._tiles = {style: tiles.tiles(folder, style) for style in TRAIN_STYLES}
        self._photographs = tiles.photographs(folder, "train" if split == "train" else "test")
        self._files = tiles.manifest(folder)

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[ReferringScene]:
        return (self[i] for i in range(self.length))

    def __getitem__(self, index: int) -> ReferringScene:
        if not -self.length <= index < self.length:
            raise IndexError(f"scene {index} of {self.length}")
        index %= self.length
        things, photograph, key, placed, sentences = self._plan(index)
        picture = None if photograph is None else self._photographs[photograph]
        return ReferringScene(
            image=draw(things, placed, picture, self.image_size, *key),
            labels=placed.labels,
            objects=tuple((s.label, s.class_id, s.style) for s in placed.seen),
            seen=placed.seen,
            sentences=sentences,
            index=index,
        )

    def told(self, index: int) -> tuple[tuple[Seen, ...], tuple[Sentence, ...]]:
        """What scene `index` shows and its sentences, without drawing it: several times faster."""
        *_, placed, sentences = self._plan(range(self.length)[index])
        return placed.seen, sentences

    @property
    def classes(self) -> dict[int, str]:
        """Id → name of the classes that sentences name."""
        ids = self._novel if self.split == "novel" else self._base
        return {i: self._classes[i]["name"] for i in ids}

    @property
    def fingerprint(self) -> str:
        """Hex SHA-256 of everything that decides a picture, but the length."""
        names = ("fold", "split", "seed", "image_size")
        parts = {name: getattr(self, name) for name in names}
        parts |= {"generator": GENERATOR, "data": self._files, "what": "referring"}
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    # ------------------------------------------------------------------------------------ inside

    def _plan(self, index: int):
        """The scene's objects where they lie, and its sentences: of the first try that has one.

        A try has its own key; nearly every first one will do.
        """
        for attempt in range(1000):
            key = ("referring", GENERATOR, self.seed, self.split, self.fold, index, attempt)
            stream = Stream(*key, "plan")
            things = self._things(stream)
            photograph = None if stream.below(3) == 0 else stream.below(len(self._photographs))
            placed = arrange(things, self._tiles, self._kind, self.image_size, *key)
            found = self._sentences(placed.seen, Stream(*key, "words"))
            if found:
                return things, photograph, key, placed, found
        raise RuntimeError(f"no sentence names one object of scene {index}; a fault of ours")

    def _kind(self, class_id: int) -> str:
        return self._classes[class_id]["superclass"]

    def _things(self, stream: Stream) -> list[Thing]:
        """Three to six objects; the first class often twice or thrice; of two styles or one."""
        everything = (*self._base, *self._novel)
        first = stream.choice(self._novel if self.split == "novel" else self._base)
        others = self._base if self.split != "novel" else everything
        count = stream.between(3, 6)
        repeated = (1, 2, 2, 2, 2, 3)[stream.below(6)]
        rest = stream.shuffled([i for i in others if i != first])
        ids = [first] * min(repeated, count - 1)
        ids += rest[: count - len(ids)]
        if len(ids) >= 5 and stream.below(3) == 0:
            ids[-1] = ids[-2]  # another pair
        styles = stream.shuffled(TRAIN_STYLES)[:2]
        odd = stream.below(3)  # 0: one style, 1: one object in the other, 2: mixed
        things = []
        for i, class_id in enumerate(ids):
            other = (odd == 1 and i == 0) or (odd == 2 and stream.below(2) == 1)
            things.append(self._thing(stream, class_id, styles[other]))
        return things

    def _thing(self, stream: Stream, class_id: int, style: str) -> Thing:
        side = self.image_size
        return Thing(
            class_id=class_id, style=style,
            size=stream.between(round(0.2 * side), round(0.42 * side)),
            degrees=stream.between(-30, 30), hue=stream.between(-45, 45),
            contrast=stream.between(192, 320),
            shadow=(2 * side // 256, stream.between(-2, 2) * side // 256, max(1, side // 80),
                    stream.between(40, 120)),
        )  # fmt: skip

    def _sentences(self, seen: tuple[Seen, ...], stream: Stream) -> tuple[Sentence, ...]:
        """Sentences on different objects in turn, kinds mixed; what decides cannot be left out."""
        by_kind: dict[str, list[tuple[Meaning, Seen, int]]] = {}
        for meaning in self._meanings(seen):
            one = names_one(meaning, seen)
            if one is None or not self._allowed(meaning, one):
                continue
            among = len(fits(_without_rank(meaning), seen)[0])
            by_kind.setdefault(meaning.kind, []).append((meaning, one, among))
        kinds = {kind: stream.shuffled(found) for kind, found in sorted(by_kind.items())}
        chosen: list[Sentence] = []
        told: dict[int, int] = {}
        while kinds and len(chosen) < self.sentences:
            kind = stream.choice(sorted(kinds))
            pool = kinds[kind]
            pool.sort(key=lambda found: told.get(found[1].label, 0), reverse=True)  # (stable)
            meaning, one, among = pool.pop()
            told[one.label] = told.get(one.label, 0) + 1
            text = say(meaning, stream, among)
            chosen.append(Sentence(text, meaning, one.label, one.class_id))
            if not pool:
                del kinds[kind]
        return tuple(chosen)

    def _meanings(self, seen: tuple[Seen, ...]) -> Iterator[Meaning]:
        """Everything that could be said; a relation, rank or colour only where it decides."""
        ids = sorted({s.class_id for s in seen})
        kinds = sorted({s.kind for s in seen} & KINDS.keys())
        single = [i for i in ids if sum(s.class_id == i for s in seen) == 1]
        for noun in (*ids, *kinds, None):
            members = [s for s in seen if noun is None or noun in (s.class_id, s.kind)]
            if len(members) == 1:
                yield Meaning(noun)
                continue
            for colour in COLOURS if noun is not None else ():
                yield Meaning(noun, colour=colour)
            for rank in RANKS:
                yield Meaning(noun, rank=rank)
            for relation in RELATIONS:
                for anchor in single:
                    if noun is not None and anchor != noun:
                        related = Meaning(noun, relation=relation, anchor=anchor)
                        yield related
                        if relation != "nearest" and len(fits(related, seen)[0]) == 2:
                            for rank in RANKS[:-1]:
                                yield Meaning(noun, None, relation, anchor, rank)

    def _allowed(self, meaning: Meaning, one: Seen) -> bool:
        """Whether a sentence belongs to this split."""
        if self.split == "novel":
            return one.class_id in self._novel
        told = [word for word in (meaning.colour, meaning.relation, meaning.rank) if word]
        kept = any(held_out(one.class_id, word) for word in told)
        return kept if self.split == "compositions" else not kept or self.split == "seen"


def held_out(class_id: int, word: str) -> bool:
    """Whether a class with this relation, rank or colour is kept from training sentences."""
    return Stream("compositions", class_id, word).below(HELD_OUT) == 0


def _without_rank(meaning: Meaning) -> Meaning:
    return Meaning(meaning.noun, meaning.colour, meaning.relation, meaning.anchor)

"""Which episodes a number was measured on: everything that decides them, in one frozen object.

Two papers can disagree by points on "fold 0, 1-shot" because one filtered novel classes out of its
training images and the other did not, or tested on other episodes. Here fold, episode count, seed,
filtering, gap and the scene's dials are fields that are written beside every result, never
constants inside a loader.

    protocol = Protocol(fold=0, gap="cross")
    test = protocol.build()                      # novel classes of the fold
    train = protocol.training(3300, seed=1)      # base classes only, under the same rules
"""

from __future__ import annotations

import hashlib
import operator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hmnet_lite.data.fields import Record, integer, one_of, share

if TYPE_CHECKING:
    from hmnet_lite.data.emoji.dataset import EmojiEpisodes
    from hmnet_lite.data.episode import Episode

DATASETS = ("emoji",)
FOLDS = 4
#: support and query by the same artists; one drawing rendered two ways; different artists;
#: an artist never trained on. From narrow to wide, the order of every table and figure.
GAPS = ("same", "sibling", "cross", "held_out")
#: gaps that training may see: the others belong to styles that are held out.
TRAINING_GAPS = ("same", "cross")


@dataclass(frozen=True)
class Protocol(Record):
    """How a method is tested.

    Args:
        dataset: which benchmark; "emoji" is Emoji-20i. Photographs have a `PhotoProtocol`.
        fold: 0 to 3. Its classes are novel: met in testing only. None: all classes are learned and
            none is tested.
        episodes: how many test episodes.
        seed: decides the test episodes. It is *not* the seed of a training run.
        shots: labelled support images in an episode.
        gap: how differently support and query are drawn, one of ``GAPS``.
        filter_novel: whether training images are free of novel classes, as targets *and* in the
            background (BAM's rule). Emoji-20i always is, so only ``True`` is accepted for it.
        image_size: side of the square images, in pixels.
        distractors: other objects in the query, (fewest, most) or one number.
        occlusion: largest hidden share of the query's target, in [0, 1).
        scale: (smallest, largest) side of the target as a share of the image's, in (0, 1].
            For these three, the scene's dials, ``None`` keeps the dataset's own value.

    Raises:
        TypeError, ValueError: a field has the wrong type or value; the message names field, given
            and expected. A dataset may have narrower limits of its own, which ``build`` tells.
    """

    dataset: str = "emoji"
    fold: int | None = 0
    episodes: int = 1000
    seed: int = 321
    shots: int = 1
    gap: str = "cross"
    filter_novel: bool = True
    image_size: int = 256
    distractors: int | tuple[int, int] | None = None
    occlusion: float | None = None
    scale: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        one_of("dataset", self.dataset, DATASETS)
        one_of("gap", self.gap, GAPS)
        if self.fold is not None:
            self.keep_integer("fold", 0, FOLDS - 1)
        self.keep_integer("episodes", 1)
        self.keep_integer("seed", 0, 2**32 - 1)
        self.keep_integer("shots", 1)
        self.keep_integer("image_size", 1)
        if not isinstance(self.filter_novel, bool):
            raise TypeError(f"filter_novel is {self.filter_novel!r}; expected True or False")
        if not self.filter_novel:
            raise ValueError(
                'filter_novel is False; dataset "emoji" draws training scenes from base classes '
                "only, so there is nothing to leave unfiltered. Mend: filter_novel=True"
            )
        if isinstance(self.distractors, tuple | list):
            low, high = self._pair("distractors", "fewest, most")
            low = integer("distractors[0]", low, 0)
            self.keep("distractors", (low, integer("distractors[1]", high, low)))
        elif self.distractors is not None:
            self.keep_integer("distractors", 0)
        if self.occlusion is not None:
            self.keep("occlusion", share("occlusion", self.occlusion))
            if self.occlusion >= 1:
                raise ValueError("occlusion is 1, which hides all of the target; expected [0, 1)")
        if self.scale is not None:
            low, high = self._pair("scale", "smallest, largest")
            low, high = share("scale[0]", low), share("scale[1]", high)
            if not 0 < low <= high:
                raise ValueError(f"scale is ({low}, {high}); expected 0 < smallest <= largest <= 1")
            self.keep("scale", (low, high))

    def build(self) -> EmojiEpisodes:
        """The test episodes: novel classes of the fold, test backgrounds, in a fixed order."""
        return self._dataset("test", self.gap, self.seed, self.episodes)

    def training(
        self, length: int, gaps: Sequence[str] = TRAINING_GAPS, *, seed: int = 0
    ) -> Interleaved:
        """What a model may learn from under this protocol: base classes, training backgrounds.

        Everything but gap, seed and length is taken from the protocol. ``gaps`` take turns, so
        that any prefix is balanced. ``seed`` is the training run's own.

        Raises:
            ValueError: ``length`` is not positive, or a gap is one that only testing may see.
        """
        length = integer("length", length, 1)
        gaps = (gaps,) if isinstance(gaps, str) else tuple(gaps)
        if not gaps:
            raise ValueError(f"gaps is empty; expected some of {', '.join(TRAINING_GAPS)}")
        for gap in gaps:
            one_of("training gap", gap, TRAINING_GAPS)
        return Interleaved([self._dataset("train", gap, seed, length) for gap in gaps])

    def _dataset(self, split: str, gap: str, seed: int, length: int) -> EmojiEpisodes:
        from hmnet_lite.data.emoji.dataset import EmojiEpisodes

        return EmojiEpisodes(
            self.fold,
            split,
            gap=gap,
            shots=self.shots,
            seed=seed,
            length=length,
            image_size=self.image_size,
            distractors=self.distractors,
            occlusion=self.occlusion,
            scale=self.scale,
        )

    def _pair(self, name: str, meaning: str) -> tuple[Any, Any]:
        value = getattr(self, name)
        try:
            low, high = value
        except (TypeError, ValueError):
            raise TypeError(f"{name} is {value!r}; expected ({meaning})") from None
        return low, high


class Interleaved(Sequence):
    """Datasets of equal length taking turns: episode i is episode i of dataset i mod n.

    So no index is drawn twice. (Taking 0, 0, 1, 1, ... would: datasets that differ only in gap have
    the same classes, backgrounds and poses at the same index.)

    Raises:
        ValueError: no datasets, or of different lengths.
    """

    def __init__(self, parts: Sequence[EmojiEpisodes]):
        lengths = [len(part) for part in parts]
        if len(set(lengths)) != 1:
            raise ValueError(
                f"cannot take turns with parts of {lengths} episodes; expected as many"
            )
        self.parts = tuple(parts)

    def __len__(self) -> int:
        return len(self.parts[0])

    def __getitem__(self, index: int) -> Episode:
        position = operator.index(index)
        if not -len(self) <= position < len(self):
            raise IndexError(f"episode {position} of {len(self)}; indices end at {len(self) - 1}")
        position %= len(self)
        return self.parts[position % len(self.parts)][position]

    @property
    def classes(self) -> dict[int, str]:
        """Id to name of the classes that are targets; the same in all parts."""
        return self.parts[0].classes

    @property
    def fingerprint(self) -> str:
        """Hex digest of everything that decides the content, in order."""
        joined = " ".join(part.fingerprint for part in self.parts)
        return hashlib.sha256(f"interleaved {joined}".encode()).hexdigest()

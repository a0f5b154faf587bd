"""Do the frozen features carry colour? A ridge regression asks them, with perfect outlines given.

    found = colour_picks(EmojiReferring(0, "train"), EmojiReferring(0, "seen"))
    found.picked, found.chance, found.count

What a network does not hear may be missing in what it sees, or in what it has learned. The
regression is fitted to objects' mean features and says, of the objects in a test scene of which
exactly one has mostly a colour, which one that is.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from hmnet_lite.data.emoji.referring.dataset import EmojiReferring
from hmnet_lite.data.emoji.referring.grammar import COLOURS
from hmnet_lite.data.emoji.referring.words import CHANNELS
from hmnet_lite.models.bank import SceneBank
from hmnet_lite.models.remamba.grounding import Grounding
from hmnet_lite.training.metric import object_features, object_rows
from hmnet_lite.training.referring import LEAST, colour_shares

MOSTLY, HARDLY = 0.5, 0.15  # shares of a colour that settle whether an object has it


@dataclass(frozen=True)
class Picks:
    """How often the right one of a scene's objects was picked.

    Attributes:
        picked: share of the questions, in [0, 1].
        chance: what picking blindly gives.
        count: of questions.
    """

    picked: float
    chance: float
    count: int


def colour_picks(fitted: EmojiReferring, tested: EmojiReferring, progress: bool = False) -> Picks:
    """Fit the colours' regression to some scenes, ask it of others.

    Args:
        fitted, tested: scenes; their features are kept on disk.
        progress: show a bar while they are encoded.

    Raises:
        ValueError: no scene of `tested` has an object that is the only one of its colour.
    """
    objects, shares, _ = _objects(fitted, progress)
    grounding = Grounding(objects.shape[1], CHANNELS, len(COLOURS))
    grounding.mean.copy_(objects.mean(0))
    grounding.std.copy_(objects.std(0) + 1e-6)
    grounding.fit_colours(objects, shares)
    objects, shares, scenes = _objects(tested, progress)
    guessed = ((objects - grounding.mean) / grounding.std) @ grounding.colour
    return picks(guessed, shares, scenes)


def picks(guessed: Tensor, shares: Tensor, scenes: Tensor) -> Picks:
    """How often the highest guess is the right object's.

    Args:
        guessed, shares: (objects, colours), what is said and what is so.
        scenes: (objects,) int64.

    Raises:
        ValueError: there is no question to ask.
    """
    right, chance = [], []
    for scene in scenes.unique():
        here = scenes == scene
        for colour in range(shares.shape[1]):
            truth, guess = shares[here, colour], guessed[here, colour]
            if len(truth) > 1 and (truth >= MOSTLY).sum() == 1 and (truth > HARDLY).sum() == 1:
                right.append(int(guess.argmax() == truth.argmax()))
                chance.append(1 / len(truth))
    if not right:
        raise ValueError("no object is the only one of its colour; give more scenes")
    return Picks(sum(right) / len(right), sum(chance) / len(chance), len(right))


def _objects(data: EmojiReferring, progress: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Mean features, shares of colours, and scene of every object that is large enough."""
    bank = SceneBank(data, progress=progress)
    rows = object_rows(bank, LEAST)
    return object_features(bank, rows), colour_shares(data, rows), rows[:, 0]

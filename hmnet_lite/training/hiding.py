"""Training episodes whose shortcuts are hidden, so that the support must come through the state.

Prototype and prior tell the query of the support before the mixer does; a mixer beside them has
no reason to learn (notebook 09). Ours: the paper does not ask whether its state is listened to.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from hmnet_lite.data.stream import Stream
from hmnet_lite.models.features import Batch
from hmnet_lite.training.sources import Source

HOW = ("half", "fading", "twice")


class Hiding:
    """A source that hides the shortcuts of some episodes of another.

    Args:
        source: of `Batch`es.
        how: "half": of every episode by the toss of a coin; "fading": the same with a chance that
            falls in a line from one to zero over training; "twice": every episode is learned from
            twice, shown and hidden, which adds a loss on the mixer's path alone.
        episodes: those of the whole training, steps times batch: where fading has ended.

    Raises:
        ValueError: no such way, or no episodes.
    """

    def __init__(self, source: Source, how: str, episodes: int):
        if how not in HOW:
            raise ValueError(f"hide={how!r} is not known; choose one of {', '.join(HOW)}")
        if episodes < 1:
            raise ValueError(f"episodes is {episodes}; expected those of the whole training")
        self.source, self.how, self.episodes, self.classes = source, how, episodes, source.classes
        self.fingerprint = f"hidden {how} {episodes} {source.fingerprint}"

    def batch(self, numbers: Sequence[int], seed: int, device: str | torch.device) -> Batch:
        """See `Source`; "twice" gives 2 × numbers episodes, first all shown, then all hidden."""
        if self.how == "twice":
            shown = self.source.batch(list(numbers) * 2, seed, device)
            hidden = torch.arange(2 * len(numbers), device=device) >= len(numbers)
            return replace(shown, hidden=hidden)
        return replace(self.source.batch(numbers, seed, device),
                       hidden=self._tossed(numbers, seed).to(device))  # fmt: skip

    def chance(self, number: int) -> float:
        """That episode `number` of the stream is hidden."""
        return 0.5 if self.how == "half" else max(1 - number / self.episodes, 0.0)

    def _tossed(self, numbers: Sequence[int], seed: int) -> Tensor:
        tosses = [Stream("hide", seed, number).below(2**16) / 2**16 for number in numbers]
        return torch.tensor([t < self.chance(n) for t, n in zip(tosses, numbers, strict=True)])

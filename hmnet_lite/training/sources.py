"""Where training batches come from: endless streams of numbered episodes.

A source gives any episodes of the stream that a seed names, by their numbers alone. So the
position in the data is one integer, a run that goes on meets what it would have met, and several
processes share a batch without a word.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from hmnet_lite.data.stream import Stream
from hmnet_lite.models.backbones import Features
from hmnet_lite.models.bank import IGNORE, SceneBank
from hmnet_lite.models.features import Batch, CachedFeatures

_TRIES = 40  # to find a support in a scene of its own


class Source(Protocol):
    """What `Trainer` learns from.

    Attributes:
        fingerprint: names the content; a run cannot be resumed on another.
        classes: id to name of what is learned.
    """

    fingerprint: str
    classes: dict[int, str]

    def batch(self, numbers: Sequence[int], seed: int, device: str | torch.device) -> Any:
        """Episodes `numbers` of the stream of a seed, together, on a device."""


class Shuffled:
    """Cached episodes, every round in a new order, each mirrored left to right by a coin.

    Args:
        episodes: `CachedFeatures`.
    """

    def __init__(self, episodes: CachedFeatures):
        self.episodes, self.classes = episodes, dict(episodes.episodes.classes)
        self.fingerprint = f"shuffled {episodes.fingerprint}"
        self._order = lru_cache(maxsize=4)(self._shuffle)

    def batch(self, numbers: Sequence[int], seed: int, device: str | torch.device) -> Batch:
        """See `Source`."""
        turns = [divmod(n, len(self.episodes)) for n in numbers]
        picked = [self._order(seed, turn)[place] for turn, place in turns]
        return mirrored(self.episodes.batch(picked, device), *_coins(numbers, seed).to(device))

    def _shuffle(self, seed: int, turn: int) -> list[int]:
        generator = torch.Generator().manual_seed((seed * 1_000_003 + turn) % 2**63)
        return torch.randperm(len(self.episodes), generator=generator).tolist()


class ScenePairs:
    """Fresh episodes from a bank: two scenes that show one class, drawn by episode number.

    A class, then one of its objects for the query and one in another scene for each support;
    query and supports mirrored left to right by a coin each.

    Args:
        bank: a `SceneBank`; it is moved to the device that is trained on.
        shots: supports an episode.
        same_style: share of the episodes whose two objects are in one style.
        least: shares of the picture that the class must cover, in the query and in the support.
        stride: of the pixels of the masks that are learned from (labels are 256 pixels wide, the
            logits 32).

    Raises:
        ValueError: no class has usable objects in enough scenes.
    """

    def __init__(self, bank: SceneBank, *, shots: int = 1, same_style: float = 0.35,
                 least: tuple[float, float] = (0.015, 0.02), stride: int = 4):  # fmt: skip
        self.bank, self.same_style, self.least, self.stride = bank, same_style, least, stride
        self.shots, self.classes = shots, bank.classes
        self.fingerprint = f"pairs {bank.fingerprint} {shots} {same_style} {least} {stride}"
        size = bank.labels.shape[1] * bank.labels.shape[2] * 2
        scene, _, classes, pixels = (column.numpy() for column in bank.objects.T)
        self._scene = scene
        styles = np.array(bank.styles)
        self._queries: dict[int, np.ndarray] = {}
        self._supports: dict[tuple[int, str, bool], np.ndarray] = {}
        self._style = styles
        for class_id in bank.classes:
            mine = classes == class_id
            queries = np.flatnonzero(mine & (pixels >= least[0] * size))
            supports = mine & (pixels >= least[1] * size)
            if len(queries) and len(np.unique(scene[supports])) > shots:
                self._queries[class_id] = queries
                for style in np.unique(styles[queries]):
                    for same in (True, False):
                        pool = np.flatnonzero(supports & ((styles == style) == same))
                        self._supports[class_id, style, same] = pool
        self._classes = sorted(self._queries)
        if not self._classes:
            raise ValueError(
                f"no class of this bank of {len(bank)} scenes has a query and {shots} supports in "
                "other scenes; give more scenes"
            )

    def draw(self, number: int, seed: int) -> list[int]:
        """Episode `number` of a seed's stream: query and supports, as rows of `bank.objects`."""
        stream = Stream("pairs", seed, number)
        class_id = stream.choice(self._classes)
        query = int(stream.choice(self._queries[class_id]))
        picked, scenes = [query], {self._scene[query]}
        same = stream.below(2**16) < self.same_style * 2**16
        pools = [self._supports[class_id, self._style[query], kind] for kind in (same, not same)]
        for _ in range(self.shots):
            for tries in range(_TRIES):
                pool = pools[tries >= _TRIES // 2]  # where a style has no other, any will do
                support = int(stream.choice(pool)) if len(pool) else query
                if self._scene[support] not in scenes:
                    break
            else:  # the class lies in few scenes: every one is looked at
                rest = [i for pool in pools for i in pool if self._scene[i] not in scenes]
                support = int(rest[0])
            picked.append(support)
            scenes.add(self._scene[support])
        return picked

    def batch(self, numbers: Sequence[int], seed: int, device: str | torch.device) -> Batch:
        """See `Source`."""
        if self.bank.device != torch.device(device):
            self.bank.to(device)
        rows = self.bank.objects[torch.tensor([self.draw(n, seed) for n in numbers])]
        scenes = rows[..., 0].to(device)  # (batch, 1 + shots)
        labels = rows[..., 1].to(device, torch.uint8)
        query = Features(*(x[scenes[:, 0]].float() for x in self.bank.features))
        support = self.bank.features.deep[scenes[:, 1:]].float()
        maps = self.bank.label_maps(scenes.flatten(), self.stride).unflatten(0, scenes.shape)
        masks = (maps == labels[..., None, None]).to(torch.uint8)
        masks.masked_fill_(maps == IGNORE, 255)
        coins = _coins(numbers, seed).to(device)
        return mirrored(Batch(query, support, masks[:, 1:], masks[:, 0]), *coins)


def _coins(numbers: Sequence[int], seed: int) -> Tensor:
    """(2, numbers) bool: whether query and support of each episode are mirrored."""
    streams = [Stream("flips", seed, number) for number in numbers]
    return torch.tensor([[stream.below(2) for stream in streams] for _ in range(2)]).bool()


def mirrored(batch: Batch, query: Tensor, support: Tensor) -> Batch:
    """Mirror left to right the queries and supports whose coin is True; (batch,) bool each.

    On a CPU in place.
    """

    def mirror(x: Tensor, coins: Tensor) -> Tensor:
        if x.device.type != "cpu":  # without asking the device which ones
            return torch.where(coins.view(-1, *[1] * (x.ndim - 1)), x.flip(-1), x)
        for row in coins.nonzero()[:, 0].tolist():
            x[row] = x[row].flip(-1)
        return x

    return Batch(
        type(batch.query)(*(mirror(x, query) for x in batch.query)),
        mirror(batch.support, support),
        mirror(batch.support_masks, support),
        mirror(batch.query_masks, query),
    )

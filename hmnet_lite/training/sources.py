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


class Source(Protocol):
    """What `Trainer` learns from.

    Attributes:
        fingerprint: names the content; a run cannot be resumed on another.
    """

    fingerprint: str

    def batch(self, numbers: Sequence[int], seed: int, device: str | torch.device) -> Any:
        """Episodes `numbers` of the stream of a seed, together, on a device."""


class Shuffled:
    """Cached episodes, every round in a new order, each mirrored left to right by a coin.

    Args:
        episodes: `CachedFeatures`.
    """

    def __init__(self, episodes: CachedFeatures):
        self.episodes = episodes
        self.fingerprint = f"shuffled {episodes.fingerprint}"
        self._order = lru_cache(maxsize=4)(self._shuffle)

    def batch(self, numbers: Sequence[int], seed: int, device: str | torch.device) -> Batch:
        """See `Source`."""
        turns = [divmod(n, len(self.episodes)) for n in numbers]
        picked = [self._order(seed, turn)[place] for turn, place in turns]
        streams = [Stream("flips", seed, n) for n in numbers]
        q, s = (torch.tensor([x.below(2) for x in streams]).bool() for _ in range(2))
        batch = self.episodes.batch(picked, device)
        return mirrored(batch, q.to(device), s.to(device))

    def _shuffle(self, seed: int, turn: int) -> list[int]:
        generator = torch.Generator().manual_seed((seed * 1_000_003 + turn) % 2**63)
        return torch.randperm(len(self.episodes), generator=generator).tolist()


class ScenePairs:
    """Fresh episodes from a bank: two scenes that show one class, drawn by episode number.

    A class, then one of its objects for the query and one in another scene for the support, each
    picture mirrored left to right by a coin.

    Args:
        bank: a `SceneBank`; it is moved to the device that is trained on.
        same_style: share of the episodes whose two objects are in one style.
        least: shares of the picture that the class must cover, in the query and in the support.
        stride: of the pixels of the masks that are learned from (labels are 256 pixels wide, the
            logits 32).

    Raises:
        ValueError: no class has two usable objects.
    """

    def __init__(self, bank: SceneBank, *, same_style: float = 0.5,
                 least: tuple[float, float] = (0.015, 0.02), stride: int = 2):  # fmt: skip
        self.bank, self.same_style, self.stride = bank, same_style, stride
        self.fingerprint = f"pairs {bank.fingerprint} {same_style} {least} {stride}"
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
            if len(queries) and len(np.unique(scene[supports])) > 1:
                self._queries[class_id] = queries
                for style in np.unique(styles[queries]):
                    for same in (True, False):
                        pool = np.flatnonzero(supports & ((styles == style) == same))
                        self._supports[class_id, style, same] = pool
        self._classes = sorted(self._queries)
        if not self._classes:
            raise ValueError(
                f"no class of this bank of {len(bank)} scenes has a query and a support in "
                "another scene; give more scenes"
            )

    def pair(self, number: int, seed: int) -> tuple[int, int, bool, bool]:
        """Query and support as rows of `bank.objects`, then whether each is mirrored."""
        stream = Stream("pairs", seed, number)
        while True:
            class_id = stream.choice(self._classes)
            query = int(stream.choice(self._queries[class_id]))
            same = stream.below(2**16) < self.same_style * 2**16
            for kind in (same, not same):  # where a style has no other, take what there is
                pool = self._supports[class_id, self._style[query], kind]
                for _ in range(20 if len(pool) else 0):
                    support = int(stream.choice(pool))
                    if self._scene[support] != self._scene[query]:
                        return query, support, bool(stream.below(2)), bool(stream.below(2))

    def batch(self, numbers: Sequence[int], seed: int, device: str | torch.device) -> Batch:
        """See `Source`."""
        if self.bank.device != torch.device(device):
            self.bank.to(device)
        pairs = np.array([self.pair(n, seed) for n in numbers])
        rows = self.bank.objects[torch.from_numpy(pairs[:, :2])]  # (batch, 2, 4) on the host
        scenes, labels = rows[..., 0].to(device), rows[..., 1].to(device, torch.uint8)
        flips = torch.from_numpy(pairs[:, 2:].astype(bool)).to(device)
        query = Features(*(x[scenes[:, 0]].float() for x in self.bank.features))
        support = self.bank.features.deep[scenes[:, 1]].float()[:, None]
        masks = []
        for k in (0, 1):
            maps = self.bank.label_maps(scenes[:, k], self.stride)
            mask = (maps == labels[:, k, None, None]).to(torch.uint8)
            masks.append(mask.masked_fill_(maps == IGNORE, 255))
        return mirrored(Batch(query, support, masks[1][:, None], masks[0]), *flips.T)


def mirrored(batch: Batch, query: Tensor, support: Tensor) -> Batch:
    """Mirror left to right the queries and supports whose coin is True; (batch,) bool each."""

    def mirror(x: Tensor, coins: Tensor) -> Tensor:
        return torch.where(coins.view(-1, *[1] * (x.ndim - 1)), x.flip(-1), x)

    return Batch(
        type(batch.query)(*(mirror(x, query) for x in batch.query)),
        mirror(batch.support, support),
        mirror(batch.support_masks, support),
        mirror(batch.query_masks, query),
    )

"""Backbone features of episodes, computed once and kept on disk.

The backbone is frozen, so an episode's features never change: training reads them back instead
of paying for the backbone at every step. A cache is keyed by content (what the episodes are, what
the backbone's weights are), written shard by shard, each shard whole or absent: stop it when you
like and it goes on where it stopped.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache, partial

import numpy as np
import torch
from torch import Tensor, nn

from hmnet_lite.models.backbones import BACKBONES, Features
from hmnet_lite.models.shards import Cache

SHARD = 50  # episodes in a file
FORMAT = "2"  # change it whenever what a shard holds changes
_NAMES = ("class_id", "size", "query_fine", "query_deep", "support_deep", "query_mask",
          "support_masks", "query_objects")  # fmt: skip


@dataclass(frozen=True, eq=False)
class CachedEpisode:
    """An episode as its features. Shapes as in `Episode` and `Features`, without the batch."""

    index: int
    class_id: int
    query: Features  # (40, H/8, W/8), (112, H/16, W/16), float16
    support: Tensor  # (K, 112, H/16, W/16), float16
    query_mask: np.ndarray  # (H, W) uint8 of {0, 1, 255}
    support_masks: np.ndarray  # (K, H, W) uint8 of {0, 1, 255}
    query_objects: np.ndarray | None  # (H, W) uint8 of {0, 1}; None: not labelled
    query_label: np.ndarray | None = None  # (h, w) uint8 of {0, 1, 255}, as in `Episode`


@dataclass(frozen=True, eq=False)
class Batch:
    """Several cached episodes, stacked, float32.

    `hidden` (batch,) bool: those whose shortcuts are not shown; None: all are.
    """

    query: Features
    support: Tensor  # (batch, K, channels, h, w)
    support_masks: Tensor  # (batch, K, H, W) uint8
    query_masks: Tensor  # (batch, H, W) uint8
    hidden: Tensor | None = None


class CachedFeatures(Sequence):
    """The episodes of a dataset as cached features; computes what is missing when made.

    Args:
        episodes: a sequence of `Episode` with a `fingerprint` that names its content.
        backbone: a name in `BACKBONES`.
        folder: where to keep them; `cache_folder()` when None.
        workers: processes that compute (None: one a CPU core; 1: this process alone).
        progress: show a bar.

    Raises:
        OSError: the disk is full or cannot be written (named; what is complete is kept).
    """

    def __init__(self, episodes, backbone: str = "efficientnet_lite0", *,
                 folder: str | os.PathLike | None = None, workers: int | None = None,
                 progress: bool = True):  # fmt: skip
        self.episodes, self.backbone = episodes, backbone
        self._cache = Cache(
            key=f"episodes {FORMAT} {episodes.fingerprint} {extractor(backbone).fingerprint}",
            length=len(episodes),
            shard=SHARD,
            compute=partial(_compute_shard, episodes, backbone),
            names=_NAMES,
            unit="episode",
            folder=folder,
        )
        self.folder = self._cache.path
        self._cache.fill(workers, progress)
        self._spans = self._cache.spans()
        self._shards: list = [None] * len(self._spans)

    def __len__(self) -> int:
        return len(self.episodes)

    @property
    def fingerprint(self) -> str:
        """Digest of what is in here: episodes, their number, backbone."""
        return f"{self.folder.name}-{len(self)}"

    def __getitem__(self, index: int) -> CachedEpisode:
        if not -len(self) <= index < len(self):
            raise IndexError(f"episode {index} of {len(self)}")
        index %= len(self)
        shard, row = divmod(index, SHARD)
        if self._shards[shard] is None:
            self._shards[shard] = self._cache.read(self._spans[shard])
        x = {name: values[row] for name, values in self._shards[shard].items()}
        size = tuple(x["size"].tolist())
        labelled_whole = not hasattr(self.episodes, "label")  # photographs know the target alone
        return CachedEpisode(
            index=index,
            class_id=int(x["class_id"]),
            query=Features(x["query_fine"], x["query_deep"]),
            support=x["support_deep"],
            query_mask=_unpack(x["query_mask"].numpy(), size),
            support_masks=_unpack(x["support_masks"].numpy(), size),
            query_objects=_unpack(x["query_objects"].numpy(), size) if labelled_whole else None,
            query_label=None if labelled_whole else self.episodes.label(index),
        )

    def batch(self, indices: Sequence[int], device: str | torch.device = "cpu") -> Batch:
        """Stack episodes for the network."""
        return stack([self[int(i)] for i in indices], device)


def stack(episodes: Sequence[CachedEpisode], device: str | torch.device = "cpu") -> Batch:
    """Cached episodes → one float32 `Batch` on a device."""

    def together(values) -> Tensor:
        return torch.stack([torch.as_tensor(v) for v in values]).to(device)

    return Batch(
        Features(
            together(e.query.fine for e in episodes).float(),
            together(e.query.deep for e in episodes).float(),
        ),
        together(e.support for e in episodes).float(),
        together(e.support_masks for e in episodes),
        together(e.query_mask for e in episodes),
    )


@lru_cache(maxsize=2)
def extractor(backbone: str) -> nn.Module:
    """A frozen backbone, made once a process."""
    return BACKBONES[backbone]()


def _compute_shard(episodes, backbone: str, start: int, stop: int) -> dict[str, Tensor]:
    """Draw and extract the episodes of one shard."""
    net = extractor(backbone)
    rows: dict[str, list[Tensor]] = {name: [] for name in _NAMES}
    for index in range(start, stop):
        episode = episodes[index]
        query = net(to_tensor(episode.query_image)[None])
        support = net(torch.stack([to_tensor(x) for x in episode.support_images])).deep
        objects = episode.query_objects
        values = {
            "class_id": torch.tensor(episode.class_id),
            "size": torch.tensor(episode.query_mask.shape),
            "query_fine": query.fine[0].half(),
            "query_deep": query.deep[0].half(),
            "support_deep": support.half(),
            "query_mask": torch.from_numpy(_pack(episode.query_mask)),
            "support_masks": torch.from_numpy(_pack(episode.support_masks)),
            "query_objects": torch.from_numpy(
                _pack(np.zeros_like(episode.query_mask) if objects is None else objects)
            ),
        }
        for name, value in values.items():
            rows[name].append(value)
    return {name: torch.stack(values) for name, values in rows.items()}


def to_tensor(image: np.ndarray) -> Tensor:
    """(H, W, 3) uint8 → (3, H, W) float32 in [0, 1]."""
    return torch.from_numpy(image).permute(2, 0, 1).float() / 255


def _pack(masks: np.ndarray) -> np.ndarray:
    """(..., H, W) of {0, 1, 255} → (..., 2, bytes): one bit for the class, one for ignore."""
    planes = np.stack([masks == 1, masks == 255], axis=-3)
    return np.packbits(planes.reshape(*planes.shape[:-2], -1), axis=-1)


def _unpack(packed: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    planes = np.unpackbits(packed, axis=-1, count=size[0] * size[1])
    planes = planes.reshape(*planes.shape[:-1], *size)
    return planes[..., 0, :, :] + planes[..., 1, :, :] * np.uint8(255)

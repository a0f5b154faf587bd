"""Photographs to learn from, augmented anew at every step: episodes, and base-class labels."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from hmnet_lite.data.episode import IGNORE
from hmnet_lite.data.photos.pictures import read_picture
from hmnet_lite.data.photos.sampler import PhotoEpisodes
from hmnet_lite.data.photos.transform import augment


@dataclass(frozen=True, eq=False)
class PictureBatch:
    """Episodes as pictures, still uint8: four times less to carry to a GPU."""

    query: Tensor  # (batch, 3, H, W)
    support: Tensor  # (batch, K, 3, H, W)
    support_masks: Tensor  # (batch, K, H, W) of {0, 1, 255}
    query_masks: Tensor  # (batch, H, W) of {0, 1, 255}
    labels: Tensor  # (batch,) int64: place of each episode's class among the base classes, from 1


class LivePhotos:
    """Training episodes of photographs, endless: every number draws its own views.

    Every round of numbers meets each picture that can be a query once, in a new order. With
    `TrainConfig.workers` processes read and augment them ahead.

    Args:
        episodes: of split "train"; its seed and length do not matter.

    Raises:
        ValueError: they are test episodes.
    """

    def __init__(self, episodes: PhotoEpisodes):
        _refuse_tests(episodes)
        self.episodes, self.classes = episodes, dict(episodes.classes)
        self.round = episodes.facts["queries"]  # episodes until every query was met
        self.fingerprint = f"live {_seeded(episodes, 0).fingerprint}"
        self._of_seed = lru_cache(maxsize=1)(lambda seed: _seeded(episodes, seed))
        self._places = {class_id: i + 1 for i, class_id in enumerate(sorted(self.classes))}

    def batch(self, numbers: Sequence[int], seed: int, device: str | torch.device) -> PictureBatch:
        """See `Source`."""
        drawn = [self._of_seed(seed)[number] for number in numbers]
        return PictureBatch(
            torch.stack([_chw(e.query_image) for e in drawn]).to(device),
            torch.stack([torch.stack([_chw(x) for x in e.support_images]) for e in drawn]).to(
                device
            ),
            torch.stack([torch.from_numpy(e.support_masks) for e in drawn]).to(device),
            torch.stack([torch.from_numpy(e.query_mask) for e in drawn]).to(device),
            torch.tensor([self._places[e.class_id] for e in drawn]).to(device),
        )

    def __getstate__(self) -> dict:
        return self.__dict__ | {"_of_seed": None}

    def __setstate__(self, state: dict) -> None:
        self.__dict__.update(state)
        self._of_seed = lru_cache(maxsize=1)(lambda seed: _seeded(self.episodes, seed))


@dataclass(frozen=True, eq=False)
class LabelledBatch:
    """Pictures with the base class of every pixel."""

    images: Tensor  # (batch, 3, H, W) uint8
    labels: Tensor  # (batch, H, W) uint8: 0 background, 1… the base classes, 255 ignore


class LiveLabels:
    """The same photographs with all their base classes: what the base learner learns from.

    A view shows some base class. Novel classes, where a picture with one is not left out, count
    as background.

    Args:
        episodes: of split "train", from files that hold class ids.

    Raises:
        ValueError: they are test episodes, or their masks say yes or no.
    """

    def __init__(self, episodes: PhotoEpisodes):
        _refuse_tests(episodes)
        if episodes.source.masks.highest is None:
            raise ValueError(
                f"the masks of {episodes.source.name} mark one class each; a base learner needs "
                "the class of every pixel (PASCAL-5i, COCO-20i)"
            )
        self.episodes, self.classes = episodes, dict(episodes.classes)
        self.round = episodes.facts["queries"]
        self.fingerprint = f"labels {_seeded(episodes, 0).fingerprint}"
        self._table = np.zeros(256, np.uint8)
        self._table[IGNORE] = IGNORE
        for place, class_id in enumerate(sorted(self.classes)):
            self._table[class_id] = place + 1

    def batch(self, numbers: Sequence[int], seed: int, device: str | torch.device) -> LabelledBatch:
        """See `Source`."""
        views = [self._view(number, seed) for number in numbers]
        return LabelledBatch(
            torch.stack([_chw(image) for image, _ in views]).to(device),
            torch.stack([torch.from_numpy(labels) for _, labels in views]).to(device),
        )

    def _view(self, number: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
        episodes = _seeded(self.episodes, seed)
        class_id, position, _ = episodes.plan(number)
        item, source = episodes.listing.items[position], episodes.source
        image = read_picture(item.image, upright=source.upright)
        ids = source.masks.read(item.mask, image.shape[:2], upright=source.upright)
        # `augment` looks for windows that show label 1: the episode's class changes places with it
        swap = np.arange(256, dtype=np.uint8)
        place = self._table[class_id]
        swap[[1, place]] = place, 1
        stream = episodes._stream(number, "labels")
        image, labels = augment(image, swap[self._table[ids]], episodes.image_size, stream)
        return np.ascontiguousarray(image), swap[labels]


def _refuse_tests(episodes: PhotoEpisodes) -> None:
    if episodes.split != "train":
        raise ValueError(
            "these are test episodes: their classes are novel. Take PhotoProtocol.training(…)"
        )


def _seeded(episodes: PhotoEpisodes, seed: int) -> PhotoEpisodes:
    """The same data set under another seed and without an end; its list is not made again."""
    twin = copy.copy(episodes)
    twin.seed, twin.length, twin._turns = seed, 2**62, {}
    return twin


def _chw(image: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1).contiguous()

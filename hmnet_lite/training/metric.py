"""The metric of HMNet-lite, fitted before training to the objects that a source shows."""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hmnet_lite.models.bank import SceneBank
from hmnet_lite.models.features import CachedFeatures
from hmnet_lite.models.metric import object_means
from hmnet_lite.training.sources import ScenePairs, Shuffled, Source

PICTURES = 3000  # at most so many are looked at
_BATCH = 50


def fit_metric(model: nn.Module, source: Source) -> bool:
    """Fit the model's metric, where it has one, to base classes; says whether it was.

    A network that begins as a matcher begins here, for its embedding is made from the same objects.
    Nothing is drawn at random: the same source gives the same metric.

    Args:
        model: with a `metric` (`hmnet_lite.models.metric.Metric`), or any other, left alone.
        source: `ScenePairs` or `Shuffled`; others are left alone.
    """
    if not hasattr(model, "metric"):
        return False
    if isinstance(source, ScenePairs):
        objects, classes = bank_objects(source.bank, source.least[0])
    elif isinstance(source, Shuffled):
        objects, classes = episode_objects(source.episodes)
    else:
        return False
    model.metric.fit(objects, classes)
    if model.config.start == "matching":
        model.start_matching(objects, classes)
    return True


def bank_objects(bank: SceneBank, least: float) -> tuple[Tensor, Tensor]:
    """Mean deep feature and class of every object of the first scenes.

    Args:
        bank: the scenes.
        least: share of the picture that an object must cover.

    Returns:
        (objects, channels) float32 and (objects,) int64.
    """
    rows = object_rows(bank, least)
    return object_features(bank, rows), rows[:, 2]


def object_rows(bank: SceneBank, least: float, scenes: int = PICTURES) -> Tensor:
    """The rows of `bank.objects` that are of the first scenes and large enough."""
    size = bank.labels.shape[1] * bank.labels.shape[2] * 2
    scene, _, _, pixels = bank.objects.T
    return bank.objects[(scene < scenes) & (pixels >= least * size)]


def object_features(bank: SceneBank, rows: Tensor) -> Tensor:
    """The mean deep feature of each of these objects, (rows, channels) float32."""
    return torch.cat([object_means(*each).cpu() for each in _shown(bank, bank.features.deep, rows)])


def object_products(bank: SceneBank, rows: Tensor) -> Tensor:
    """Each object's mean of fine · fineᵀ over its pixels, (rows, channels, channels) float32."""
    means = []
    for fine, shares in _shown(bank, bank.features.fine, rows):
        sums = torch.einsum("bchw,bdhw,bhw->bcd", fine, fine, shares)
        means.append((sums / shares.sum((1, 2))[:, None, None].clamp_min(1e-6)).cpu())
    return torch.cat(means)


def _shown(bank: SceneBank, maps: Tensor, rows: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """By batches of objects: their scenes' maps, and what share of each pixel an object covers."""
    for part in rows.split(_BATCH):
        scenes, labels = part[:, 0].to(bank.device), part[:, 1].to(bank.device)
        features = maps[scenes].float()
        shown = (bank.label_maps(scenes, 2) == labels[:, None, None]).float()
        yield features, F.adaptive_avg_pool2d(shown, features.shape[-2:])


def episode_objects(episodes: CachedFeatures) -> tuple[Tensor, Tensor]:
    """The same of the queries' and supports' classes in cached episodes."""
    means, classes = [], []
    for i in range(min(len(episodes), PICTURES // 2)):
        episode = episodes[i]
        deep = torch.cat([episode.query.deep[None], episode.support]).float()
        masks = torch.from_numpy(episode.support_masks)
        masks = torch.cat([torch.from_numpy(episode.query_mask)[None], masks])
        shares = F.adaptive_avg_pool2d((masks == 1).float(), deep.shape[-2:])
        there = shares.flatten(1).any(1)  # a view for training may show nothing of its class
        means.append(object_means(deep[there], shares[there]))
        classes += [episode.class_id] * int(there.sum())
    return torch.cat(means), torch.tensor(classes)

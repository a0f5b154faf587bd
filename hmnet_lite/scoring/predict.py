"""Masks from episodes: predictors for `evaluate`, trained and untrained."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from hmnet_lite.data.episode import Episode
from hmnet_lite.data.photos.transform import unfit
from hmnet_lite.models.features import Batch, CachedEpisode, stack, to_tensor
from hmnet_lite.models.lite import HMNet
from hmnet_lite.models.prior import prior_maps

Predictor = Callable[[CachedEpisode], np.ndarray]
Shown = Callable[[CachedEpisode], tuple[torch.Tensor, torch.Tensor]]
THRESHOLDS = np.linspace(0.05, 0.95, 19)


def model_predictor(
    model: HMNet, *, mixer_support: Shown | None = None, keep_maps: bool = False
) -> Predictor:
    """(H, W) bool masks of a trained network, from cached features.

    Args:
        model: in evaluation mode.
        mixer_support: episode to the deep features (1, shots, channels, h, w) and masks (1, shots,
            H, W) that the mixer is shown instead of the episode's own; see `HMNet.segment`.
        keep_maps: as there.
    """
    device = next(model.parameters()).device

    @torch.inference_mode()
    def predict(episode: CachedEpisode) -> np.ndarray:
        batch = stack([episode], device)
        given = (batch.query, batch.support, batch.support_masks)
        shown = mixer_support and mixer_support(episode)
        logits = model.segment(*given, mixer_support=shown, keep_maps=keep_maps)
        return _at_own_size(logits[:, 1:] - logits[:, :1], episode) > 0

    return predict


def prior_predictor(threshold: float) -> Predictor:
    """(H, W) bool masks of the prior alone: its best-match map above a threshold."""

    def predict(episode: CachedEpisode) -> np.ndarray:
        return match_map(episode) > threshold

    return predict


def match_map(episode: CachedEpisode) -> np.ndarray:
    """The prior's best-match map at the size that is scored, (H, W) in [0, 1]."""
    batch: Batch = stack([episode])
    match = _match(batch.query.deep, batch.support, batch.support_masks)
    return _at_own_size(match, episode)


def photo_prior_predictor(backbone: nn.Module, threshold: float) -> Callable[[Episode], np.ndarray]:
    """(h, w) bool masks of the prior alone, straight from pictures, of the size that is scored.

    Args:
        backbone: gives `Features` for (batch, 3, side, side); on any device.
        threshold: see `best_threshold`.
    """
    device = next(backbone.parameters()).device

    @torch.inference_mode()
    def predict(episode: Episode) -> np.ndarray:
        query, support, masks = _tensors(episode, device)
        deep = backbone(support[0]).deep[None]
        return _at_own_size(_match(backbone(query).deep, deep, masks), episode) > threshold

    return predict


def best_threshold(episodes: Sequence[CachedEpisode]) -> float:
    """The prior threshold with the highest mean IoU over *training* episodes."""
    total = np.zeros(len(THRESHOLDS))
    for episode in episodes:
        match, truth = match_map(episode), episode.query_mask == 1
        for i, threshold in enumerate(THRESHOLDS):
            found = match > threshold
            total[i] += (found & truth).sum() / max((found | truth).sum(), 1)
    return float(THRESHOLDS[total.argmax()])


@torch.inference_mode()
def segment_episode(model: nn.Module, episode: Episode) -> np.ndarray:
    """An (H, W) bool mask straight from an episode's pictures, of the size that is scored.

    Args:
        model: called as (query_image, support_images, support_masks) → (1, 2, side, side), as
            `HMNet` and the published model are.
        episode: where it keeps its query's mask at the photograph's own size, the answer is
            resized to that (before the decision, as published) and the padding cut off.
    """
    logits = model(*_tensors(episode, next(model.parameters()).device))
    return _at_own_size(logits[:, 1:] - logits[:, :1], episode) > 0


def _match(deep: torch.Tensor, support: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
    """The prior's best-match map, (batch, 1, h, w), of deep features and support masks."""
    shares = F.adaptive_avg_pool2d((masks == 1).float(), deep.shape[-2:])
    return prior_maps(deep, support, shares)[:, :1]


def _tensors(episode: Episode, device: torch.device) -> tuple[torch.Tensor, ...]:
    """Query (1, 3, H, W), supports (1, K, 3, H, W) and their masks (1, K, H, W)."""
    supports = torch.stack([to_tensor(x) for x in episode.support_images])[None]
    masks = torch.from_numpy(episode.support_masks)[None]
    return tuple(x.to(device) for x in (to_tensor(episode.query_image)[None], supports, masks))


def _at_own_size(value: torch.Tensor, episode: Episode | CachedEpisode) -> np.ndarray:
    """(1, 1, h, w) over the square → (height, width) over what is scored, the padding cut off."""
    square, label = episode.query_mask.shape, episode.query_label
    value = F.interpolate(value, square, mode="bilinear", align_corners=False)
    if label is None:
        return value[0, 0].cpu().numpy()
    side, rows, columns = unfit(label.shape)
    value = F.interpolate(value, (side, side), mode="bilinear", align_corners=True)
    return value[0, 0, rows, columns].cpu().numpy()

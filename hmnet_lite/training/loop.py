"""Training in one line; `hmnet_lite.training.trainer` holds the loop."""

from __future__ import annotations

from typing import Any

from torch import nn

from hmnet_lite.models.bank import SceneBank
from hmnet_lite.models.features import CachedFeatures
from hmnet_lite.training.config import TrainConfig
from hmnet_lite.training.history import History
from hmnet_lite.training.losses import segmentation_loss
from hmnet_lite.training.metric import fit_metric
from hmnet_lite.training.sources import ScenePairs, Shuffled, Source
from hmnet_lite.training.trainer import Trainer
from hmnet_lite.training.watching import Step

__all__ = ["History", "Step", "TrainConfig", "segmentation_loss", "train"]


def train(
    model: nn.Module,
    data: Source | SceneBank | CachedFeatures,
    config: TrainConfig | None = None,
    *,
    resume: bool = False,
    **options: Any,
) -> History:
    """Train a model in place; its metric, where it has one, is fitted to the data first.

    Args:
        model: on the device to train on.
        data: what it learns from: a bank of scenes, cached episodes, or any `Source`.
        config: budget and optimiser.
        resume: see `Trainer.fit`.
        options: `Trainer`'s: loss, folder, on_step, validate, tensorboard, progress.

    Raises:
        see `Trainer` and `Trainer.fit`.
    """
    if isinstance(data, SceneBank):
        data = ScenePairs(data)
    elif isinstance(data, CachedFeatures):
        data = Shuffled(data)
    fit_metric(model, data)
    return Trainer(model, data, config, **options).fit(resume=resume)

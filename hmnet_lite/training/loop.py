"""Episodic training on cached features: AdamW, one cosine, a fixed budget of steps or seconds."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

from hmnet_lite.models.features import Batch, CachedFeatures
from hmnet_lite.models.lite import HMNet


@dataclass(frozen=True)
class TrainConfig:
    """How to train.

    Attributes:
        seconds, steps: the budget; give exactly one. Seconds are wall clock without the feature
            cache; the same steps and seed give the same weights on the same machine.
        batch: episodes a step.
        learning_rate, weight_decay: AdamW's (no decay on norms, biases, A_log and D).
        seed: order of episodes and flips.
    """

    seconds: float | None = None
    steps: int | None = None
    batch: int = 8
    learning_rate: float = 3e-3
    weight_decay: float = 0.01
    seed: int = 0

    def __post_init__(self) -> None:
        if (self.seconds is None) == (self.steps is None):
            raise ValueError(
                f"seconds={self.seconds}, steps={self.steps}: give exactly one of the two budgets"
            )
        if (self.seconds or self.steps or 0) <= 0 or self.batch < 1:
            raise ValueError(
                f"seconds={self.seconds}, steps={self.steps}, batch={self.batch}: expected a "
                "positive budget and a batch of at least 1"
            )


@dataclass
class History:
    """What happened, one entry a step."""

    loss: list[float] = field(default_factory=list)
    iou: list[float] = field(default_factory=list)  # foreground IoU of the step's batch
    seconds: list[float] = field(default_factory=list)  # since the start

    @property
    def steps(self) -> int:
        return len(self.loss)


def segmentation_loss(logits: Tensor, masks: Tensor) -> Tensor:
    """Cross-entropy plus Dice (Milletari et al., 2016, squared denominators) on the class.

    Args:
        logits: (batch, 2, h, w), resized to the masks.
        masks: (batch, H, W) of {0, 1, 255}; 255 counts nowhere.
    """
    logits = F.interpolate(logits, masks.shape[-2:], mode="bilinear", align_corners=False)
    known = (masks != 255).float()
    truth = (masks == 1).float()
    # two classes: softmax cross-entropy is the logistic loss of the difference
    margin = logits[:, 1] - logits[:, 0]
    cross_entropy = F.binary_cross_entropy_with_logits(margin, truth, known)
    p = torch.sigmoid(margin) * known
    overlap = (p * truth).sum((1, 2))
    dice = 1 - 2 * overlap / (p.square().sum((1, 2)) + truth.sum((1, 2)) + 1e-6)
    return cross_entropy + dice.mean()


def train(model: HMNet, data: CachedFeatures, config: TrainConfig, *, progress=True) -> History:
    """Train a model in place.

    Args:
        model: on the device to train on.
        data: cached training episodes.
        config: budget and optimiser.
        progress: show a bar with loss and IoU.

    Raises:
        ValueError: fewer episodes than a batch.
        FloatingPointError: the loss is NaN or infinite; the model keeps its last finite weights.
    """
    from tqdm.auto import tqdm

    if len(data) < config.batch:
        raise ValueError(
            f"{len(data)} training episodes and a batch of {config.batch}: give more episodes or "
            "a smaller batch"
        )
    device = next(p for p in model.parameters() if p.requires_grad).device
    optimiser = torch.optim.AdamW(_groups(model, config), lr=config.learning_rate)
    generator = torch.Generator().manual_seed(config.seed)
    history, order = History(), []
    model.train()
    start = time.perf_counter()
    # a bar of seconds counts time, a bar of steps counts steps
    unit, total = ("steps", config.steps) if config.steps else ("s", round(config.seconds))
    layout = "{desc}: {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} {unit}{postfix}"
    with tqdm(
        total=total, unit=unit, bar_format=layout, disable=not progress, desc="training"
    ) as bar:
        while (done := _done(config, history)) < 1:
            for group in optimiser.param_groups:
                group["lr"] = config.learning_rate * _schedule(done)
            if len(order) < config.batch:
                order = torch.randperm(len(data), generator=generator).tolist()
            picked, order = order[: config.batch], order[config.batch :]
            batch = _flip(data.batch(picked, device), generator)

            logits = model.segment(batch.query, batch.support, batch.support_masks)
            loss = segmentation_loss(logits, batch.query_masks)
            if not torch.isfinite(loss):
                raise FloatingPointError(
                    f"the loss is {loss.item()} at step {history.steps}; lower learning_rate "
                    f"({config.learning_rate}) or look for broken episodes among {picked}"
                )
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()

            history.loss.append(loss.item())
            history.iou.append(_batch_iou(logits, batch.query_masks))
            history.seconds.append(time.perf_counter() - start)
            recent = slice(-50, None)
            bar.set_postfix_str(
                f"loss {_mean(history.loss[recent]):.3f}, IoU {_mean(history.iou[recent]):.3f}",
                refresh=False,
            )
            bar.update(
                (history.steps if config.steps else min(total, int(history.seconds[-1]))) - bar.n
            )
    model.eval()
    return history


def _groups(model: HMNet, config: TrainConfig) -> list[dict]:
    trained = [(n, p) for n, p in model.named_parameters() if p.requires_grad]
    plain = [p for n, p in trained if p.ndim < 2 or n.endswith(("A_log", ".D", "delta_bias"))]
    ids = {id(p) for p in plain}
    decayed = [p for _, p in trained if id(p) not in ids]
    return [
        {"params": decayed, "weight_decay": config.weight_decay},
        {"params": plain, "weight_decay": 0.0},
    ]


def _done(config: TrainConfig, history: History) -> float:
    """The part of the budget that is spent, in [0, 1]."""
    if config.steps:
        return history.steps / config.steps
    return history.seconds[-1] / config.seconds if history.seconds else 0.0


def _schedule(done: float) -> float:
    """Linear warm-up over the first 5 %, then a half cosine down to zero."""
    return min(done / 0.05 + 0.02, 1.0) * 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))


def _flip(batch: Batch, generator: torch.Generator) -> Batch:
    """Mirror queries and supports left to right, each by its own coin."""
    q, s = (torch.rand(2, len(batch.query_masks), generator=generator) < 0.5).tolist()

    def mirror(x: Tensor, coins: list[bool]) -> Tensor:
        return torch.stack([v.flip(-1) if coin else v for v, coin in zip(x, coins, strict=True)])

    return Batch(
        type(batch.query)(*(mirror(x, q) for x in batch.query)),
        mirror(batch.support, s),
        mirror(batch.support_masks, s),
        mirror(batch.query_masks, q),
    )


def _batch_iou(logits: Tensor, masks: Tensor) -> float:
    """Foreground IoU over a batch, at the logits' resolution (for the progress bar)."""
    small = masks[:, :: masks.shape[1] // logits.shape[2], :: masks.shape[2] // logits.shape[3]]
    found, truth = (logits[:, 1] > logits[:, 0]) & (small != 255), small == 1
    union = (found | truth).sum().item()
    return (found & truth).sum().item() / union if union else 1.0


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)

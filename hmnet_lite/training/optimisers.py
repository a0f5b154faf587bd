"""Optimisers by parameter group, and a moving average of the weights."""

from __future__ import annotations

import torch
from torch import nn
from torch.optim import SGD, AdamW, Optimizer

from hmnet_lite.mamba.mixer import MambaMixer
from hmnet_lite.training.config import TrainConfig

_PLAIN = ("A_log", ".D", "delta_bias")  # never decayed, whatever their shape


def make_optimisers(model: nn.Module, config: TrainConfig) -> list[Optimizer]:
    """The optimisers a config asks for, over everything that wants a gradient.

    Each group keeps its height as `top_rate`; the schedule multiplies that.

    Raises:
        ValueError: nothing is to be trained, or "published" with no Mamba block.
    """
    trained = {n: p for n, p in model.named_parameters() if p.requires_grad}
    if not trained:
        raise ValueError(
            f"no parameter of {type(model).__name__} wants a gradient; unfreeze what is to be "
            "trained with requires_grad_()"
        )
    # one kernel for all parameters, not a Python loop over them
    kinds = {p.device.type for p in trained.values()}
    fused = {"fused": True} if kinds <= {"cuda", "cpu"} else {}
    if config.optimiser == "adamw":
        optimisers = [AdamW(_groups(trained, config), lr=config.learning_rate, **fused)]
    elif config.optimiser == "sgd":
        optimisers = [SGD(_groups(trained, config), lr=config.sgd_learning_rate,
                          momentum=config.momentum, **fused)]  # fmt: skip
    else:
        mamba = _inside(model, MambaMixer)
        if not mamba & trained.keys():
            raise ValueError(
                "optimiser='published' trains Mamba blocks and the rest apart, and this network "
                "has no block to train; use optimiser='adamw'"
            )
        blocks = {n: p for n, p in trained.items() if n in mamba}
        rest = {n: p for n, p in trained.items() if n not in mamba}
        optimisers = [AdamW(_groups(blocks, config), lr=config.learning_rate, **fused)]
        if rest:
            optimisers.append(
                SGD(_groups(rest, config), lr=config.sgd_learning_rate,
                    momentum=config.momentum, **fused)
            )  # fmt: skip
    for optimiser in optimisers:
        for group in optimiser.param_groups:
            group["top_rate"] = group["lr"]
    return optimisers


def set_rate(optimisers: list[Optimizer], height: float) -> None:
    """Give every group `height` of its own top rate."""
    for optimiser in optimisers:
        for group in optimiser.param_groups:
            group["lr"] = group["top_rate"] * height


def _groups(named: dict[str, nn.Parameter], config: TrainConfig) -> list[dict]:
    plain = [p for n, p in named.items() if p.ndim < 2 or n.endswith(_PLAIN)]
    decayed = [p for n, p in named.items() if not (p.ndim < 2 or n.endswith(_PLAIN))]
    groups = [
        {"params": decayed, "weight_decay": config.weight_decay},
        {"params": plain, "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]


def _inside(model: nn.Module, kind: type[nn.Module]) -> set[str]:
    """Names of the parameters inside modules of a kind."""
    return {
        f"{name}.{leaf}" if name else leaf
        for name, module in model.named_modules()
        if isinstance(module, kind)
        for leaf, _ in module.named_parameters()
    }


class MovingAverage:
    """Exponential moving average of the trained weights (Polyak's, with a decay that warms up).

    Args:
        model: whose parameters that want a gradient are followed.
        decay: of the average; step n uses min(decay, (1 + n) / (10 + n)).
    """

    def __init__(self, model: nn.Module, decay: float):
        self.decay = decay
        named = [(n, p) for n, p in model.named_parameters() if p.requires_grad]
        self.names = [n for n, _ in named]
        self.followed = [p for _, p in named]
        self.average = [p.detach().clone() for p in self.followed]

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the weights after step `step`, counted from 1."""
        decay = min(self.decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(self.average, self.followed, 1 - decay)

    @torch.no_grad()
    def swap(self) -> None:
        """Put the average into the model and the model's weights here; twice is nothing."""
        for mine, theirs in zip(self.average, self.followed, strict=True):
            kept = theirs.clone()
            theirs.copy_(mine)
            mine.copy_(kept)

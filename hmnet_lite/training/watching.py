"""What people see of a training run: steps, the bar, TensorBoard, a batch in pieces."""

from __future__ import annotations

import os
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from hmnet_lite.training.config import TrainConfig


@dataclass(frozen=True)
class Step:
    """What callbacks get after a step.

    Attributes:
        number: of the step, from 1.
        done: share of the budget that is spent.
        loss, metrics: the step's numbers.
        model: the network, with the weights of the moment.
    """

    number: int
    done: float
    loss: float
    metrics: dict[str, float]
    model: nn.Module


def progress_bar(config: TrainConfig, start: int, shown: bool):
    """tqdm's, over steps or over seconds, with the time that is left.

    Args:
        config: whose budget is counted.
        start: steps already made.
        shown: or hidden.
    """
    from tqdm.auto import tqdm

    unit, total = ("steps", config.steps)
    if config.steps is None:
        unit, total, start = "s", max(round(60 * config.minutes), 1), 0
    layout = "{desc}: {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} {unit}, {remaining} left"
    return tqdm(total=total, initial=start, unit=unit, bar_format=layout + "{postfix}",
                disable=not shown, desc="training")  # fmt: skip


def log_writer(folder: str | os.PathLike[str] | None):
    """TensorBoard's writer into a folder; None: a context that gives None.

    Raises:
        ImportError: TensorBoard is not installed (said with the mend).
    """
    if folder is None:
        return nullcontext()
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise ImportError(
            "TensorBoard's logs need tensorboard; pip install 'hmnet-lite[training]'"
        ) from error
    return SummaryWriter(str(folder))


def flat(value: Any, name: str = "batch") -> dict[str, Tensor]:
    """Every tensor of a batch, by where it is in it."""
    if isinstance(value, Tensor):
        return {name: value}
    if isinstance(value, dict):
        items = value.items()
    elif hasattr(value, "_asdict"):
        items = value._asdict().items()
    elif hasattr(value, "__dict__"):
        items = vars(value).items()
    elif isinstance(value, list | tuple):
        items = enumerate(value)
    else:
        return {}
    return {n: x for key, v in items for n, x in flat(v, f"{name}.{key}").items()}

"""The part of training that knows of devices, processes and workers."""

from __future__ import annotations

import signal
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from hmnet_lite.training.config import TrainConfig
from hmnet_lite.training.losses import Loss
from hmnet_lite.training.sources import Source


def make_accelerator(model: nn.Module, config: TrainConfig):
    """accelerate's `Accelerator` for the device that the model is on.

    Raises:
        ImportError: accelerate is not installed.
        ValueError: fp16 without a GPU.
    """
    try:
        from accelerate import Accelerator, DistributedDataParallelKwargs
        from accelerate.state import AcceleratorState, PartialState
    except ImportError as error:
        raise ImportError(
            f"training needs {error.name}; install it with pip install 'hmnet-lite[training]'"
        ) from error
    device = next(p for p in model.parameters() if p.requires_grad).device
    if config.precision == "fp16" and device.type == "cpu":
        raise ValueError(
            "precision='fp16' needs a GPU and the model is on the CPU; use 'bf16' or 'no'"
        )
    # accelerate remembers the first precision and device of a process; each run chooses anew
    alone = not PartialState._shared_state or PartialState().num_processes == 1
    AcceleratorState._reset_state(reset_partial_state=alone)
    # the last block's support half has no way to the loss
    handlers = [DistributedDataParallelKwargs(find_unused_parameters=True)]
    return Accelerator(cpu=device.type == "cpu", mixed_precision=config.precision,
                       kwargs_handlers=handlers)  # fmt: skip


class _Summed(torch.autograd.Function):
    """Sum over processes; so is its gradient."""

    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        total = x.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:
        total = gradient.clone()
        dist.all_reduce(total)
        return total


class SharedBatchNorm(nn.BatchNorm2d):
    """Batch norm by the statistics of all processes' batches together.

    torch's own for this works on GPUs alone.
    """

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        axes, count = (0, 2, 3), x.numel() // x.shape[1] * dist.get_world_size()
        mean = _Summed.apply(x.float().sum(axes)) / count
        apart = x.float() - mean[:, None, None]
        variance = _Summed.apply(apart.square().sum(axes)) / count
        with torch.no_grad():
            self.num_batches_tracked.add_(1)
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * count / max(count - 1, 1), self.momentum)
        apart = apart * (variance + self.eps).rsqrt()[:, None, None]
        return (apart * self.weight[:, None, None] + self.bias[:, None, None]).to(x.dtype)


def share_batch_norms(model: nn.Module) -> None:
    """Turn the batch norms that are trained into shared ones, in place; names stay."""
    for module in model.modules():
        trained = any(p.requires_grad for p in module.parameters(recurse=False))
        if type(module) is nn.BatchNorm2d and trained and module.momentum is not None:
            module.__class__ = SharedBatchNorm


class Batches:
    """This process's share of every batch, by step; prepared ahead where there are workers.

    Episode numbers run on: step s holds numbers s·batch … (s + 1)·batch - 1, and processes share
    them out, so any number of processes learns from the same batches.
    """

    def __init__(self, source: Source, config: TrainConfig, accelerator: Any):
        self.source, self.config = source, config
        self.rank, self.count = accelerator.process_index, accelerator.num_processes
        self.device = accelerator.device
        self._ahead: Any = None
        self._next = -1

    def get(self, step: int) -> Any:
        """The share of step `step`, on the device."""
        if not self.config.workers:
            return self.source.batch(self._numbers(step), self.config.seed, self.device)
        if self._next != step:
            self._ahead = iter(self._loader(step))
        self._next = step + 1
        return to_device(next(self._ahead), self.device)

    def close(self) -> None:
        """End the workers."""
        self._ahead = None

    def __len__(self) -> int:
        return 2**62

    def __getitem__(self, step: int) -> Any:
        return self.source.batch(self._numbers(step), self.config.seed, "cpu")

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_ahead": None, "device": None}

    def _numbers(self, step: int) -> range:
        return range(
            step * self.config.batch + self.rank, (step + 1) * self.config.batch, self.count
        )

    def _loader(self, step: int):
        from torch.utils.data import DataLoader

        last = self.config.steps or 2**62
        return DataLoader(
            self, batch_size=None, sampler=range(step, last), num_workers=self.config.workers,
            worker_init_fn=_start_worker, generator=torch.Generator(),  # not the network's
            pin_memory=self.device.type == "cuda",
            multiprocessing_context="spawn" if self.device.type == "cuda" else None,
        )  # fmt: skip


def to_device(value: Any, device: torch.device) -> Any:
    """A batch, however nested, with its tensors on a device."""
    if isinstance(value, torch.Tensor):
        return value.to(device, non_blocking=True)
    if hasattr(value, "_asdict"):
        return type(value)(*(to_device(x, device) for x in value))
    if hasattr(value, "__dataclass_fields__"):
        moved = {n: to_device(getattr(value, n), device) for n in value.__dataclass_fields__}
        return type(value)(**moved)
    if isinstance(value, dict):
        return {name: to_device(x, device) for name, x in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(to_device(x, device) for x in value)
    return value


def _start_worker(_: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that trains
    torch.set_num_threads(1)


class Objective(nn.Module):
    """Model and loss as one module: what several processes synchronise is its forward."""

    def __init__(self, model: nn.Module, loss: Loss):
        super().__init__()
        self.model, self.loss = model, loss

    def forward(self, batch: Any) -> tuple[Tensor, dict[str, Tensor]]:
        return self.loss(self.model, batch)

"""What happened in a run, one entry a step."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass
class History:
    """Numbers of every step, on the host.

    Attributes:
        loss: of the step's batch.
        seconds: since training began. The first step is not counted: it compiles.
        metrics: what the loss function told beside the loss, by name.
        refused: steps whose gradient was not finite and changed nothing.
    """

    loss: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    metrics: dict[str, list[float]] = field(default_factory=dict)
    refused: list[int] = field(default_factory=list)

    @property
    def steps(self) -> int:
        """How many steps there were."""
        return len(self.loss)

    @property
    def iou(self) -> list[float]:
        """Foreground IoU of each step's batch."""
        return self.metrics.get("iou", [])

    def add(self, loss: float, seconds: float, metrics: dict[str, float]) -> None:
        """One step more."""
        self.loss.append(loss)
        self.seconds.append(seconds)
        for name, value in metrics.items():
            self.metrics.setdefault(name, []).append(value)

    def recent(self, count: int = 50) -> dict[str, float]:
        """Means of loss and metrics over the last steps."""
        rows = {"loss": self.loss, **self.metrics}
        return {name: sum(v[-count:]) / len(v[-count:]) for name, v in rows.items() if v}

    def tensors(self) -> dict[str, Tensor]:
        """For a checkpoint; float64, which loses nothing."""
        rows = {"loss": self.loss, "seconds": self.seconds}
        rows |= {f"metric.{name}": values for name, values in self.metrics.items()}
        kept = {name: torch.tensor(values, dtype=torch.float64) for name, values in rows.items()}
        return kept | {"refused": torch.tensor(self.refused, dtype=torch.int64)}

    @classmethod
    def from_tensors(cls, tensors: dict[str, Tensor]) -> History:
        """Inverse of `tensors`."""
        rows = {name: x.tolist() for name, x in tensors.items()}
        metrics = {n.removeprefix("metric."): v for n, v in rows.items() if n.startswith("metric.")}
        return cls(rows["loss"], rows["seconds"], metrics, rows["refused"])

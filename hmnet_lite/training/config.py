"""How to train, as one frozen record."""

from __future__ import annotations

import dataclasses
import math
import operator
from dataclasses import dataclass
from typing import Any

SCHEDULES = ("cosine", "poly", "constant")
PRECISIONS = ("no", "bf16", "fp16")
OPTIMISERS = ("adamw", "sgd", "published")
MOST = 10**9  # steps, and what is counted in them: more is a slip of the keyboard
STEPS = 2500  # the budget where none is given
#: fields that say how a run is kept and watched; another value gives the same weights
_WATCHING = ("checkpoint_every", "keep", "workers")


@dataclass(frozen=True)
class TrainConfig:
    """How to train. The same config, data and machine give the same weights, bit for bit on a CPU.

    Attributes:
        steps, minutes: the budget, one of the two; 2,500 steps where neither is given. Steps are
            reproducible; minutes are wall clock and count training alone.
        batch: episodes a step, those of all processes together.
        seed: decides the order of the data, flips and dropout (not the weights a model begins
            with).
        optimiser: "adamw" or "sgd" for everything, or "published": AdamW on the Mamba blocks and
            SGD on the rest, as HMNet's authors did (paper, App. B).
        learning_rate: AdamW's.
        weight_decay: AdamW's and SGD's, as a share (none on norms, biases, A_log and D).
        sgd_learning_rate, momentum: SGD's, where it is used.
        schedule: "cosine" down to zero, "poly", (1 - done)^0.9, or "constant".
        warm_up: share of the budget in which the rate climbs linearly to its height.
        clip: largest norm of the gradient; longer ones are cut.
        precision: "no" (float32), "bf16" or "fp16" (a GPU's alone); weights stay float32.
        ema: decay of a moving average of the weights, which is then what training leaves; None: no
            average.
        patience: gradients that are not finite are refused, and this many in a row end training.
        checkpoint_every: steps between two checkpoints.
        keep: how many of the newest checkpoints stay (the best one stays as well).
        workers: processes that prepare batches ahead; 0 prepares them in between.

    Raises:
        TypeError, ValueError: a field that is not as above; field, given and expected are named.
    """

    steps: int | None = None
    minutes: float | None = None
    batch: int = 8
    seed: int = 0
    optimiser: str = "adamw"
    learning_rate: float = 3e-3
    weight_decay: float = 0.01
    sgd_learning_rate: float = 5e-3
    momentum: float = 0.9
    schedule: str = "cosine"
    warm_up: float = 0.05
    clip: float = 1.0
    precision: str = "no"
    ema: float | None = 0.999
    patience: int = 20
    checkpoint_every: int = 500
    keep: int = 2
    workers: int = 0

    def __post_init__(self) -> None:
        if self.steps is not None and self.minutes is not None:
            raise ValueError(
                f"steps={self.steps}, minutes={self.minutes}: give one of the two budgets"
            )
        if self.minutes is None:
            object.__setattr__(self, "steps", STEPS if self.steps is None else self.steps)
            self._integer("steps", 1, MOST)
        else:
            self._number("minutes", above=0, below=1e7)
        for name, least, most in (
            ("batch", 1, 65_536), ("seed", 0, 2**63 - 1), ("patience", 1, MOST),
            ("checkpoint_every", 1, MOST), ("keep", 1, MOST), ("workers", 0, 1_024),
        ):  # fmt: skip
            self._integer(name, least, most)
        for name in ("learning_rate", "sgd_learning_rate"):
            self._number(name, above=0, below=1e3)
        self._number("clip", above=0)
        self._number("weight_decay", least=0, below=1e3)
        for name in ("momentum", "warm_up"):
            self._number(name, least=0, below=1)
        if self.ema is not None:
            self._number("ema", least=0, below=1)
        for name, known in (
            ("schedule", SCHEDULES), ("precision", PRECISIONS), ("optimiser", OPTIMISERS)
        ):  # fmt: skip
            if getattr(self, name) not in known:
                raise ValueError(
                    f"{name} is {getattr(self, name)!r}; expected one of {', '.join(known)}"
                )

    def to_dict(self) -> dict[str, Any]:
        """Every field by name, ready for JSON."""
        return dataclasses.asdict(self)

    def deciding(self) -> dict[str, Any]:
        """The fields that decide the weights: a run can only be resumed with the same ones."""
        return {name: v for name, v in self.to_dict().items() if name not in _WATCHING}

    def rate(self, done: float) -> float:
        """Height of the schedule, in [0, 1], when the share `done` of the budget is spent."""
        done = min(max(done, 0.0), 1.0)
        climb = min(done / self.warm_up + 0.02, 1.0) if self.warm_up else 1.0
        if self.schedule == "constant":
            return climb
        if self.schedule == "poly":
            return climb * (1 - done) ** 0.9
        return climb * 0.5 * (1 + math.cos(math.pi * done))

    def _integer(self, name: str, least: int, most: int) -> None:
        value = getattr(self, name)
        try:
            if isinstance(value, bool):
                raise TypeError
            number = operator.index(value)
        except TypeError:
            raise TypeError(f"{name} is {value!r}; expected an integer") from None
        if not least <= number <= most:
            limit = f"at least {least}" if number < least else f"at most {most:,}"
            raise ValueError(f"{name} is {number}; expected {limit}")
        object.__setattr__(self, name, number)

    def _number(self, name: str, *, least=None, above=None, below=None) -> None:
        value = getattr(self, name)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise TypeError(f"{name} is {value!r}; expected a number")
        wrong = (
            not math.isfinite(value)
            or (least is not None and value < least)
            or (above is not None and value <= above)
            or (below is not None and value >= below)
        )
        if wrong:
            limits = [f"at least {least}" if least is not None else f"more than {above}"]
            limits += [f"less than {below:,g}"] if below is not None else []
            raise ValueError(f"{name} is {value}; expected a number, {' and '.join(limits)}")

"""How long a training step of each arm takes, so that rivals can be given equal time.

Steps are interleaved, arm by arm, and the least of each is kept: a machine that does other things
makes a step longer, never shorter. The ratios are what is meant to be read.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import replace

from hmnet_lite.experiments.arms import EQUAL_TIME, Arm
from hmnet_lite.training.recipes import build
from hmnet_lite.training.sources import Source
from hmnet_lite.training.trainer import Trainer

#: the arms whose times are kept: those that share time, and whose time texts speak of
KEPT = (
    "state-both", "shortcuts-both", *EQUAL_TIME,
    "state-recap-4-support-1", "state-recap-8-support-2", "state-recap-8-support-1",
)  # fmt: skip


def step_times(arms: Iterable[Arm], source: Source, *, steps: int = 40) -> dict[str, float]:
    """Seconds of one training step of each arm, on this machine, with this process's threads.

    Args:
        arms: whose networks are built and trained for a few steps, all on the same batches.
        source: what they learn from.
        steps: of each arm; the first of them are never the least.

    Returns:
        arm's name to seconds.
    """
    trainers = {}
    for arm in arms:
        config = replace(arm.train, steps=1)
        trainers[arm.name] = Trainer(build(arm.config, 0), source, config, progress=False)
    seconds: dict[str, list[float]] = {name: [] for name in trainers}
    for _ in range(steps):
        for name, trainer in trainers.items():
            began = time.perf_counter()
            trainer.fit()
            seconds[name].append(time.perf_counter() - began)
    return {name: min(taken) for name, taken in seconds.items()}

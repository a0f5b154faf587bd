"""What a run left behind, read back; differences over seeds with their interval.

One file a run, figures/experiments/ARM-foldF-seedS.json. Each episode's counts are kept for the
network's own support and for a wrong one at the mixer's input, so that differences are paired.
"""

from __future__ import annotations

import json
import os
import statistics
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hmnet_lite.data.emoji.protocol import GAPS
from hmnet_lite.experiments.arms import ARMS, Arm
from hmnet_lite.scoring.intervals import Difference, paired_difference
from hmnet_lite.scoring.metrics import Scores
from hmnet_lite.scoring.packing import unpack_scores

FOLDER = Path(__file__).resolve().parents[2] / "figures" / "experiments"
COUNTED = ("right", "wrong")  # of which each episode's counts are kept
#: what the mixer was shown, as tables call it
SHOWN = {"right": "right support", "wrong": "wrong class", "none": "no support"}


@dataclass(frozen=True)
class Run:
    """One training run of an arm, to be made or made."""

    arm: Arm
    fold: int
    seed: int

    @property
    def name(self) -> str:
        """Of its files."""
        return f"{self.arm.name}-fold{self.fold}-seed{self.seed}"

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Result:
    """What a run scored.

    Attributes:
        run: which it is.
        facts: steps, seconds, trained_parameters, config, protocol, machine and more, as
            `hmnet_lite.experiments.runs.score` gives them.
        scores: (gap, "right" or "wrong") to `Scores` with each episode's counts; a network without
            a mixer has no "wrong", but where it compares what a mixer would put out: then maps and
            state are of the wrong support.
        others: (gap, "none" or "state") to mIoU in [0, 1]: with no support at the mixer's input;
            with a wrong one in its state alone, where a mixed prior is of the right one.
    """

    run: Run
    facts: dict[str, Any]
    scores: dict[tuple[str, str], Scores]
    others: dict[tuple[str, str], float]

    def miou(self, gap: str, shown: str = "right") -> float | None:
        """In [0, 1]; None where it was not tested."""
        scores = self.scores.get((gap, shown))
        return scores.miou if scores else self.others.get((gap, shown))


def runs_of(arms: Iterable[Arm]) -> list[Run]:
    """All runs of some arms, first seeds of all of them first: a suite that is cut off says more.

    An arm that is named twice runs once.
    """
    arms = list({arm.name: arm for arm in arms}.values())
    runs = [Run(arm, fold, seed) for arm in arms for fold in arm.folds for seed in arm.seeds]
    return sorted(runs, key=lambda run: (run.seed, run.fold))


def path_of(run: Run, folder: str | os.PathLike[str] = FOLDER) -> Path:
    """Where a run's result lies."""
    return Path(folder) / f"{run.name}.json"


def read(path: str | os.PathLike[str]) -> Result:
    """One result.

    Raises:
        OSError: there is no such file.
        ValueError: it is not a result, or of an arm that is no longer there.
    """
    try:
        facts = json.loads(Path(path).read_text(encoding="utf-8"))
        gaps = facts.pop("gaps")
        run = Run(ARMS[facts["arm"]], facts["fold"], facts["seed"])
        mious = {(gap, shown): x for gap, found in gaps.items() for shown, x in found.items()}
        tests = [key for key in mious if key[1] in COUNTED]
        scores = dict(zip(tests, unpack_scores(facts.pop("counts"), len(tests)), strict=True))
        others = {key: x for key, x in mious.items() if key[1] not in COUNTED}
    except (KeyError, TypeError, ValueError, zlib.error) as error:
        raise ValueError(
            f"{path} is not the result of an arm ({type(error).__name__}: {error}); remove it and "
            "run the arm again"
        ) from error
    return Result(run, facts, scores, others)


def load(folder: str | os.PathLike[str] = FOLDER) -> dict[str, list[Result]]:
    """Arm's name to its results, by fold and seed; arms without a result are left out."""
    found: dict[str, list[Result]] = {}
    for path in sorted(Path(folder).glob("*-fold*-seed*.json")):
        result = read(path)
        found.setdefault(result.run.arm.name, []).append(result)
    for results in found.values():
        results.sort(key=lambda result: (result.run.fold, result.run.seed))
    return found


def missing(arms: Iterable[Arm], folder: str | os.PathLike[str] = FOLDER) -> list[Run]:
    """The runs of some arms that have no result yet."""
    return [run for run in runs_of(arms) if not path_of(run, folder).exists()]


def mean(results: Iterable[Result], gap: str, shown: str = "right") -> float | None:
    """mIoU over runs, in [0, 1]; None where none was tested so."""
    values = [m for result in results if (m := result.miou(gap, shown)) is not None]
    return statistics.fmean(values) if values else None


def difference(
    ours: Iterable[Result], theirs: Iterable[Result], gap: str, *, fold: int = 0
) -> Difference | None:
    """mIoU of one arm minus another's on one fold, paired by seed and episode.

    None where they share no seed.
    """
    pairs = [
        {r.run.seed: r.scores[gap, "right"] for r in results
         if r.run.fold == fold and (gap, "right") in r.scores}
        for results in (ours, theirs)
    ]  # fmt: skip
    shared = sorted(pairs[0].keys() & pairs[1].keys())
    if not shared:
        return None
    return paired_difference(*([scores[seed] for seed in shared] for scores in pairs))


def support_use(results: Iterable[Result], gap: str, *, fold: int = 0) -> Difference | None:
    """mIoU with the right support minus that with a wrong one at the mixer's input.

    Near 0, what the mixer computes from the support is not used. None where not tested.
    """
    tested = [r for r in results if r.run.fold == fold and (gap, "wrong") in r.scores]
    if not tested:
        return None
    return paired_difference(
        *([r.scores[gap, shown] for r in tested] for shown in ("right", "wrong"))
    )


def gaps_of(results: Mapping[str, Iterable[Result]]) -> list[str]:
    """The gaps that were tested, from narrow to wide."""
    seen = {gap for each in results.values() for result in each for gap, _ in result.scores}
    return [gap for gap in GAPS if gap in seen]

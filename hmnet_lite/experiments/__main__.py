"""python -m hmnet_lite.experiments: train and score what is not done yet, run by run.

python -m hmnet_lite.experiments --list
python -m hmnet_lite.experiments --only listening-state --workers 2
python -m hmnet_lite.experiments --trained checkpoints/mine.safetensors
python -m hmnet_lite.experiments --times

Stop it when you like: the same command goes on where it was.
"""

from __future__ import annotations

import argparse
import gc
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import torch

from hmnet_lite.data.emoji.protocol import GAPS
from hmnet_lite.experiments.arms import ARMS, Arm
from hmnet_lite.experiments.results import FOLDER, Run, missing, path_of
from hmnet_lite.experiments.runs import (
    CHECKPOINTS,
    TEST,
    before_of,
    checkpoint_of,
    found,
    identify,
    make,
    make_from,
    source_of,
    trained,
)
from hmnet_lite.experiments.suite import EXPERIMENTS, find
from hmnet_lite.experiments.times import KEPT, step_times
from hmnet_lite.files import write_json
from hmnet_lite.machine import made_on
from hmnet_lite.models.features import CachedFeatures


def main(words: Sequence[str] | None = None) -> int:
    """Run it; returns the exit status: 0, 1 where a run failed, 2 for a wrong question, 130."""
    asked = _parser().parse_args(words)
    try:
        if asked.trained:
            return _score_trained(asked)
        arms = [arm for name in asked.only for arm in find(name)] or list(ARMS.values())
        if asked.times:
            return _time(arms if asked.only else [ARMS[name] for name in KEPT], asked)
        if asked.list:
            print(listing(asked.only or list(EXPERIMENTS), asked.results))
            return 0
        todo = missing(arms, asked.results)
        for name in ("seed", "fold"):
            if (wanted := getattr(asked, f"{name}s")) is not None:
                todo = [run for run in todo if getattr(run, name) in wanted]
        return _make_all(todo, asked)
    except (OSError, ValueError) as error:
        print(f"experiments: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as stopped:
        print(f"experiments: {stopped or 'stopped'}; the same command goes on", file=sys.stderr)
        return 130


def listing(names: Sequence[str], results: Path) -> str:
    """Experiments that are named or show a named arm: of each arm, how many runs are done."""
    lines = []
    for experiment in EXPERIMENTS.values():
        if not {experiment.name, *experiment.arms.values()} & set(names):
            continue
        lines.append(f"{experiment.name}: {experiment.question}")
        for label, name in experiment.arms.items():
            arm = ARMS[name]
            of = len(arm.seeds) * len(arm.folds)
            done = of - len(missing([arm], results))
            lines.append(f"  {name:<28} {done:>2} of {of:>2} runs  {label}")
    return "\n".join(lines)


def _make_all(todo: Sequence[Run], asked: argparse.Namespace) -> int:
    """Make runs; those that go on from others' networks after those, which are trained if need be.

    Their results may be there and the networks not: results are kept in git, networks are not.
    """
    print(f"{len(todo)} runs to make" + (f", {asked.workers} at a time" if todo else ""))
    _prepare(todo, asked.checkpoints)
    one = partial(make, results=asked.results, checkpoints=asked.checkpoints)
    late = [run for run in todo if run.arm.after]
    failed = _each(one, [run for run in todo if not run.arm.after], asked.workers)
    before = dict.fromkeys(before_of(run) for run in late)
    lost = [run for run in before if not found(run, asked.checkpoints)]
    failed += _each(partial(trained, checkpoints=asked.checkpoints), lost, asked.workers)
    return int(failed + _each(one, late, asked.workers) > 0)


def _each(work: Callable[..., Path], runs: Sequence[Run], workers: int) -> int:
    """Do it for every run, several at a time, and say how each ended; how many failed."""
    if workers == 1:
        return sum(_told(run, partial(work, run)) for run in runs)
    threads = max(1, torch.get_num_threads() // workers)
    pool = ProcessPoolExecutor(workers, get_context("spawn"), torch.set_num_threads, (threads,))
    with pool:
        futures = {pool.submit(work, run, progress=False): run for run in runs}
        return sum(_told(futures[done], done.result) for done in as_completed(futures))


def _prepare(todo: Sequence[Run], checkpoints: Path) -> None:
    """Draw and encode once, here, what all workers then read from disk."""
    untrained = [run for run in todo if not checkpoint_of(run, checkpoints).exists()]
    for run in {(run.fold, run.arm.episodes, run.arm.fixed): run for run in untrained}.values():
        source_of(run)
        gc.collect()  # it is large
    for fold in sorted({run.fold for run in todo}):
        for gap in GAPS:
            CachedFeatures(replace(TEST, fold=fold, gap=gap).build())


def _told(run: Run, result) -> bool:
    """Say how a run ended; whether it failed. One that fails does not stop the others."""
    try:
        print(f"{run}: {result()}", flush=True)
        return False
    except (ArithmeticError, OSError, RuntimeError, ValueError) as error:
        print(f"{run}: failed: {error}", file=sys.stderr, flush=True)
        return True


def _time(arms: Sequence[Arm], asked: argparse.Namespace) -> int:
    seconds = step_times(arms, source_of(Run(arms[0], arms[0].folds[0], 0)))
    for name, taken in seconds.items():
        print(f"{name}: {1000 * taken:.0f} ms, {taken / seconds[arms[0].name]:.2f} of the first")
    if not asked.only:  # else the file would lose the others
        facts = {"threads": torch.get_num_threads(), "made": made_on()}
        print(write_json(asked.results / "step_times.json", {"seconds": seconds} | facts))
    return 0


def _score_trained(asked: argparse.Namespace) -> int:
    for checkpoint in asked.trained:
        run = identify(checkpoint)
        path = path_of(run, asked.results)
        if path.exists():
            print(f"{run}: {path} is there already")
            continue
        print(f"{run}: {make_from(run, checkpoint, asked.results)}", flush=True)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m hmnet_lite.experiments", description=__doc__.split("\n")[0]
    )
    add = parser.add_argument
    add("--only", nargs="+", default=[], metavar="NAME", help="experiments or arms; all by default")
    add("--seeds", nargs="+", type=int, help="of these training seeds only")
    add("--folds", nargs="+", type=int, help="of these folds only")
    add("--workers", type=_at_least_one, default=1, metavar="N", help="runs at a time")
    add("--list", action="store_true", help="show the experiments, their arms and what is done")
    add("--times", action="store_true", help="time a training step of each arm, side by side")
    add("--trained", nargs="+", type=Path, metavar="FILE",
        help="score networks that were trained elsewhere in the way of an arm")  # fmt: skip
    add("--results", type=Path, default=FOLDER, metavar="FOLDER", help="of the files of numbers")
    add("--checkpoints", type=Path, default=CHECKPOINTS, metavar="FOLDER", help="of the networks")
    return parser


def _at_least_one(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number}; expected at least 1")
    return number


if __name__ == "__main__":
    sys.exit(main())

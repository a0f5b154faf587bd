"""From a run to its file: train what is not trained, score it, write what it scored."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from hmnet_lite.data.emoji.protocol import GAPS, Protocol
from hmnet_lite.experiments.arms import ARMS
from hmnet_lite.experiments.results import COUNTED, FOLDER, Run, path_of
from hmnet_lite.files import write_json
from hmnet_lite.machine import commit, made_on
from hmnet_lite.models.features import CachedFeatures
from hmnet_lite.scoring.evaluate import evaluate
from hmnet_lite.scoring.gaps import SHOWN, misled_predictor
from hmnet_lite.scoring.packing import pack_scores
from hmnet_lite.scoring.predict import model_predictor
from hmnet_lite.training import recipes, zoo
from hmnet_lite.training.sources import Source

#: how every run is tested; fold and gap are the run's
TEST = Protocol(episodes=300, seed=321)
CHECKPOINTS = Path("checkpoints") / "experiments"


def checkpoint_of(run: Run, folder: str | os.PathLike[str] = CHECKPOINTS) -> Path:
    """Where a run's network lies."""
    return Path(folder) / f"{run.name}{zoo.SUFFIX}"


def make(
    run: Run,
    *,
    results: str | os.PathLike[str] = FOLDER,
    checkpoints: str | os.PathLike[str] = CHECKPOINTS,
    progress: bool = True,
) -> Path:
    """Train a run, or go on with it, score it, and write its file; what is there is kept.

    Args:
        run: an arm, a fold, a seed.
        results: folder of the files of numbers.
        checkpoints: folder of the networks; a run that was cut off goes on from what lies there.
        progress: show bars.

    Returns:
        the path of the file.

    Raises:
        OSError, ValueError: as `hmnet_lite.training.recipes.train` and `score`.
    """
    target = path_of(run, results)
    if target.exists():
        return target
    return make_from(run, trained(run, checkpoints, progress=progress), results, progress=progress)


def trained(
    run: Run, checkpoints: str | os.PathLike[str] = CHECKPOINTS, *, progress: bool = True
) -> Path:
    """The network of a run: it lies there, or it is trained, after the one that it goes on from.

    Raises:
        OSError, ValueError: as `hmnet_lite.training.recipes.train`.
    """
    checkpoint = checkpoint_of(run, checkpoints)
    if checkpoint.exists():
        return checkpoint
    begin = None
    if before := before_of(run):
        begin = found(before, checkpoints) or trained(before, checkpoints, progress=progress)
    return recipes.train(
        run.arm.config, replace(run.arm.train, seed=run.seed), replace(TEST, fold=run.fold),
        checkpoint, episodes=run.arm.episodes, source=source_of(run, progress=progress),
        begin=begin, hide=run.arm.hide, resume=True, progress=progress,
        after=run.arm.after, fixed=run.arm.fixed,
    )  # fmt: skip


def source_of(run: Run, *, progress: bool = True) -> Source:
    """What a run learns from: drawn and encoded once, kept on disk."""
    protocol = replace(TEST, fold=run.fold)
    return recipes.training_source(
        protocol, run.arm.episodes, fixed=run.arm.fixed, progress=progress
    )


def before_of(run: Run) -> Run | None:
    """The run whose network it goes on from; None: it begins from scratch."""
    return None if run.arm.after is None else replace(run, arm=ARMS[run.arm.after])


def found(run: Run, checkpoints: str | os.PathLike[str] = CHECKPOINTS) -> Path | None:
    """A run's network, trained here or shipped; None: it is to be trained."""
    path, shipped = checkpoint_of(run, checkpoints), f"hmnet-{run.name}"
    if path.exists():
        return path
    return zoo.find(shipped) if shipped in zoo.names() else None


def make_from(
    run: Run,
    checkpoint: str | os.PathLike[str],
    results: str | os.PathLike[str] = FOLDER,
    *,
    progress: bool = True,
) -> Path:
    """Score a trained run and write its file; see `make` and `score`."""
    return write_json(path_of(run, results), score(run, checkpoint, progress=progress))


def score(run: Run, checkpoint: str | os.PathLike[str], *, progress: bool = True) -> dict[str, Any]:
    """Test a trained run at every gap, with its own support, a wrong one and none.

    Args:
        run: what the checkpoint is said to be.
        checkpoint: of ours.
        progress: show bars.

    Returns:
        what its file holds: who it is, how it was trained and tested, for each gap the mIoU in
        [0, 1] under what the mixer was shown, and of those in `COUNTED`, in order, the packed
        counts of each episode. "state": what it wrote in its state was of a wrong support, and a
        mixed prior of the right one.

    Raises:
        ValueError: the checkpoint is of another run; the first field that differs is named.
    """
    facts, network = zoo.facts(checkpoint), zoo.load(checkpoint)
    differ = _differences(run, facts, network.config)
    if differ:
        raise ValueError(
            f"{checkpoint} is not {run}: {differ[0]}; move it away, and the run is trained again"
        )
    # without a mixer, nor maps of what it puts out, another support at its input changes nothing
    shown_too = SHOWN if network.config.depth or network.config.matches else ()
    gaps, kept = {}, []
    for gap in GAPS:
        episodes = CachedFeatures(replace(TEST, fold=run.fold, gap=gap).build(), progress=progress)
        asked = {"right": model_predictor(network)}
        for shown in shown_too:
            asked[shown] = misled_predictor(network, episodes, shown)
        if network.config.matches:
            asked["state"] = misled_predictor(network, episodes, "wrong", keep_maps=True)
        scores = evaluate(asked, episodes, progress=progress)
        gaps[gap] = {shown: found.miou for shown, found in scores.items()}
        kept += [found for shown, found in scores.items() if shown in COUNTED]
    protocol = replace(TEST, fold=run.fold).to_dict()
    protocol.pop("gap")
    told = ("steps", "seconds", "trained_parameters", "episodes", "threads")
    return {
        "arm": run.arm.name,
        "fold": run.fold,
        "seed": run.seed,
        **{name: facts.get(name) for name in told},
        "config": network.config.to_dict(),
        "train": facts["train_config"],
        "protocol": protocol,
        "made": {**made_on(), "commit": commit()},
        "gaps": gaps,
        "counts": pack_scores(kept),
    }


def identify(checkpoint: str | os.PathLike[str]) -> Run:
    """The run that a checkpoint is, whoever trained it: by its config, training, fold and seed.

    Raises:
        ValueError: no arm is trained so; the nearest arm's first difference is named.
    """
    facts, config = zoo.facts(checkpoint), zoo.load(checkpoint).config
    nearest: list[str] = []
    for arm in ARMS.values():
        run = Run(arm, facts.get("fold"), facts.get("seed"))
        differ = _differences(run, facts, config)
        if not differ:
            return run
        nearest = differ if not nearest or len(differ) < len(nearest) else nearest
    raise ValueError(
        f"{checkpoint} is the run of no arm; of the nearest, {len(nearest)} fields differ: "
        f"{'; '.join(nearest)}"
    )


def _differences(run: Run, facts: dict[str, Any], config: Any) -> list[str]:
    """How a checkpoint is not the run, field by field; nothing where it is."""
    if "train_config" not in facts:
        return ["it does not say how it was trained"]
    pairs = [
        (replace(run.arm.train, seed=run.seed).deciding(), facts["train_config"]),
        (run.arm.config.to_dict(), config.to_dict()),
        (
            {
                "episodes": run.arm.episodes,
                "fold": run.fold,
                "seed": run.seed,
                "after": run.arm.after,
                "hide": run.arm.hide,
                "fixed": run.arm.fixed,
            },
            {"fixed": False} | facts,  # of the networks that ship, none says
        ),
    ]
    return [
        f"its {name} is {there.get(name)!r}, not {value!r}"
        for expected, there in pairs
        for name, value in expected.items()
        if there.get(name) != value
    ]

"""hmnet compare: train with and without Mamba on the same episodes and budget; test both.

hmnet compare --seeds 0 1 2 --minutes 10 --out figures/emoji_fold0.json
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from tyro.conf import arg

from hmnet_lite.commands import data
from hmnet_lite.commands.evaluate import finish
from hmnet_lite.commands.options import options_of, picked
from hmnet_lite.commands.outputs import check_file, check_folder
from hmnet_lite.commands.train import check_episodes
from hmnet_lite.data.emoji.protocol import GAPS, Protocol
from hmnet_lite.models.lite import HMNetConfig
from hmnet_lite.scoring.gaps import score_gaps
from hmnet_lite.scoring.report import Report
from hmnet_lite.training import recipes, zoo
from hmnet_lite.training.config import TrainConfig

#: what is compared, by the name it has in tables: changes to the config that is asked for
METHODS: dict[str, dict[str, Any]] = {"HMNet-lite": {}, "without Mamba": {"depth": 0}}


@dataclass(kw_only=True)
class Own:
    """What compare has beside the configs' fields."""

    seeds: tuple[int, ...] = (0, 1, 2)
    """Training seeds: weights, order of episodes, flips."""
    training_episodes: int = recipes.EPISODES
    """Drawn and encoded once, the same for all."""
    gaps: tuple[Literal["same", "sibling", "cross", "held_out"], ...] | None = None
    """How differently support and query are drawn; all four unless given."""
    support_use: bool = True
    """Also show each network's mixer a wrong support, and none."""
    checkpoints: Annotated[Path, arg(metavar="FOLDER")] = Path("checkpoints")
    """Where the networks are kept; those already there are not trained again."""
    seed_test: int = 321
    """Seed of the test episodes."""
    out: Annotated[Path | None, arg(metavar="FILE")] = None
    """Write the report here (JSON)."""


@dataclass(kw_only=True)
class Options(
    options_of(HMNetConfig),
    options_of(TrainConfig, leave_out=["seed"]),
    options_of(Protocol, leave_out=["dataset", "gap", "seed"]),
    Own,
):
    """Train with and without Mamba on the same episodes and budget; test both, and the floors."""


def run(options: Options, command: str) -> None:
    """Train what is missing, test everything, write and print the report.

    Raises:
        ValueError, OSError: what was asked for wrongly, before the work; a network in the folder
            of the checkpoints that was made another way.
    """
    config, budget = picked(HMNetConfig, options), picked(TrainConfig, options)
    protocol = picked(Protocol, options, dataset="emoji", seed=options.seed_test)
    data.check_lite_size(protocol.image_size, config)
    check_episodes(options.training_episodes, budget)
    if len(set(options.seeds)) != len(options.seeds) or not options.seeds:
        raise ValueError(f"--seeds {options.seeds}; expected different ones, at least one")
    if options.out:
        check_file(options.out, ".json")
    check_folder(options.checkpoints, option="--checkpoints")
    wanted = {
        (method, seed): (replace(config, **changes), replace(budget, seed=seed))
        for seed in options.seeds
        for method, changes in METHODS.items()
    }
    paths = {key: _path(options, *key) for key in wanted}
    there = [key for key, path in paths.items() if path.exists()]
    fields = {"fold": protocol.fold, "episodes": options.training_episodes}
    for key in there:
        network, how = wanted[key]
        refuse_another(paths[key], {**fields, **how.deciding(), **network.to_dict()})
    classes = protocol.build().classes  # refuses what cannot be tested, before anything is trained
    source = recipes.training_source(protocol, options.training_episodes)
    for key in there:
        refuse_another(paths[key], {"training": source.fingerprint})
    for (method, seed), path in paths.items():
        if not path.exists():
            recipes.train(
                *wanted[method, seed], protocol, path, episodes=options.training_episodes,
                source=source, resume=True, method=method,
            )  # fmt: skip
    report = Report(classes)
    runs = [{"method": m, "seed": s, **zoo.facts(path)} for (m, s), path in paths.items()]
    report.training = {"episodes": options.training_episodes, "runs": runs}
    networks = {key: zoo.load(path) for key, path in paths.items()}
    gaps = options.gaps or GAPS
    score_gaps(report, protocol, gaps, networks, support_use=options.support_use)
    finish(report, options.out, command)
    ours, theirs = METHODS
    for gap in report.gaps:
        print(f"{ours} minus {theirs}, {gap}: {report.difference(ours, theirs, gap)}")


def refuse_another(path: Path, expected: dict[str, Any]) -> None:
    """Refuse to put a network that was made another way into a comparison.

    Raises:
        ValueError: names the file, the first field that differs, and both values.
    """
    facts = zoo.facts(path)
    there = {**facts, **facts.get("train_config", {}), **zoo.load(path).config.to_dict()}
    for name, value in expected.items():
        if there.get(name) != value:
            raise ValueError(
                f"{path} was trained with {name}={there.get(name)!r}, this comparison asks for "
                f"{value!r}; move it away, or choose another --checkpoints folder"
            )


def _path(options: Options, method: str, seed: int) -> Path:
    name = f"{method.replace(' ', '-').lower()}-fold{options.fold}-seed{seed}"
    return options.checkpoints / f"{name}{zoo.SUFFIX}"

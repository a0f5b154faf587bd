"""hmnet train: train a network and save it; stopped, it goes on where it was.

hmnet train --fold 0 --steps 2500 --training-episodes 4000 --seed 0 --out model.safetensors
hmnet train --fold 0 --steps 2500 --training-episodes 4000 --seed 0 --out model.safetensors --resume
hmnet train --dataset folder --root pictures --out mine.safetensors
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import arg

from hmnet_lite.commands import data
from hmnet_lite.commands.options import options_of, picked
from hmnet_lite.commands.outputs import check_file, check_folder
from hmnet_lite.data.emoji.protocol import Protocol
from hmnet_lite.data.photos.protocol import PhotoProtocol
from hmnet_lite.models.lite import HMNetConfig
from hmnet_lite.training import recipes, zoo
from hmnet_lite.training.checkpoint import read_facts
from hmnet_lite.training.config import TrainConfig
from hmnet_lite.training.runs import RunFolder


@dataclass(kw_only=True)
class Own:
    """What train has beside the configs' fields."""

    dataset: Literal["emoji", "pascal", "coco", "fss1000", "folder"] = "emoji"
    """What to learn from."""
    all_classes: bool = False
    """Emoji: learn all 80 classes, for pictures of your own; none is left to test on."""
    root: Annotated[str | None, arg(metavar="FOLDER")] = None
    """Photographs: the folder of the data set."""
    training_episodes: int = recipes.EPISODES
    """Drawn and encoded once, before training."""
    resume: bool = False
    """Go on with the run of the same --out; start afresh where there is none."""
    tensorboard: Annotated[Path | None, arg(metavar="FOLDER")] = None
    """Write curves there, for TensorBoard."""
    out: Annotated[Path, arg(metavar="FILE")] = Path("hmnet.safetensors")
    """The checkpoint to write; the run's own lie beside it, in a folder that ends in .run."""


@dataclass(kw_only=True)
class Options(
    options_of(HMNetConfig),
    options_of(TrainConfig),
    options_of(PhotoProtocol, leave_out=["dataset", "episodes", "seed"], unset=True),
    options_of(Protocol, leave_out=["dataset", "episodes", "seed", "gap"], unset=True),
    Own,
):
    """Train a network on base classes and save it."""


def run(options: Options, command: str) -> None:
    """Train and save.

    Raises:
        ValueError, OSError: what was asked for wrongly, before the work.
    """
    config, budget = picked(HMNetConfig, options), picked(TrainConfig, options)
    read = [options.root] if options.root else []
    check_file(options.out, zoo.SUFFIX, read)
    if options.tensorboard:
        check_folder(options.tensorboard, ["events"], read, option="--tensorboard")
    check_episodes(options.training_episodes, budget)
    if options.dataset == "emoji":
        data.refuse_photo_options(options)
        if options.all_classes and options.fold is not None:
            raise ValueError(
                f"--all-classes leaves no fold to test on; leave out --fold {options.fold}"
            )
        protocol = data.emoji_protocol(options)
        if options.all_classes:
            protocol = replace(protocol, fold=None)
    else:
        if options.all_classes:
            raise ValueError("--all-classes is for the emoji; photographs: leave out --fold")
        size = {} if options.image_size else {"image_size": data.LITE_SIZE}
        protocol = data.photo_protocol(options, **size)
    data.check_lite_size(protocol.image_size, config)
    if not options.resume:
        RunFolder(options.out.with_suffix(".run"), budget.keep, {}).refuse_unfinished()
    path = recipes.train(
        config, budget, protocol, options.out, episodes=options.training_episodes,
        root=options.root, resume=options.resume, tensorboard=options.tensorboard,
    )  # fmt: skip
    facts = read_facts(path)
    print(f"{facts['steps']} steps in {facts['seconds']:.0f} s; wrote {path}")


def check_episodes(episodes: int, budget: TrainConfig) -> None:
    """Raises ValueError for fewer training episodes than a batch holds."""
    if episodes < budget.batch:
        raise ValueError(
            f"--training-episodes {episodes}; expected at least a batch, {budget.batch}"
        )

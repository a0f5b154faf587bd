"""hmnet train-referring: a ReMamber, which finds in a picture what a sentence names.

hmnet train-referring --fold 0 --steps 1500 --seed 0 --out remamber.safetensors
hmnet train-referring --fold 0 --fusion attention --out attention.safetensors --resume

What ships was trained by

hmnet train-referring --steps 9000 --scenes 3000 --batch 8 --learning-rate 0.002 --ema 0.999 \\
    --prototypes --colours --relations --reading 600 --out remamber-fold0.safetensors
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import arg

from hmnet_lite.commands.options import options_of, picked
from hmnet_lite.commands.outputs import check_file
from hmnet_lite.models.remamba.config import ReMamberConfig
from hmnet_lite.training import zoo
from hmnet_lite.training.checkpoint import read_facts
from hmnet_lite.training.config import TrainConfig
from hmnet_lite.training.referring import SCENES, train_referring
from hmnet_lite.training.runs import RunFolder


@dataclass(kw_only=True)
class Own:
    """What train-referring has beside the configs' fields."""

    fold: int = 0
    """Its classes stay novel."""
    scenes: int = SCENES
    """Drawn and encoded once, before training; each has many sentences."""
    begin: Path | None = None
    """A trained checkpoint of the same network, but for its grounding, to go on from."""
    reading: int = 0
    """Steps in which the text encoder first learns to read, without pictures."""
    resume: bool = False
    """Go on with the run of the same --out; start afresh where there is none."""
    out: Annotated[Path, arg(metavar="FILE")] = Path("remamber.safetensors")
    """The checkpoint to write; the run's own lie beside it, in a folder that ends in .run."""


@dataclass(kw_only=True)
class Options(options_of(ReMamberConfig), options_of(TrainConfig), Own):
    """Train a ReMamber on Emoji-Ref and save it."""


def run(options: Options, command: str) -> None:
    """Train and save.

    Raises:
        ValueError, OSError: what was asked for wrongly, before the work.
    """
    config, budget = picked(ReMamberConfig, options), picked(TrainConfig, options)
    check_file(options.out, zoo.SUFFIX)
    if not options.resume:
        RunFolder(options.out.with_suffix(".run"), budget.keep, {}).refuse_unfinished()
    path = train_referring(
        config, budget, options.out, fold=options.fold, scenes=options.scenes,
        begin=options.begin, reading=options.reading, resume=options.resume,
    )  # fmt: skip
    facts = read_facts(path)
    print(f"{facts['steps']} steps in {facts['seconds']:.0f} s; wrote {path}")

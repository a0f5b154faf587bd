"""hmnet train-diffusion: a DiffewS, which draws the mask as it would draw any picture.

hmnet train-diffusion --stage autoencoder --minutes 4 --out ae.safetensors
hmnet train-diffusion --stage denoise --begin ae.safetensors --minutes 10 --out prior.safetensors
hmnet train-diffusion --stage masks --begin prior.safetensors --guess metric --minutes 15 \
    --out diffews.safetensors
hmnet train-diffusion --stage masks --begin ae.safetensors --minutes 15 --out scratch.safetensors

Where there is a GPU, the UNet and the number of scenes are larger unless they are given.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import torch
from tyro.conf import arg

from hmnet_lite.commands import data
from hmnet_lite.commands.options import options_of, picked
from hmnet_lite.commands.outputs import check_file
from hmnet_lite.models.diffews.config import DiffewSConfig
from hmnet_lite.training import zoo
from hmnet_lite.training.checkpoint import read_facts
from hmnet_lite.training.config import TrainConfig
from hmnet_lite.training.diffusion import SCENES, train_diffusion
from hmnet_lite.training.runs import RunFolder

FIELDS = tuple(DiffewSConfig.__dataclass_fields__)
GPU_BLOCKS, GPU_SCENES = (96, 128), 4 * SCENES  # (the first stage says what is built)


@dataclass(kw_only=True)
class Own:
    """What train-diffusion has beside the configs' fields."""

    stage: Literal["autoencoder", "denoise", "masks"]
    """Pictures to latents and back; denoising of scenes; masks of queries."""
    begin: Annotated[Path | None, arg(metavar="FILE")] = None
    """The file of an earlier stage; the switches that are not given are its."""
    fold: int = 0
    """Its classes stay novel."""
    scenes: int | None = None
    """Drawn and encoded once, before training: 1,500, or 6,000 where there is a GPU."""
    shots: tuple[int, int] = (1, 1)
    """Fewest and most supports of a training episode."""
    resume: bool = False
    """Go on with the run of the same --out; start afresh where there is none."""
    out: Annotated[Path, arg(metavar="FILE")] = Path("diffews.safetensors")
    """The checkpoint to write; the run's own lie beside it, in a folder that ends in .run."""


@dataclass(kw_only=True)
class Options(options_of(DiffewSConfig, unset=True), options_of(TrainConfig), Own):
    """Train one stage of a DiffewS on Emoji-20i and save it."""


def run(options: Options, command: str) -> None:
    """Train and save.

    Raises:
        ValueError, OSError: what was asked for wrongly, before the work.
    """
    changes, budget = data.given(options, FIELDS), picked(TrainConfig, options)
    check_file(options.out, zoo.SUFFIX, [options.begin] if options.begin else [])
    scenes, on_gpu = options.scenes, torch.cuda.is_available()
    if scenes is None:
        scenes = GPU_SCENES if on_gpu else SCENES
    if on_gpu and options.stage == "autoencoder":
        changes = {"blocks": GPU_BLOCKS} | changes
    fewest, most = options.shots
    if not 1 <= fewest <= most <= 10:
        raise ValueError(f"--shots {fewest} {most}; expected fewest and most, 1 to 10")
    if not options.resume:
        RunFolder(options.out.with_suffix(".run"), budget.keep, {}).refuse_unfinished()
    path = train_diffusion(
        options.stage, None, budget, options.out, begin=options.begin, changes=changes,
        fold=options.fold, scenes=scenes, shots=options.shots, resume=options.resume,
    )  # fmt: skip
    facts = read_facts(path)
    print(f"{facts['steps']} steps in {facts['seconds']:.0f} s; wrote {path}")

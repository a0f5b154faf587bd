"""Named networks and the way from a protocol to a trained checkpoint: what commands run.

    path = train(HMNetConfig(), TrainConfig(steps=2500), Protocol(fold=0), "model.safetensors")

The run's own checkpoints lie in a folder beside the result (`model.run/`), so a run that was
stopped, killed or cut off goes on with `resume=True`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from hmnet_lite.data.emoji.protocol import Protocol
from hmnet_lite.data.emoji.scenes import EmojiScenes
from hmnet_lite.data.photos.protocol import PhotoProtocol
from hmnet_lite.models.bank import SceneBank
from hmnet_lite.models.features import CachedFeatures
from hmnet_lite.models.lite import HMNet, HMNetConfig
from hmnet_lite.training.checkpoint import load_checkpoint, save_checkpoint
from hmnet_lite.training.config import TrainConfig
from hmnet_lite.training.hiding import Hiding
from hmnet_lite.training.metric import fit_metric
from hmnet_lite.training.outputs import check_output, device_of_process
from hmnet_lite.training.sources import ScenePairs, Shuffled, Source
from hmnet_lite.training.trainer import Trainer
from hmnet_lite.training.watching import Step

EPISODES = 4000  # drawn and encoded once


def train(
    network: HMNetConfig,
    config: TrainConfig,
    protocol: Protocol | PhotoProtocol,
    out: str | os.PathLike[str],
    *,
    episodes: int = EPISODES,
    root: str | os.PathLike[str] | None = None,
    source: Source | None = None,
    begin: str | os.PathLike[str] | None = None,
    hide: str | None = None,
    resume: bool = False,
    progress: bool = True,
    on_step: Callable[[Step], object] | Sequence[Callable[[Step], object]] = (),
    tensorboard: str | os.PathLike[str] | None = None,
    **facts: Any,
) -> Path:
    """Train one network and write it.

    Args:
        network: what to build; its weights begin from the config's seed.
        config: budget, optimiser and the rest.
        protocol: which classes and pictures may be learned from.
        out: the checkpoint to write; `Path(out).with_suffix(".run")` holds the run's own.
        episodes: how many training episodes are drawn; their scenes are paired anew for ever.
        root: folder of a photo data set.
        source: what to learn from, where it is there already (several runs may share it).
        begin: a checkpoint to begin from instead of random weights; a config of the same shapes.
        hide: whose shortcuts are hidden, see `hmnet_lite.training.hiding`; None: nobody's. Needs a
            budget of steps.
        resume: go on where a run with the same `out` stopped; start afresh where none did.
        progress: show bars.
        on_step, tensorboard: see `Trainer`.
        facts: JSON values to keep in the checkpoint beside those that are kept anyway.

    Returns:
        the path of the checkpoint.

    Raises:
        OSError: `out` cannot be written (found out before the work), or the disk is full.
        ValueError: no such way to hide, or a budget of minutes for it.
        see also `Trainer.fit`.
    """
    out = check_output(out)
    if hide is not None and not config.steps:
        raise ValueError(f"hide={hide!r} needs a budget of steps; it is {config.minutes} minutes")
    source = source or training_source(protocol, episodes, root=root, progress=progress)
    model = build(network, config.seed)
    fit_metric(model, source)
    if hide is not None:
        source = Hiding(source, hide, config.steps * config.batch)
    if begin is not None:
        model.load_state_dict(load_checkpoint(begin).state_dict())
    trainer = Trainer(
        model, source, config, folder=out.with_suffix(".run"), on_step=on_step,
        tensorboard=tensorboard, progress=progress,
    )  # fmt: skip
    history = trainer.fit(resume=resume)
    known = {
        "fold": protocol.fold,
        "seed": config.seed,
        "minutes": config.minutes,
        "steps": history.steps,
        "seconds": round(history.seconds[-1], 1),
        "batch": config.batch,
        "threads": torch.get_num_threads(),
        "trained_parameters": sum(p.numel() for p in model.parameters() if p.requires_grad),
        "episodes": episodes,
        "training": source.fingerprint,
        "hide": hide,
        "train_config": config.to_dict(),
        "refused_steps": len(history.refused),
        "last_steps": {name: round(value, 4) for name, value in history.recent(200).items()},
    }
    if isinstance(protocol, PhotoProtocol):
        names = ("dataset", "fold_scheme", "image_size")
        known |= {name: getattr(protocol, name) for name in names}
        known["classes"] = list(source.classes.values())
    trainer.write(lambda: save_checkpoint(model, out, **known | facts))
    return out


def build(network: HMNetConfig, seed: int) -> nn.Module:
    """A fresh network, its weights drawn from the seed; on a GPU when there is one."""
    torch.manual_seed(seed)
    return HMNet(network).to(device_of_process())


def training_source(
    protocol: Protocol | PhotoProtocol,
    episodes: int = EPISODES,
    *,
    root: str | os.PathLike[str] | None = None,
    fixed: bool = False,
    progress: bool = True,
) -> Source:
    """What HMNet-lite learns from under a protocol: encoded once, kept on disk.

    Emoji's scenes are paired anew for ever unless `fixed`; photographs stay the episodes that were
    drawn.
    """
    if isinstance(protocol, PhotoProtocol):
        if root is None:
            raise ValueError(f"training on {protocol.dataset} needs root, the folder it is in")
        return Shuffled(CachedFeatures(protocol.training(episodes, root), progress=progress))
    if fixed:
        return Shuffled(CachedFeatures(protocol.training(episodes), progress=progress))
    bank = SceneBank(EmojiScenes(protocol.training(episodes)), progress=progress)
    return ScenePairs(bank, shots=protocol.shots)

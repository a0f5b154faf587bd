"""DiffewS in three stages, each a run of its own: an autoencoder, denoising, masks.

train_diffusion("autoencoder", DiffewSConfig(), TrainConfig(minutes=4), "ae.safetensors")
train_diffusion("denoise", None, TrainConfig(minutes=10), "prior.safetensors", begin="ae…")
train_diffusion("masks", None, TrainConfig(minutes=15), "diffews.safetensors", begin="prior…")

The paper's claim is that denoising teaches a UNet what masks need. Its test is the third stage
begun from the first stage's file: the same autoencoder, the UNet from scratch.
"""

from __future__ import annotations

import os
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from hmnet_lite.data.emoji.protocol import Protocol
from hmnet_lite.data.emoji.scenes import EmojiScenes
from hmnet_lite.models.backbones import Features
from hmnet_lite.models.bank import SceneBank
from hmnet_lite.models.diffews.config import TIMES, DiffewSConfig
from hmnet_lite.models.diffews.library import diffusers
from hmnet_lite.models.diffews.masks import brightness, margin
from hmnet_lite.models.diffews.model import DiffewS
from hmnet_lite.training.checkpoint import load_checkpoint, read_facts, save_checkpoint
from hmnet_lite.training.config import TrainConfig
from hmnet_lite.training.latents import (
    LEAST,
    LatentBank,
    LatentBatch,
    LatentPairs,
    LatentScenes,
    PictureBatch,
    Pictures,
)
from hmnet_lite.training.losses import Loss
from hmnet_lite.training.metric import bank_objects
from hmnet_lite.training.outputs import check_output, device_of_process
from hmnet_lite.training.trainer import Trainer

Stage = Literal["autoencoder", "denoise", "masks"]
SCENES = 1500  # drawn and encoded once
PICTURES = 1000  # of them, that the autoencoder gives back
LEVELS = tuple(round(0.05 * i, 2) for i in range(2, 16))  # of the threshold
LEVELS_FROM = 64  # training episodes that choose among them
FITTED = 200  # scenes, and as many masks, that the latents' axes are fitted to


def train_diffusion(
    stage: Stage,
    network: DiffewSConfig | None,
    config: TrainConfig,
    out: str | os.PathLike[str],
    *,
    begin: str | os.PathLike[str] | None = None,
    changes: dict[str, Any] | None = None,
    fold: int = 0,
    scenes: int = SCENES,
    shots: tuple[int, int] = (1, 1),
    resume: bool = False,
    progress: bool = True,
    **facts: Any,
) -> Path:
    """Train one stage and write the network, its run's own checkpoints beside it in a folder.

    Args:
        stage: which one.
        network: what to build; None where a file says it.
        config: budget, optimiser and the rest.
        out: the checkpoint to write.
        begin: the file of an earlier stage, which the other stages need. After "autoencoder" the
            UNet begins from the config's seed.
        changes: switches of the config that are to be others than in that file. Where `level` is
            not among them, the last stage chooses it on training episodes.
        fold: its classes stay novel.
        scenes: how many training scenes are drawn and encoded once.
        shots: fewest and most supports of a training episode.
        resume, progress: see `Trainer`.
        facts: JSON values to keep in the checkpoint.

    Raises:
        ValueError: a stage without the file it begins from, or one of another fold or size.
        OSError: `out` cannot be written; see also `Trainer.fit`.
    """
    out = check_output(out)
    torch.manual_seed(config.seed)
    model, past = _begun(stage, network, begin, changes or {}, fold)
    model.to(device_of_process())
    protocol = Protocol(fold=fold)
    data = EmojiScenes(protocol.training((scenes + 1) // 2), scenes)
    bank = SceneBank(data, progress=progress)
    loss: Loss
    if stage == "autoencoder":
        latents = None
        if model.backbone is not None:
            _fit(model, bank)
            latents = LatentBank(data, model, bank=bank, progress=progress)
        source: Any = Pictures(data, bank, latents, PICTURES, progress=progress)
        trained, loss = [model.autoencoder], picture_loss
    else:
        if stage == "masks" and model.config.guess == "metric":
            model.metric.fit(*bank_objects(bank, LEAST[0]))
        latents = LatentBank(data, model, bank=bank, progress=progress)
        source = LatentScenes(latents) if stage == "denoise" else LatentPairs(latents, shots)
        loss = denoising_loss if stage == "denoise" else mask_loss
        trained = [part for name, part in model.named_children()
                   if name not in ("backbone", "autoencoder")]  # fmt: skip
    model.requires_grad_(False)
    for part in trained:
        part.requires_grad_(True)
    if stage != "autoencoder":
        model.nothing.requires_grad_(True)
    trainer = Trainer(
        model, source, config, loss=loss, folder=out.with_suffix(".run"), progress=progress
    )
    history = trainer.fit(resume=resume)
    if stage == "autoencoder" and model.backbone is None:
        model.autoencoder.fit(F.interpolate(source.pictures[:100].float() / 255, scale_factor=2))
    if stage == "masks" and "level" not in (changes or {}):
        model.config = replace(model.config, level=best_level(model, source, config.seed))
    known = {
        "task": "diffusion", "stage": stage, "fold": fold, "seed": config.seed,
        "steps": history.steps, "seconds": round(history.seconds[-1], 1), "batch": config.batch,
        "scenes": scenes, "shots": list(shots), "threads": torch.get_num_threads(),
        "training": source.fingerprint,
        "trained_parameters": sum(p.numel() for p in model.parameters() if p.requires_grad),
        "train_config": config.to_dict(), "earlier": past,
        "last_steps": {name: round(v, 4) for name, v in history.recent(200).items()},
    }  # fmt: skip
    trainer.write(lambda: save_checkpoint(model, out, **known | facts))
    return out


# ----------------------------------------------------------------------------- what is minimised


def picture_loss(model: DiffewS, batch: PictureBatch) -> tuple[Tensor, dict[str, Tensor]]:
    """Mean absolute error of pictures given back (sharper than squares); for `Trainer`."""
    latents = batch.latents
    if latents is None:  # at half size already
        latents = model.autoencoder.encode(F.interpolate(batch.pictures, scale_factor=2))
    loss = (model.decode(latents) - batch.pictures).abs().mean()
    return loss, {}


def denoising_loss(model: DiffewS, batch: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """Mean squared error of the clean latents found behind noisy ones, at any time of the noise."""
    time = torch.randint(TIMES, (len(batch),), device=batch.device)
    noisy = schedule().add_noise(batch, torch.randn_like(batch), time)
    return F.mse_loss(model.denoise(noisy, time), batch), {}


def mask_loss(model: DiffewS, batch: LatentBatch) -> tuple[Tensor, dict[str, Tensor]]:
    """Mean squared error of the latents of the query's mask (paper, section 3.3); IoU beside it."""
    config = model.config
    query, noisy, time = batch.query, None, config.timestep
    if config.generation != "one-step":
        time = torch.randint(TIMES, (len(query),), device=query.device)
        from_noise = config.generation == "noise-to-mask"
        noise = torch.randn_like(query) if from_noise else query
        mixed = schedule().add_noise(batch.target, noise, time)
        query, noisy = (query, mixed) if from_noise else (mixed, None)
    given = (batch.supports, batch.told, batch.inside, batch.alike)
    found = model.step(query, noisy, time, *given)
    loss = F.mse_loss(found, batch.target)
    if config.mask_image not in ("white", "real-on-black"):
        return loss, {}
    with torch.no_grad():
        light = model.decode(found).mean(1)
        seen = margin(light, config.threshold, config.level) > 0
        truth = F.interpolate(batch.masks[:, None].float(), light.shape[-2:])[:, 0] > 0
        iou = (seen & truth).sum() / (seen | truth).sum().clamp_min(1)
    return loss, {"iou": iou}


@torch.no_grad()
def best_level(model: DiffewS, source: LatentPairs, seed: int) -> float:
    """The threshold's level with the highest mean IoU over *training* episodes."""
    total = torch.zeros(len(LEVELS))
    for start in range(0, LEVELS_FROM, 8):
        batch = source.batch(range(start, start + 8), seed + 1, model.nothing.device)
        given = (batch.supports, batch.told, batch.inside, batch.alike)
        found = model.generate(batch.query, *given)
        drawn = (model.decode(found), model.decode(batch.query))
        light = brightness(model.config.mask_image, *drawn)
        truth = F.interpolate(batch.masks[:, None].float(), light.shape[-2:])[:, 0] > 0
        for i, level in enumerate(LEVELS):
            seen = margin(light, model.config.threshold, level) > 0
            iou = (seen & truth).sum((1, 2)) / (seen | truth).sum((1, 2)).clamp_min(1)
            total[i] += iou.sum().cpu()
    return LEVELS[int(total.argmax())]


@lru_cache(maxsize=1)
def schedule() -> Any:
    """The noise of Stable Diffusion's kind: 1,000 times, variance kept."""
    return diffusers().DDPMScheduler(TIMES, prediction_type="sample", clip_sample=False)


# ----------------------------------------------------------------------------- how a stage begins


def _begun(
    stage: Stage,
    network: DiffewSConfig | None,
    begin: str | os.PathLike[str] | None,
    changes: dict[str, Any],
    fold: int,
) -> tuple[DiffewS, list[dict[str, Any]]]:
    """The network to train, and what the stages before it cost."""
    if stage == "autoencoder":
        if begin is not None:
            raise ValueError(f"stage 'autoencoder' is the first; it does not begin from {begin}")
        return DiffewS(replace(network or DiffewSConfig(), **changes)), []
    if begin is None:
        raise ValueError(
            f"stage {stage!r} needs the file of an earlier stage to begin from; train one with "
            "stage 'autoencoder'"
        )
    told = read_facts(begin)
    if told.get("task") != "diffusion":
        raise ValueError(f"{begin} holds no DiffewS; begin from a file of an earlier stage")
    if told["fold"] != fold:
        raise ValueError(
            f"{begin} was trained with fold {told['fold']} novel; its classes are not those of "
            f"fold {fold}"
        )
    there = load_checkpoint(begin)
    model = DiffewS(replace(there.config, **changes))
    fresh = told["stage"] == "autoencoder"
    weights = {
        name: value
        for name, value in there.state_dict().items()
        if name.startswith("autoencoder.") or not (fresh or name.startswith("metric."))
    }
    own = model.state_dict()
    strange = [name for name, x in weights.items() if name not in own or own[name].shape != x.shape]
    if strange:
        raise ValueError(f"{begin} has other sizes than were asked for: {strange[0]}")
    model.load_state_dict(weights, strict=False)
    names = ("stage", "steps", "seconds", "batch", "scenes", "seed")
    return model, [*told["earlier"], {name: told[name] for name in names}]


@torch.no_grad()
def _fit(model: DiffewS, bank: SceneBank) -> None:
    """Fit the latents' axes to scenes and to masks, white on black, alike."""
    scenes = Features(*(x[:FITTED].float() for x in bank.features))
    rows = bank.objects[bank.objects[:, 3] > 0][:FITTED]
    masks = (bank.label_maps(rows[:, 0]) == rows[:, 1, None, None]).float()
    found = [model.backbone(masks[i : i + 4, None].expand(-1, 3, -1, -1))
             for i in range(0, len(masks), 4)]  # fmt: skip
    drawn = Features(*(torch.cat(x) for x in zip(*found, strict=True)))
    model.autoencoder.fit(Features(*(torch.cat(x) for x in zip(scenes, drawn, strict=True))))

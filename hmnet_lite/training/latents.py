"""Scenes and masks as latents, made once: what DiffewS learns from, and in which batches.

bank = LatentBank(EmojiScenes(Protocol(fold=0).training(1500)), model)
LatentPairs(bank)        # episodes: latents of query, supports, and of their masks
LatentScenes(bank)       # scenes alone, to learn denoising from
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from hmnet_lite.data.emoji.scenes import EmojiScenes
from hmnet_lite.data.stream import Stream
from hmnet_lite.models.backbones import Features
from hmnet_lite.models.bank import SceneBank
from hmnet_lite.models.diffews.fusion import likeness
from hmnet_lite.models.diffews.latents import digest
from hmnet_lite.models.diffews.masks import told_image
from hmnet_lite.models.diffews.model import DiffewS
from hmnet_lite.models.features import to_tensor
from hmnet_lite.models.shards import Cache
from hmnet_lite.training.sources import ScenePairs

FORMAT = "1"  # change it whenever what a shard holds changes
SHARD, BATCH = 200, 4
LEAST = (0.015, 0.02)  # shares of the picture that a query's and a support's object cover


class LatentBank:
    """Every scene, and every usable object's mask, as latents in float16.

    Args:
        scenes: training scenes.
        model: whose encoder is asked; its autoencoder is fitted or trained.
        bank: the same scenes as features, where they are there already.
        progress: show bars.

    Attributes:
        bank: labels and objects of the scenes (without its features).
        images: (scenes, channels, h, w).
        told, target: (usable objects, channels, h, w): latents of what is told of a support's mask,
            and of the picture that is to be generated for a query's; often the same.
        marks: (scenes, channels, h, w), what a model of guess="metric" compares pixels by; or None.
        row: (objects,) int64: where in `told` and `target` an object is, or -1.
    """

    def __init__(self, scenes: EmojiScenes, model: DiffewS, *, bank: SceneBank | None = None,
                 progress: bool = True):  # fmt: skip
        self.scenes, self.model = scenes, model.eval()
        self.bank = bank = bank or SceneBank(scenes, progress=progress)
        self._progress, config = progress, model.config
        self._encoder = f"{getattr(model.backbone, 'fingerprint', '')} {model.autoencoder.digest}"
        self.marks: Tensor | None = None
        if model.backbone is None:
            self.images = self._cached("images", len(scenes), self._encode_scenes)
        else:
            features = bank.features
            parts = [Features(*(x[i : i + BATCH].float() for x in features))
                     for i in range(0, len(bank), BATCH)]  # fmt: skip
            self.images = torch.cat([model.autoencoder.encode(x).half() for x in parts])
            if model.config.guess == "metric":
                self.marks = torch.cat([model.marks(x).half() for x in parts])
        bank.features = Features(*(x[:0] for x in bank.features))
        least = min(LEAST) * bank.labels.shape[1] * bank.labels.shape[2] * 2
        usable = bank.objects[:, 3] >= least
        self.row = torch.where(usable, usable.long().cumsum(0) - 1, -1)
        self._usable = bank.objects[usable]
        draw = partial(self._encode_objects, partial(told_image, config.injection))
        name = "rgb" if config.injection == "multiplication-rgb" else "white"
        self.told = self._cached(name, len(self._usable), draw)
        self.target = self.told
        if config.mask_image != name:
            from hmnet_lite.models.diffews.masks import mask_image

            draw = partial(self._encode_objects, partial(mask_image, config.mask_image))
            self.target = self._cached(config.mask_image, len(self._usable), draw)
        self.fingerprint = f"latents {bank.fingerprint} {self._encoder} {name} {config.mask_image}"
        if self.marks is not None:
            self.fingerprint += f" metric {digest(dict(model.metric.named_buffers()))}"

    def _cached(self, name: str, length: int, compute) -> Tensor:
        key = f"latents {FORMAT} {self.scenes.fingerprint} {self._encoder} {name}"
        cache = Cache(key, length, SHARD, compute, ("latents",), name)
        cache.fill(1, self._progress)
        return torch.cat([cache.read(span)["latents"] for span in cache.spans()])

    @torch.no_grad()
    def _encode_scenes(self, start: int, stop: int) -> dict[str, Tensor]:
        found = []
        for i in range(start, stop, BATCH):
            images = [to_tensor(self.scenes[j].image) for j in range(i, min(i + BATCH, stop))]
            found.append(self.model.encode(torch.stack(images)).half())
        return {"latents": torch.cat(found)}

    @torch.no_grad()
    def _encode_objects(self, draw, start: int, stop: int) -> dict[str, Tensor]:
        found = []
        for i in range(start, stop, BATCH):
            rows = self._usable[i : min(i + BATCH, stop)]
            masks = self.bank.label_maps(rows[:, 0]) == rows[:, 1, None, None]
            images = torch.zeros(len(rows), 3, *masks.shape[1:])
            if not _white(draw):
                images = torch.stack([to_tensor(self.scenes[int(r[0])].image) for r in rows])
            found.append(self.model.encode(draw(images, masks.to(torch.uint8))).half())
        return {"latents": torch.cat(found)}


def _white(draw) -> bool:
    """Whether a mask's picture needs no scene: the bank keeps none."""
    return draw.args[0] in ("white", "concatenation", "multiplication-latent", "attention-mask",
                            "addition")  # fmt: skip


@dataclass(frozen=True, eq=False)
class LatentBatch:
    """Episodes as latents, float32; shapes as in `DiffewS.generate`."""

    query: Tensor
    supports: Tensor
    told: Tensor
    inside: Tensor
    target: Tensor  # (batch, channels, h, w)
    masks: Tensor  # (batch, H/2, W/2) uint8: the query's
    alike: Tensor | None = None


class LatentPairs:
    """Fresh episodes, drawn as `ScenePairs` does; query and supports mirrored by a coin each.

    Args:
        bank: a `LatentBank`.
        shots: supports an episode; (1, 5): of each batch, drawn from this range.
    """

    def __init__(self, bank: LatentBank, shots: tuple[int, int] = (1, 1)):
        self.bank, self.shots = bank, shots
        self.pairs = ScenePairs(bank.bank, shots=shots[1], least=LEAST)
        self.classes = self.pairs.classes
        self.fingerprint = f"{bank.fingerprint} {self.pairs.fingerprint} {shots}"

    def batch(self, numbers: Sequence[int], seed: int, device: str | torch.device) -> LatentBatch:
        """See `Source`; all numbers together have as many shots as the first one draws."""
        bank = self.bank
        shots = Stream("shots", seed, numbers[0]).between(*self.shots)
        drawn = torch.tensor([self.pairs.draw(n, seed)[: 1 + shots] for n in numbers])
        scenes, labels = bank.bank.objects[drawn][..., :2].unbind(-1)
        rows = bank.row[drawn]
        maps = bank.bank.label_maps(scenes.flatten(), 2).unflatten(0, scenes.shape)
        masks = (maps == labels[..., None, None]).to(torch.uint8)
        size = bank.images.shape[-2:]
        inside = F.adaptive_avg_pool2d(masks[:, 1:].float(), size)
        images = bank.images[scenes].float()
        coins = [Stream("flips", seed, n) for n in numbers]
        query, support = torch.tensor([[c.below(2), c.below(2)] for c in coins]).bool().T

        def mirrored(x: Tensor, coin: Tensor) -> Tensor:
            return torch.where(coin.view(-1, *[1] * (x.ndim - 1)), x.flip(-1), x).to(device)

        alike = None
        if bank.marks is not None:
            marks = bank.marks[scenes].float()
            alike = likeness(mirrored(marks[:, 0], query), mirrored(marks[:, 1:], support))
        return LatentBatch(
            mirrored(images[:, 0], query),
            mirrored(images[:, 1:], support),
            mirrored(bank.told[rows[:, 1:]].float(), support),
            mirrored(inside, support),
            mirrored(bank.target[rows[:, 0]].float(), query),
            mirrored(masks[:, 0], query),
            alike,
        )


class LatentScenes:
    """Latents of scenes, mirrored by a coin: what denoising is learned from. No masks.

    Args:
        bank: a `LatentBank`.
    """

    def __init__(self, bank: LatentBank):
        self.bank, self.classes = bank, bank.bank.classes
        self.fingerprint = f"scenes of {bank.fingerprint}"

    def batch(self, numbers: Sequence[int], seed: int, device: str | torch.device) -> Tensor:
        """See `Source`; (batch, channels, h, w)."""
        found = []
        for number in numbers:
            stream = Stream("denoise", seed, number)
            x = self.bank.images[stream.below(len(self.bank.images))].float()
            found.append(x.flip(-1) if stream.below(2) else x)
        return torch.stack(found).to(device)


@dataclass(frozen=True, eq=False)
class PictureBatch:
    """Pictures to be given back, and the latents they are to be given back from, if fixed."""

    pictures: Tensor  # (batch, 3, H/2, W/2) in [0, 1]
    latents: Tensor | None


class Pictures:
    """Scenes and masks in turn, at half size: what an autoencoder learns to give back.

    Args:
        scenes: drawn once.
        bank: the same scenes, with their labels.
        latents: of the same scenes, where the encoder is fixed.
        length: how many of the scenes.
        progress: show a bar.
    """

    def __init__(self, scenes: EmojiScenes, bank: SceneBank, latents: LatentBank | None,
                 length: int, *, progress: bool = True):  # fmt: skip
        self.bank, self.latents, self.classes = bank, latents, bank.classes
        cache = Cache(
            f"pictures {FORMAT} {scenes.fingerprint}", min(length, len(scenes)), SHARD,
            partial(_draw, scenes), ("pictures",), "picture",
        )  # fmt: skip
        cache.fill(1, progress)
        self.pictures = torch.cat([cache.read(span)["pictures"] for span in cache.spans()])
        kind = latents.fingerprint if latents else bank.fingerprint
        self.fingerprint = f"pictures {len(self.pictures)} {kind}"
        least = min(LEAST) * bank.labels.shape[1] * bank.labels.shape[2] * 2
        self._objects = (bank.objects[:, 3] >= least).nonzero()[:, 0]

    def batch(self, numbers: Sequence[int], seed: int, device: str | torch.device) -> PictureBatch:
        """See `Source`; even numbers are scenes, odd ones masks."""
        pictures, latents = [], []
        for number in numbers:
            stream = Stream("pictures", seed, number)
            if number % 2:
                place = stream.choice(self._objects)
                scene, label = self.bank.objects[place, :2]
                mask = self.bank.label_maps(scene[None], 2) == label
                pictures.append(mask.float().expand(3, -1, -1))
                found = self.latents and self.latents.told[self.latents.row[place]]
            else:
                scene = stream.below(len(self.pictures))
                pictures.append(self.pictures[scene].float() / 255)
                found = self.latents and self.latents.images[scene]
            latents.append(found)
        given = torch.stack(latents).float().to(device) if self.latents else None
        return PictureBatch(torch.stack(pictures).to(device), given)


def _draw(scenes: EmojiScenes, start: int, stop: int) -> dict[str, Tensor]:
    """Pictures at half size: means of 2 × 2 pixels."""
    found = []
    for i in range(start, stop):
        x = scenes[i].image.astype(np.uint16)
        x = (x[::2, ::2] + x[1::2, ::2] + x[::2, 1::2] + x[1::2, 1::2] + 2) // 4
        found.append(torch.from_numpy(x.astype(np.uint8)).permute(2, 0, 1))
    return {"pictures": torch.stack(found)}

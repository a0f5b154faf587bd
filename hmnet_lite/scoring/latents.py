"""Test episodes as latents, encoded once: what every arm of a DiffewS is scored on.

episodes = LatentEpisodes(Protocol(fold=0, gap="same", shots=5).build(), model)
batch = episodes.batch(range(10))
masks_of(model, light(model, batch.first(1)))       # one shot, as `model` would answer pictures
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from hmnet_lite.models.diffews.latents import digest
from hmnet_lite.models.diffews.masks import brightness, margin, shares, told_image
from hmnet_lite.models.diffews.model import DiffewS
from hmnet_lite.models.features import to_tensor
from hmnet_lite.models.shards import Cache
from hmnet_lite.scoring.gaps import SHOWN, next_of_another_class
from hmnet_lite.scoring.metrics import Scores

SHARD, FORMAT = 50, "1"
_KEPT = ("query", "supports", "told", "inside", "picture", "masks", "class_id")


@dataclass(frozen=True, eq=False)
class LatentTest:
    """Several test episodes. Latents are float32; shapes as in `DiffewS.generate`."""

    query: Tensor
    supports: Tensor
    told: Tensor
    inside: Tensor
    pictures: Tensor  # (batch, 3, H/2, W/2) in [0, 1]: the queries
    masks: np.ndarray  # (batch, H, W) uint8 of {0, 1}: the targets
    objects: np.ndarray  # (batch, H, W) uint8 of {0, 1}: every object
    class_ids: tuple[int, ...]
    alike: Tensor | None = None

    def first(self, shots: int) -> LatentTest:
        """The same with the first supports alone."""
        names = ("supports", "told", "inside", "alike")
        known = {n: getattr(self, n) for n in names}
        return replace(self, **{n: x[:, :shots] for n, x in known.items() if x is not None})


class LatentEpisodes:
    """Test episodes as a model's latents, on disk, shard by shard.

    Args:
        episodes: an `EmojiEpisodes`.
        model: whose encoder is asked, and whose injection says what is told of supports' masks.
        progress: show a bar.
    """

    def __init__(self, episodes, model: DiffewS, *, progress: bool = True):
        self.episodes, self.model = episodes, model
        encoder = f"{getattr(model.backbone, 'fingerprint', '')} {model.autoencoder.digest}"
        told = "rgb" if model.config.injection == "multiplication-rgb" else "white"
        key = f"test latents {FORMAT} {episodes.fingerprint} {encoder} {told}"
        self._kept: tuple[str, ...] = _KEPT
        if model.config.guess == "metric":
            key += f" metric {digest(dict(model.metric.named_buffers()))}"
            self._kept = (*_KEPT, "alike")
        self._cache = Cache(key, len(episodes), SHARD, self._encode, self._kept, "episode")
        self._cache.fill(1, progress)
        self._shards: dict[int, dict[str, Tensor]] = {}

    def __len__(self) -> int:
        return len(self.episodes)

    def batch(self, indices: Sequence[int]) -> LatentTest:
        """Episodes by their index."""
        rows: dict[str, list[Tensor]] = {name: [] for name in self._kept}
        for index in indices:
            number, row = divmod(index, SHARD)
            if number not in self._shards:
                self._shards = {number: self._cache.read(self._cache.spans()[number])}
            for name, values in self._shards[number].items():
                rows[name].append(values[row])
        x = {name: torch.stack(values) for name, values in rows.items()}
        side = 2 * x["picture"].shape[-1]
        bits = np.unpackbits(x["masks"].numpy(), axis=-1).reshape(len(indices), 2, side, side)
        query, supports, told, inside = (x[name].float() for name in _KEPT[:4])
        return LatentTest(
            query, supports, told, inside, x["picture"].float() / 255, bits[:, 0], bits[:, 1],
            tuple(x["class_id"].tolist()), x["alike"].float() if "alike" in x else None,
        )  # fmt: skip

    def batches(self, size: int = 10) -> Iterator[LatentTest]:
        """All of them, in order."""
        for start in range(0, len(self), size):
            yield self.batch(range(start, min(start + size, len(self))))

    @torch.inference_mode()
    def _encode(self, start: int, stop: int) -> dict[str, Tensor]:
        model, rows = self.model, {name: [] for name in self._kept}
        for index in range(start, stop):
            episode = self.episodes[index]
            query = to_tensor(episode.query_image)[None]
            supports = torch.stack([to_tensor(x) for x in episode.support_images])
            masks = torch.from_numpy(episode.support_masks)
            seen, seen_supports = model.look(query), model.look(supports)
            latent = model.autoencoder.encode(seen)
            small = F.avg_pool2d(255 * query, 2)[0].round().to(torch.uint8)
            known = np.stack([episode.query_mask == 1, episode.query_objects == 1])
            found: dict[str, Any] = {
                "query": latent[0].half(),
                "supports": model.autoencoder.encode(seen_supports).half(),
                "told": model.encode(told_image(model.config.injection, supports, masks)).half(),
                "inside": shares(masks[None], latent.shape[-2:])[0].half(),
                "picture": small,
                "masks": torch.from_numpy(np.packbits(known.reshape(2, -1), axis=-1)),
                "class_id": torch.tensor(episode.class_id),
            }
            alike = model.alike(seen, seen_supports, (1, len(supports)))
            if alike is not None:
                found["alike"] = alike[0].half()
            for name, value in found.items():
                rows[name].append(value)
        return {name: torch.stack(values) for name, values in rows.items()}


@torch.inference_mode()
def light(model: DiffewS, batch: LatentTest, other: LatentTest | None = None) -> Tensor:
    """How bright the masks are that a model draws, (batch, H / shrink, W / shrink).

    Args:
        model: draws in one step from a first guess where `other` is given.
        batch: the episodes.
        other: as many, whose supports the attention is shown; the guess stays of the batch's own.
    """
    given = (batch.supports, batch.told, batch.inside, batch.alike)
    if other is None:
        found = model.generate(batch.query, *given)
    else:
        guess = model.guess(batch.query, batch.supports, batch.told, batch.alike)
        shown = (other.supports, other.told, other.inside)
        found = model.step(batch.query, guess, model.config.timestep, *shown)
    picture = model.decode(found)
    seen = F.interpolate(batch.pictures, picture.shape[-2:], mode="area")
    return brightness(model.config.mask_image, picture, seen)


def masks_of(
    model: DiffewS, drawn: Tensor, size: tuple[int, int], threshold: str = "", level: float = -1
) -> np.ndarray:
    """Masks at the size that is scored, (batch, H, W) bool.

    Args:
        model: whose threshold is taken where none is given.
        drawn: what `light` gives.
        size: (H, W).
        threshold, level: see `DiffewSConfig`.
    """
    config = model.config
    cut = margin(drawn, threshold or config.threshold, config.level if level < 0 else level)
    whole = F.interpolate(cut[:, None], size, mode="bilinear", align_corners=False)
    return (whole[:, 0] > 0).cpu().numpy()


def can_be_misled(model: DiffewS) -> bool:
    """Whether its attention can be shown another support than its first guess is made of."""
    return model.config.generation == "one-step" and model.config.guess != "none"


def score_latents(
    model: DiffewS, episodes: LatentEpisodes, size: int = 10, shown: str = "right"
) -> Scores:
    """Score a model on episodes that its encoder made.

    Args:
        model: as it was when they were encoded.
        episodes: of which `size` are answered together.
        shown: to the UNet's attention. "right": the episode's own supports. "wrong": those of the
            next episode of another class, with their masks. "none": zeros. The first guess, which
            stands beside the attention as a prior mask does beside a mixer, is of the right ones.

    Raises:
        ValueError: another word; a model that draws in several steps or without a guess, which has
            nothing beside its attention; all episodes of one class.
    """
    if shown not in ("right", *SHOWN):
        raise ValueError(f"shown is {shown!r}; expected right, {', '.join(SHOWN)}")
    if shown != "right" and not can_be_misled(model):
        raise ValueError(
            f"generation={model.config.generation!r}, guess={model.config.guess!r}: only a model "
            "that draws in one step from a first guess can be shown another support beside it"
        )
    classes = [i for batch in episodes.batches(size) for i in batch.class_ids]
    scores = Scores()
    for start in range(0, len(episodes), size):
        indices = range(start, min(start + size, len(episodes)))
        batch = episodes.batch(indices)
        other = None
        if shown == "wrong":
            class_of, count = classes.__getitem__, len(classes)
            wrong = [next_of_another_class(class_of, count, index) for index in indices]
            other = episodes.batch(wrong)
        elif shown == "none":
            empty = {n: torch.zeros_like(getattr(batch, n)) for n in ("supports", "told", "inside")}
            other = replace(batch, **empty)
        masks = masks_of(model, light(model, batch, other), batch.masks.shape[-2:])
        for found, truth, class_id in zip(masks, batch.masks, batch.class_ids, strict=True):
            scores.update(found, truth, class_id)
    return scores

"""A bank of scenes: pictures encoded once, every labelled object in them kept.

Episodes cached one by one are soon learned by heart. A bank keeps the scenes apart, and any two
that show the same class make an episode: N scenes give on the order of N² / classes of them, at
the price of N. All of it lies in memory, features in float16; on a GPU, on the device.
"""

from __future__ import annotations

import os
from functools import partial

import numpy as np
import torch
from torch import Tensor

from hmnet_lite.models.backbones import Features
from hmnet_lite.models.features import extractor, to_tensor
from hmnet_lite.models.shards import Cache

SHARD = 50  # scenes in a file
FORMAT = "1"  # change it whenever what a shard holds changes
OBJECTS = 12  # most objects of a scene
IGNORE = 15  # label of pixels that count nowhere
_BATCH = 10  # pictures the backbone sees at once


class SceneBank:
    """Scenes as features, label maps and a table of their objects.

    Args:
        scenes: a sequence of `LabelledScene`, with a `fingerprint` that names its content.
        backbone: a name in `BACKBONES`.
        folder: where to keep the cache; `cache_folder()` when None.
        workers: processes that compute (None: one a CPU core; 1: this process alone).
        progress: say what it takes, and show a bar.

    Attributes:
        features: `Features` of (scenes, channels, h, w), float16.
        labels: (scenes, H, W / 2) uint8; two pixels a byte, the left one in the low half.
        objects: (objects, 4) int64: scene, label, class id, pixels.
        styles: the style of each object, "" where there is none.

    Raises:
        OSError: see `Cache.fill`.
    """

    def __init__(self, scenes, backbone: str = "efficientnet_lite0", *,
                 folder: str | os.PathLike | None = None, workers: int | None = None,
                 progress: bool = True):  # fmt: skip
        self.backbone, self.classes = backbone, dict(scenes.classes)
        net = extractor(backbone)
        cache = Cache(
            key=f"scenes {FORMAT} {scenes.fingerprint} {net.fingerprint}",
            length=len(scenes),
            shard=SHARD,
            compute=partial(_encode, scenes, backbone),
            names=("labels", "objects", "styles", *Features._fields),
            unit="scene",
            folder=folder,
        )
        cache.fill(workers, progress)
        self.fingerprint = f"{cache.path.name}-{len(scenes)}"
        together: dict[str, Tensor] = {}
        for start, stop in cache.spans():
            for name, value in cache.read((start, stop)).items():
                if name not in together:
                    together[name] = value.new_empty(len(scenes), *value.shape[1:])
                together[name][start:stop] = value
        self.features = Features(*(together[name] for name in Features._fields))
        self.labels = together["labels"]
        there = together["objects"][..., 0] > 0
        numbers = torch.arange(len(scenes))[:, None].expand_as(there)[there]
        self.objects = torch.cat([numbers[:, None], together["objects"][there].long()], dim=1)
        self.styles = [_word(row) for row in together["styles"][there]]

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def device(self) -> torch.device:
        """Where the bank lies."""
        return self.labels.device

    @property
    def bytes(self) -> int:
        """Memory that features and labels take."""
        return sum(x.numel() * x.element_size() for x in (*self.features, self.labels))

    def to(self, device: str | torch.device) -> SceneBank:
        """Move it, in place."""
        self.features = Features(*(x.to(device) for x in self.features))
        self.labels = self.labels.to(device)
        return self

    def label_maps(self, scenes: Tensor, stride: int = 1) -> Tensor:
        """(n,) scene numbers → (n, H / stride, W / stride) uint8 labels; stride 1 or even."""
        packed = self.labels[scenes, ::stride]
        if stride == 1:
            return torch.stack([packed & 15, packed >> 4], dim=-1).flatten(-2)
        return packed[..., :: stride // 2] & 15


def _encode(scenes, backbone: str, start: int, stop: int) -> dict[str, Tensor]:
    """Draw and extract scenes start … stop - 1."""
    net = extractor(backbone)
    drawn = [scenes[i] for i in range(start, stop)]
    parts = []
    for i in range(0, len(drawn), _BATCH):
        images = torch.stack([to_tensor(scene.image) for scene in drawn[i : i + _BATCH]])
        parts.append(Features(*(x.half() for x in net(images))))
    result = {name: torch.cat([getattr(part, name) for part in parts]) for name in Features._fields}
    labels = np.stack([np.where(s.labels == 255, IGNORE, s.labels) for s in drawn])
    result["labels"] = torch.from_numpy(labels[..., ::2] | labels[..., 1::2] << 4)
    objects = np.zeros((len(drawn), OBJECTS, 3), np.int32)  # label, class id, pixels
    styles = np.zeros((len(drawn), OBJECTS, 16), np.uint8)
    for row, scene in enumerate(drawn):
        pixels = np.bincount(scene.labels.ravel(), minlength=256)
        for place, (label, class_id, style) in enumerate(scene.objects[:OBJECTS]):
            objects[row, place] = label, class_id, pixels[label]
            word = style.encode()[:16]
            styles[row, place, : len(word)] = np.frombuffer(word, np.uint8)
    return result | {"objects": torch.from_numpy(objects), "styles": torch.from_numpy(styles)}


def _word(row: Tensor) -> str:
    return bytes(row.tolist()).rstrip(b"\0").decode()

"""The published HMNet, trained: BAM's first stage (the base learner), then the network itself.

    protocol = PhotoProtocol("pascal", fold=0)
    base = train_base(config, protocol, root, "base.safetensors", imagenet="resnet50.pth")
    train_published(config, protocol, root, "hmnet.safetensors", base=base)

From the paper (App. B): AdamW 6e-5 on the Mamba blocks, SGD 5e-3 on the rest; batch 8 for 300
epochs on PASCAL-5i, 16 for 75 on COCO-20i; crops of 473 and 633 px; PFENet's augmentation; mixed
precision on COCO; a fine-tuned backbone and base learner as in BAM. The paper does not state the
loss, the schedule, weight decay and momentum. Ours: cross-entropy of the final scores plus
cross-entropy and Dice of the few-shot answer alone; (1 - done)^0.9; 1e-4; 0.9.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hmnet_lite.data.photos.protocol import PhotoProtocol
from hmnet_lite.maps import resize
from hmnet_lite.models.hmnet.model import PublishedConfig, PublishedHMNet
from hmnet_lite.record import Recorder
from hmnet_lite.tensors import read_tensors, write_tensors
from hmnet_lite.training.checkpoint import save_checkpoint
from hmnet_lite.training.config import TrainConfig
from hmnet_lite.training.imagenet import read_imagenet
from hmnet_lite.training.losses import batch_iou, segmentation_loss
from hmnet_lite.training.outputs import check_output, device_of_process
from hmnet_lite.training.photos import LabelledBatch, LiveLabels, LivePhotos, PictureBatch
from hmnet_lite.training.trainer import Trainer

EPOCHS = {"pascal": 300, "coco": 75}
BASE_EPOCHS = {"pascal": 100, "coco": 20}  # BAM's for its first stage
BATCH = {"pascal": 8, "coco": 16}
PRECISION = {"pascal": "no", "coco": "fp16"}
BASE_KIND = "hmnet-lite base learner"


def published_recipe(protocol: PhotoProtocol, queries: int, **changes: Any) -> TrainConfig:
    """The paper's training as a config; any field may be changed.

    Args:
        protocol: PASCAL-5i or COCO-20i, or another data set, which gets PASCAL's numbers.
        queries: pictures of an epoch, `LivePhotos.round`.
        changes: fields of `TrainConfig` to set otherwise.
    """
    kind = protocol.dataset if protocol.dataset in EPOCHS else "pascal"
    batch = changes.get("batch", BATCH[kind])
    values: dict[str, Any] = {
        "batch": batch,
        "optimiser": "published",
        "learning_rate": 6e-5,
        "sgd_learning_rate": 5e-3,
        "momentum": 0.9,
        "weight_decay": 1e-4,
        "schedule": "poly",
        "warm_up": 0.0,
        "precision": PRECISION[kind] if torch.cuda.is_available() else "no",
        "workers": 4,
    }
    if "minutes" not in changes:
        values["steps"] = max(EPOCHS[kind] * queries // batch, 1)
    return TrainConfig(**values | changes)


def base_recipe(protocol: PhotoProtocol, queries: int, **changes: Any) -> TrainConfig:
    """BAM's first stage as a config: SGD 2.5e-3 and the rest as `published_recipe`."""
    kind = protocol.dataset if protocol.dataset in BASE_EPOCHS else "pascal"
    batch = changes.get("batch", BATCH[kind])
    values: dict[str, Any] = {"optimiser": "sgd", "sgd_learning_rate": 2.5e-3}
    if "minutes" not in changes:
        values["steps"] = max(BASE_EPOCHS[kind] * queries // batch, 1)
    return published_recipe(protocol, queries, **values | changes)


def published_loss(leave_out: bool = True):
    """The loss of the published network on a `PictureBatch`.

    Args:
        leave_out: whether the base learner's answer leaves out the episode's own class. In
            training that is a base class, so the base learner would speak against it (BAM).
    """

    def loss(model: PublishedHMNet, batch: PictureBatch) -> tuple[Tensor, dict[str, Tensor]]:
        query, support = batch.query.float() / 255, batch.support.float() / 255
        with Recorder() as seen:
            scores = model(query, support, batch.support_masks, batch.labels if leave_out else None)
        few_shot = seen.network["meta_logits"]
        size = batch.query_masks.shape[-2:]
        final = F.cross_entropy(scores.float(), batch.query_masks.long(), ignore_index=255)
        alone = segmentation_loss(resize(few_shot, *size).float(), batch.query_masks)
        return final + alone, {"iou": batch_iou(scores, batch.query_masks)}

    return loss


class BaseStage(nn.Module):
    """Backbone and base learner, to be trained on the base classes.

    Args:
        model: whose `backbone` and `base_learner` are trained, in place.
        finetune: whether the backbone learns as well (its batch norms stay as they are).
    """

    def __init__(self, model: PublishedHMNet, finetune: bool = True):
        super().__init__()
        self.backbone, self.learner = model.backbone, model.base_learner
        self.register_buffer("mean", model.mean, persistent=False)
        self.register_buffer("std", model.std, persistent=False)
        self.learner.requires_grad_(True)
        self.backbone.requires_grad_(finetune)

    def train(self, mode: bool = True) -> BaseStage:
        """Batch norms of the learner follow; the backbone's are frozen."""
        super().train(mode)
        for part in self.learner.children():  # the learner itself stays frozen, whatever is asked
            part.train(mode)
        return self

    def forward(self, images: Tensor) -> Tensor:
        """(batch, 3, H, W) in [0, 1] → logits (batch, classes, h, w)."""
        x = (images - self.mean) / self.std
        for name in ("layer0", "layer1", "layer2", "layer3", "layer4"):
            x = getattr(self.backbone, name)(x)
        return self.learner.classify(F.relu(self.learner.reduce(self.learner.pyramid(x))))


def base_loss(model: BaseStage, batch: LabelledBatch) -> tuple[Tensor, dict[str, Tensor]]:
    """Cross-entropy over background and base classes; the share of known pixels that are right."""
    logits = model(batch.images.float() / 255)
    logits = resize(logits, *batch.labels.shape[-2:]).float()
    labels = batch.labels.long()
    known = labels != 255
    right = ((logits.argmax(1) == labels) & known).sum() / known.sum().clamp_min(1)
    return F.cross_entropy(logits, labels, ignore_index=255), {"right": right}


def train_base(
    config: PublishedConfig,
    protocol: PhotoProtocol,
    root: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    budget: TrainConfig | Mapping[str, Any] | None = None,
    imagenet: str | os.PathLike[str] | None = None,
    finetune: bool = True,
    resume: bool = False,
    progress: bool = True,
) -> Path:
    """BAM's first stage: teach the base learner the base classes.

    Args:
        config: of the network that it is for; `base_classes` must count background and the
            protocol's base classes.
        protocol, root: the data set.
        out: the file to write: backbone and base learner.
        budget: a config, or the fields in which it is not `base_recipe`'s; None: none.
        imagenet: weights of the backbone in torchvision's format; None: random ones, which only
            serve tests.
        finetune: whether the backbone learns as well.
        resume, progress: see `recipes.train`.

    Raises:
        ValueError: the classes do not fit, or see `read_imagenet`.
        OSError: see `check_output`.
    """
    out = check_output(out)
    source = LiveLabels(protocol.training(1, root, progress=progress))
    _check_classes(config, source.classes)
    if not isinstance(budget, TrainConfig):
        budget = base_recipe(protocol, source.round, **budget or {})
    model = _fresh(config, budget.seed, imagenet)
    stage = BaseStage(model, finetune)
    trainer = Trainer(stage, source, budget, loss=base_loss, folder=out.with_suffix(".run"),
                      progress=progress)  # fmt: skip
    trainer.fit(resume=resume)
    parts = {"backbone": model.backbone, "base_learner": model.base_learner}
    weights = {f"{k}.{n}": x for k, part in parts.items() for n, x in part.state_dict().items()}
    trainer.write(lambda: write_tensors(out, weights, {"kind": BASE_KIND}))
    return out


def train_published(
    config: PublishedConfig,
    protocol: PhotoProtocol,
    root: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    base: str | os.PathLike[str] | None = None,
    imagenet: str | os.PathLike[str] | None = None,
    budget: TrainConfig | Mapping[str, Any] | None = None,
    leave_out: bool = True,
    resume: bool = False,
    progress: bool = True,
) -> Path:
    """Train the published network; backbone and base learner stay frozen.

    Args:
        base: what `train_base` wrote; None: a random base learner, which only serves tests.
        leave_out: see `published_loss`.
        budget: as in `train_base`, of `published_recipe`.
        config, protocol, root, out, imagenet, resume, progress: see `train_base`.

    Raises:
        see `train_base`.
    """
    out = check_output(out)
    source = LivePhotos(protocol.training(1, root, progress=progress))
    _check_classes(config, source.classes)
    if not isinstance(budget, TrainConfig):
        budget = published_recipe(protocol, source.round, **budget or {})
    model = _fresh(config, budget.seed, imagenet)
    if base is not None:
        load_base(model, base)
    trainer = Trainer(model, source, budget, loss=published_loss(leave_out),
                      folder=out.with_suffix(".run"), progress=progress)  # fmt: skip
    history = trainer.fit(resume=resume)
    names = ("dataset", "fold", "fold_scheme", "image_size")
    facts = {name: getattr(protocol, name) for name in names} | {
        "seed": budget.seed, "steps": history.steps, "train_config": budget.to_dict(),
        "classes": list(source.classes.values()), "training": source.fingerprint,
    }  # fmt: skip
    trainer.write(lambda: save_checkpoint(model, out, **facts))
    return out


def load_base(model: PublishedHMNet, path: str | os.PathLike[str]) -> None:
    """Put a trained backbone and base learner into a network.

    Raises:
        FileNotFoundError, ValueError: no such file, or it is not of such a network.
    """
    weights, header = read_tensors(path)
    own = {n: x for n, x in model.state_dict().items() if n.startswith(("backbone.", "base_l"))}
    fits = header.get("kind") == BASE_KIND and weights.keys() == own.keys()
    if not fits or any(weights[n].shape != own[n].shape for n in own):
        raise ValueError(
            f"{path} is no base learner of a network with backbone {model.config.backbone} and "
            f"{model.config.base_classes} base classes; write one with train_base"
        )
    model.load_state_dict(weights, strict=False)


def _fresh(config: PublishedConfig, seed: int, imagenet: Any) -> PublishedHMNet:
    torch.manual_seed(seed)
    model = PublishedHMNet(config)
    if imagenet is not None:
        read_imagenet(model.backbone, imagenet)
    return model.to(device_of_process())


def _check_classes(config: PublishedConfig, classes: dict[int, str]) -> None:
    if config.base_classes != len(classes) + 1:
        raise ValueError(
            f"base_classes is {config.base_classes}; expected {len(classes) + 1}: background and "
            f"the {len(classes)} base classes"
        )

"""What ReMamber learns from: scenes encoded once, each with many sentences.

source = referring_source(fold=0, scenes=1500)
model = ReMamber()
fit_grounding(model, source.bank)
Trainer(model, source, TrainConfig(steps=1500), loss=referring_loss).fit()
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hmnet_lite.data.emoji.dataset import TRAIN_STYLES
from hmnet_lite.data.emoji.referring.dataset import GENERATOR, EmojiReferring
from hmnet_lite.data.emoji.referring.grammar import COLOURS
from hmnet_lite.data.emoji.referring.meaning import Seen
from hmnet_lite.data.emoji.referring.nouns import names
from hmnet_lite.data.emoji.referring.words import Words, table
from hmnet_lite.data.stream import Stream
from hmnet_lite.files import cache_folder, write_json
from hmnet_lite.models.backbones import Features
from hmnet_lite.models.bank import SceneBank
from hmnet_lite.models.remamba.config import ReMamberConfig
from hmnet_lite.models.remamba.grounding import left_out
from hmnet_lite.models.remamba.model import ReMamber
from hmnet_lite.training.checkpoint import load_checkpoint, read_facts, save_checkpoint
from hmnet_lite.training.config import TrainConfig
from hmnet_lite.training.losses import batch_iou, segmentation_loss
from hmnet_lite.training.metric import bank_objects, object_features, object_products, object_rows
from hmnet_lite.training.outputs import check_output, device_of_process
from hmnet_lite.training.reading import learn_to_read
from hmnet_lite.training.trainer import Trainer

SCENES = 1500  # drawn and encoded once
SENTENCES = 12  # of a training scene
COLOURED = 500  # scenes whose objects' colours are looked at
STYLED = 1500  # and their styles
LEAST = 0.005  # share of the picture of an object that the grounding is fitted to


@dataclass(frozen=True, eq=False)
class ReferringBatch:
    """Pictures as features, one sentence each, and what it names."""

    picture: Features
    numbers: Tensor  # (batch, tokens) int64
    vectors: Tensor  # (batch, tokens, channels)
    part: Tensor  # (batch,) int64: base classes that the grounding leaves out
    masks: Tensor  # (batch, H, W) uint8 of {0, 1}


class ReferringSource:
    """Scenes and their sentences, drawn by episode number.

    Args:
        scenes: sentences are told by it.
        bank: the same scenes, encoded.
        as_new: share of the episodes in which the class named is treated as one never seen.
        stride: of the pixels of the masks that are learned from.
    """

    def __init__(self, scenes: EmojiReferring, bank: SceneBank, *, as_new: float = 0.5,
                 stride: int = 4):  # fmt: skip
        self.scenes, self.bank, self.as_new, self.stride = scenes, bank, as_new, stride
        self.classes = scenes.classes
        self.fingerprint = f"referring {bank.fingerprint} {GENERATOR} {scenes.sentences} {as_new}"
        self.told = told(scenes, len(bank))
        self._words = Words()

    def draw(self, number: int, seed: int) -> tuple[int, str, int, int]:
        """Episode `number` of a seed's stream: scene, sentence, label, part of the grounding."""
        stream = Stream("referring", seed, number)
        scene = stream.below(len(self.told))
        text, label, class_id = stream.choice(self.told[scene])
        new = stream.below(2**16) < self.as_new * 2**16
        return scene, text, label, left_out(class_id) if new else 0

    def batch(
        self, numbers: Sequence[int], seed: int, device: str | torch.device
    ) -> ReferringBatch:
        """See `Source`."""
        if self.bank.device != torch.device(device):
            self.bank.to(device)
        scenes, texts, labels, parts = zip(*(self.draw(n, seed) for n in numbers), strict=True)
        at = torch.tensor(scenes, device=device)
        maps = self.bank.label_maps(at, self.stride)
        named = torch.tensor(labels, device=device, dtype=torch.uint8)[:, None, None]
        words, vectors = zip(*(self._words(text) for text in texts), strict=True)
        return ReferringBatch(
            Features(*(x[at].float() for x in self.bank.features)),
            torch.stack(words).to(device),
            torch.stack(vectors).to(device),
            torch.tensor(parts, device=device),
            (maps == named).to(torch.uint8),
        )


def train_referring(
    network: ReMamberConfig,
    config: TrainConfig,
    out: str | os.PathLike[str],
    *,
    fold: int = 0,
    scenes: int = SCENES,
    begin: str | os.PathLike[str] | None = None,
    reading: int = 0,
    resume: bool = False,
    progress: bool = True,
    **facts: Any,
) -> Path:
    """Train one network and write it, its run's own checkpoints beside it in a folder.

    Args:
        network: what to build; its weights begin from the config's seed.
        config: budget, optimiser and the rest.
        out: the checkpoint to write.
        fold: its classes stay novel.
        scenes: how many training scenes are drawn and encoded once.
        begin: a trained checkpoint, of the same network but for its grounding, to go on from.
        reading: steps in which the text encoder first learns to read, see `learn_to_read`.
        resume, progress: see `Trainer`.
        facts: JSON values to keep in the checkpoint.

    Raises:
        ValueError: `begin` is of another network, or `reading` is asked of one without relations.
        OSError: `out` cannot be written; see also `Trainer.fit`.
    """
    out = check_output(out)
    torch.manual_seed(config.seed)
    model = ReMamber(network).to(device_of_process())
    if begin is not None:
        facts = begin_with(model, begin, fold) | facts
    if reading:
        read = learn_to_read(model, [*EmojiReferring(fold).classes], reading, config.seed)
        facts |= {"reading": reading, "read": read}
    source = referring_source(fold, scenes, network.backbone, progress=progress)
    fit_grounding(model, source.bank)
    if network.colours:
        fit_colours(model, source)
    if network.relations:
        fit_styles(model, source)
    trainer = Trainer(
        model, source, config, loss=referring_loss, folder=out.with_suffix(".run"),
        progress=progress,
    )  # fmt: skip
    history = trainer.fit(resume=resume)
    known = {
        "task": "referring", "fold": fold, "seed": config.seed, "steps": history.steps,
        "seconds": round(history.seconds[-1], 1), "batch": config.batch, "scenes": scenes,
        "threads": torch.get_num_threads(), "training": source.fingerprint,
        "trained_parameters": sum(p.numel() for p in model.parameters() if p.requires_grad),
        "train_config": config.to_dict(),
        "last_steps": {name: round(v, 4) for name, v in history.recent(200).items()},
    }  # fmt: skip
    trainer.write(lambda: save_checkpoint(model, out, **known | facts))
    return out


def begin_with(model: ReMamber, path: str | os.PathLike[str], fold: int) -> dict[str, Any]:
    """Copy a trained network's parameters; says what it was.

    Raises:
        ValueError: it differs in more than its grounding, or has seen classes that stay novel here.
    """
    other = load_checkpoint(path)
    free = {"local_scaling", "colours", "prototypes", "backend"}
    mine, theirs = (m.config.to_dict() if isinstance(m, ReMamber) else {} for m in (model, other))
    if not theirs.get("relations"):
        free.add("relations")  # what is added to a network adds nothing at first
    differ = [k for k in mine if k not in free and mine[k] != theirs.get(k)]
    if differ:
        raise ValueError(
            f"{os.fspath(path)}: {', '.join(differ)} differ from what is asked for; expected the "
            "same network but for its grounding"
        )
    before = read_facts(path)
    if before.get("fold", fold) != fold:
        raise ValueError(
            f"{os.fspath(path)} was trained on fold {before['fold']}, where novel classes of fold "
            f"{fold} are shown; begin with a network of fold {fold}"
        )
    weights = dict(other.named_parameters())
    with torch.no_grad():
        for name, mine in model.named_parameters():
            if name in weights:
                mine.copy_(weights[name])
    return {"began": {k: before.get(k) for k in ("fold", "seed", "steps", "seconds", "batch")}}


def told(scenes: EmojiReferring, length: int) -> list[list[tuple[str, int, int]]]:
    """Text, label and class of every sentence of the first scenes; kept on disk."""
    name = f"told-{scenes.fingerprint[:20]}-{GENERATOR}-{scenes.sentences}-{length}.json"
    path = cache_folder() / name
    if path.is_file():
        return json.loads(path.read_text("utf-8"))
    found = [
        [(s.text, s.label, s.class_id) for s in scenes.told(index)[1]] for index in range(length)
    ]
    write_json(path, found)
    return found


def referring_source(
    fold: int = 0,
    scenes: int = SCENES,
    backbone: str = "efficientnet_lite0",
    *,
    seed: int = 0,
    progress: bool = True,
) -> ReferringSource:
    """Training scenes of a fold, encoded once by a backbone and kept on disk."""
    data = EmojiReferring(fold, "train", seed=seed, length=scenes, sentences=SENTENCES)
    return ReferringSource(data, SceneBank(data, backbone, progress=progress))


def fit_grounding(model: ReMamber, bank: SceneBank) -> None:
    """Fit the model's grounding to the objects of a bank of base classes."""
    objects, classes = bank_objects(bank, LEAST)
    vectors = {i: table()[words[0]] for i, words in names().items()}
    model.grounding.fit(objects, classes, vectors)


def fit_colours(model: ReMamber, source: ReferringSource) -> None:
    """Fit the colours' part of the grounding to the objects of the first scenes."""
    rows = object_rows(source.bank, LEAST, COLOURED)
    shares = colour_shares(source.scenes, rows)
    model.grounding.fit_colours(object_features(source.bank, rows), shares)


def fit_styles(model: ReMamber, source: ReferringSource) -> None:
    """Fit the model's styles to the objects of the first scenes."""
    rows = object_rows(source.bank, LEAST, STYLED)
    styles = torch.tensor([TRAIN_STYLES.index(t.style) for t in _things(source.scenes, rows)])
    products = object_products(source.bank, rows)
    model.styles.fit(object_features(source.bank, rows), products, styles)


def colour_shares(scenes: EmojiReferring, rows: Tensor) -> Tensor:
    """What share of each of these objects of a bank has each of `COLOURS`: (rows, colours)."""
    colours = [dict(thing.colours) for thing in _things(scenes, rows)]
    return torch.tensor([[shares.get(c, 0.0) for c in COLOURS] for shares in colours])


def _things(scenes: EmojiReferring, rows: Tensor) -> list[Seen]:
    """What each of these objects of a bank is."""
    seen = {
        (index, thing.label): thing
        for index in sorted({row[0] for row in rows.tolist()})
        for thing in scenes.told(index)[0]
    }
    return [seen[index, label] for index, label, *_ in rows.tolist()]


def referring_loss(model: ReMamber, batch: Any) -> tuple[Tensor, dict[str, Tensor]]:
    """Cross-entropy and Dice (the paper's), with the IoU beside it; for `Trainer`."""
    logits = model.segment(batch.picture, batch.numbers, batch.vectors, batch.part)
    iou = batch_iou(logits, batch.masks)
    return segmentation_loss(logits, batch.masks), {"iou": iou}

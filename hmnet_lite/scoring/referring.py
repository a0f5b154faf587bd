"""What referring segmentation counts, and the floors that every score is read against.

    oIoU  = Σ area(P and T) / Σ area(P or T)      over all sentences: large objects weigh more
    mIoU  = mean over sentences of their IoU      (not over classes, as in few-shot segmentation)
    P@k   = share of the sentences with IoU > k

as ReMamber reports them (the field's since Kazemzadeh et al., 2014, and Mao et al., 2016). Floors
outline objects perfectly and lack understanding: "largest object" and "every object" hear no
word, "name ignored" and "relation ignored" hear all others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from hmnet_lite.data.emoji.referring.dataset import EmojiReferring, ReferringScene, Sentence
from hmnet_lite.data.emoji.referring.meaning import Meaning, fits
from hmnet_lite.scoring.intervals import paired_oiou

PRECISIONS = (0.5, 0.7, 0.9)
Predictor = Callable[[ReferringScene, Sentence], np.ndarray]
"""A scene and one of its sentences → (H, W) mask, bool or {0, 1}."""


@dataclass
class ReferringScores:
    """Intersections and unions of one method, a row for each sentence."""

    kinds: list[str] = field(default_factory=list)
    rows: list[tuple[int, int]] = field(default_factory=list)

    def update(self, prediction: Any, target: np.ndarray, kind: str) -> None:
        """Add one sentence.

        Raises:
            ValueError: prediction and target differ in shape.
        """
        found, truth = np.asarray(prediction) > 0, np.asarray(target) > 0
        if found.shape != truth.shape:
            raise ValueError(f"a mask of {found.shape}; expected {truth.shape}, the picture's size")
        self.kinds.append(kind)
        self.rows.append((int((found & truth).sum()), int((found | truth).sum())))

    def only(self, *kinds: str) -> ReferringScores:
        """The sentences of these kinds."""
        kept = [i for i, kind in enumerate(self.kinds) if kind in kinds]
        return ReferringScores([self.kinds[i] for i in kept], [self.rows[i] for i in kept])

    @property
    def ious(self) -> np.ndarray:
        """(sentences,) float64; 1 where there was nothing to find and nothing was found."""
        table = np.array(self.rows, dtype=np.int64).reshape(-1, 2)
        return np.where(table[:, 1] > 0, table[:, 0] / np.maximum(table[:, 1], 1), 1.0)

    @property
    def oiou(self) -> float:
        """Overall IoU, in [0, 1]. Raises ValueError where there is nothing to count."""
        intersection, union = np.array(self.rows, dtype=np.int64).reshape(-1, 2).sum(0)
        if not union:
            raise ValueError(f"no oIoU after {len(self.rows)} sentences: no pixel to count")
        return float(intersection / union)

    @property
    def miou(self) -> float:
        """Mean of the sentences' IoU, in [0, 1]. Raises ValueError where there are none."""
        if not self.rows:
            raise ValueError("no mIoU after 0 sentences")
        return float(self.ious.mean())

    def precision(self, above: float) -> float:
        """Share of the sentences whose IoU is above a threshold."""
        return float((self.ious > above).mean())

    def to_dict(self) -> dict[str, float]:
        """Sentences and scores in percent, for JSON."""
        scores = {"oIoU": self.oiou, "mIoU": self.miou}
        scores |= {f"P@{k}": self.precision(k) for k in PRECISIONS}
        rounded = {name: round(100 * value, 2) for name, value in scores.items()}
        return {"sentences": len(self.rows), **rounded}


def evaluate_referring(
    predictors: Mapping[str, Predictor], scenes: Iterable[ReferringScene]
) -> dict[str, ReferringScores]:
    """Score every predictor on the same sentences, in one pass over the scenes."""
    scores = {name: ReferringScores() for name in predictors}
    for scene in scenes:
        for sentence in scene.sentences:
            for name, predict in predictors.items():
                found = predict(scene, sentence)
                scores[name].update(found, scene.mask(sentence), sentence.meaning.kind)
    return scores


# ---------------------------------------------------------------------------------------- floors


def largest_object(scene: ReferringScene, sentence: Sentence) -> np.ndarray:
    """Floor: a perfect outline of the largest object, whatever the sentence says."""
    return scene.labels == max(scene.seen, key=lambda thing: thing.area).label


def every_object(scene: ReferringScene, sentence: Sentence) -> np.ndarray:
    """Floor: perfect outlines of all objects, whatever the sentence says."""
    return scene.labels > 0


def name_ignored(scene: ReferringScene, sentence: Sentence) -> np.ndarray:
    """Floor: perfect outlines of all that the sentence fits when its noun could be anything."""
    return _outlines(scene, sentence.meaning.without_name)


def relation_ignored(scene: ReferringScene, sentence: Sentence) -> np.ndarray:
    """Floor: perfect outlines of all that the sentence's noun and colour fit."""
    return _outlines(scene, sentence.meaning.without_relation)


def relation_guessed(scene: ReferringScene, sentence: Sentence) -> np.ndarray:
    """Floor: of what noun and colour fit, the largest."""
    sure, _ = fits(sentence.meaning.without_relation, scene.seen)
    return scene.labels == max(sure or scene.seen, key=lambda thing: thing.area).label


FLOORS: dict[str, Predictor] = {
    "largest object": largest_object,
    "every object": every_object,
    "name ignored": name_ignored,
    "relation ignored": relation_ignored,
    "relation guessed": relation_guessed,
}
HEAR_NOTHING = ("largest object", "every object")
RELATIONAL = ("rank", "relation", "both")


def _outlines(scene: ReferringScene, meaning: Meaning) -> np.ndarray:
    sure, unclear = fits(meaning, scene.seen)
    return np.isin(scene.labels, [thing.label for thing in (*sure, *unclear) or scene.seen])


# ----------------------------------------------------------------------------------------- model


def score_model(model: torch.nn.Module, scenes: EmojiReferring, *, floors: bool = True,
                progress: bool = True) -> dict[str, ReferringScores]:  # fmt: skip
    """A network and the floors on a split; pictures are encoded once and kept on disk."""
    from tqdm import tqdm

    from hmnet_lite.models.bank import SceneBank

    bank = SceneBank(scenes, model.config.backbone, progress=progress)
    scores = {name: ReferringScores() for name in ((*FLOORS, "model") if floors else ("model",))}
    for index in tqdm(range(len(scenes)), leave=False, disable=not progress, unit="scene"):
        scene = scenes[index]
        masks = masks_of(model, bank, index, [s.text for s in scene.sentences])
        for sentence, mask in zip(scene.sentences, masks, strict=True):
            truth, kind = scene.mask(sentence), sentence.meaning.kind
            scores["model"].update(mask, truth, kind)
            for name in FLOORS if floors else ():
                scores[name].update(FLOORS[name](scene, sentence), truth, kind)
    return scores


def score_misled(
    model: torch.nn.Module, scenes: EmojiReferring, *, progress: bool = True
) -> ReferringScores:
    """A network that is asked the wrong sentence of every picture, scored on the right object.

    What is lost against its own sentences is what it owes to them. All parts of the network hear
    the wrong one, its grounding as well; a sentence that says nothing is refused, so that none
    is asked.
    """
    from tqdm import tqdm

    from hmnet_lite.models.bank import SceneBank

    bank = SceneBank(scenes, model.config.backbone, progress=progress)
    told = [scenes.told(index)[1] for index in range(len(scenes))]
    scores = ReferringScores()
    for index in tqdm(range(len(scenes)), leave=False, disable=not progress, unit="scene"):
        scene = scenes[index]
        texts = [wrong_sentence(told, index, s.class_id).text for s in scene.sentences]
        masks = masks_of(model, bank, index, texts)
        for sentence, mask in zip(scene.sentences, masks, strict=True):
            scores.update(mask, scene.mask(sentence), sentence.meaning.kind)
    return scores


def sentence_use(right: ReferringScores, wrong: ReferringScores) -> dict[str, Any]:
    """oIoU in [0, 1] with its own sentences and with wrong ones, and what those cost.

    Returns:
        {"right", "wrong", "minus wrong": [difference, low, high] with its 95 % interval over
        sentences}.
    """
    minus = paired_oiou([np.array(right.rows)], [np.array(wrong.rows)])
    ends = [minus.mean, minus.low, minus.high]
    return {"right": right.oiou, "wrong": wrong.oiou, "minus wrong": ends}


def wrong_sentence(told: Sequence[Sequence[Sentence]], index: int, class_id: int) -> Sentence:
    """The next sentence of the scenes after this one, round the end, that names another class.

    Args:
        told: every scene's sentences.
        index: of the scene that is asked.
        class_id: of the object that its own sentence names.

    Raises:
        ValueError: there is none.
    """
    for step in range(1, len(told)):
        for sentence in told[(index + step) % len(told)]:
            if sentence.class_id != class_id:
                return sentence
    raise ValueError(
        f"the sentences of all {len(told)} scenes name class {class_id}; a wrong one needs "
        "another class: give more scenes"
    )


@torch.inference_mode()
def masks_of(model: torch.nn.Module, bank, index: int, texts: list[str]) -> np.ndarray:
    """(sentences, H, W) bool: a network's masks of one scene of a bank."""
    device = model.collect.weight.device
    numbers, vectors = (
        torch.stack(x).to(device) for x in zip(*map(model.words, texts), strict=True)
    )
    picture = type(bank.features)(
        *(x[index][None].float().to(device).expand(len(texts), -1, -1, -1) for x in bank.features)
    )
    logits = model.segment(picture, numbers, vectors)
    size = bank.labels.shape[1], 2 * bank.labels.shape[2]
    logits = F.interpolate(logits, size, mode="bilinear", align_corners=False)
    return (logits[:, 1] > logits[:, 0]).cpu().numpy()

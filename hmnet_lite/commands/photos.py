"""The part of the commands that tests on photographs."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import torch
from torch import nn

from hmnet_lite.commands import data
from hmnet_lite.data.photos.protocol import PhotoProtocol
from hmnet_lite.scoring.evaluate import all_foreground, evaluate
from hmnet_lite.scoring.gaps import prior_threshold
from hmnet_lite.scoring.photo_report import PhotoReport, Readable
from hmnet_lite.scoring.predict import photo_prior_predictor, segment_episode
from hmnet_lite.training import zoo

BACKBONES = ("resnet50", "vgg16")  # of the authors' checkpoints


def evaluate_on_photos(path: Path, options: Any, command: str) -> None:
    """Test one checkpoint, the authors' or ours, on photographs; write and print the report."""
    ours = path.suffix == zoo.SUFFIX
    facts = zoo.facts(path) if ours else {}
    protocol = data.photo_protocol(options, **_defaults(path, options, facts) if ours else {})
    if ours:
        data.check_lite_size(protocol.image_size)
    model = _load(path, ours, protocol, options.backbone)
    if ours:
        data.check_lite_size(protocol.image_size, model.config)
    on_bad = options.on_bad_image or "stop"
    episodes = Readable(protocol.build(options.root, on_bad=on_bad), on_bad)

    def predict(episode):
        return segment_episode(model, episode)

    floors = {"all foreground": all_foreground}
    if ours:  # (the authors' squares do not suit this backbone)
        floors["prior mask"] = photo_prior_predictor(model.backbone, prior_threshold())
    scores = evaluate({**floors, path.stem: predict}, episodes)
    seen = sorted(set(facts.get("classes", ())) & set(episodes.episodes.classes.values()))
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    known = {"file": path.name, "sha256": digest, "trained_on_tested": seen, **facts}
    if not ours:
        known["backbone"] = options.backbone or BACKBONES[0]
    report = PhotoReport(protocol, episodes, scores, known)
    report.made["command"] = command
    written = report.to_json(options.out) if options.out else None
    parts = [report.table(), *(f"Note: {note}." for note in report.notes())]
    parts += [f"wrote {written}"] if written else []
    print("\n\n".join(parts))


def _defaults(path: Path, options: Any, facts: dict[str, Any]) -> dict[str, Any]:
    """What one of our checkpoints decides where the options do not.

    Raises:
        ValueError: it was trained on the classes of the fold asked for.
    """
    values = {"image_size": facts.get("image_size", data.LITE_SIZE)}
    if facts.get("dataset") != options.dataset or options.dataset not in ("pascal", "coco"):
        return values  # one's own pictures may be others: the report tells classes of one name
    values |= {"fold": facts["fold"], "fold_scheme": facts["fold_scheme"]}
    for name in ("fold", "fold_scheme"):
        asked = getattr(options, name)
        if asked not in (None, values[name]):
            raise ValueError(
                f"{path} was trained with {name} {values[name]}, so with {name} {asked} "
                f"classes it has seen would be tested; leave {data.flags([name])} out"
            )
    return values


def _load(path: Path, ours: bool, protocol: PhotoProtocol, backbone: str | None) -> nn.Module:
    """The network, in evaluation mode, on a GPU when there is one."""
    if ours:
        if backbone:
            raise ValueError(f"{path} names its own backbone; leave --backbone out")
        return zoo.load(path)
    from hmnet_lite.models.hmnet.weights import load_published

    model = load_published(
        path,
        backbone=backbone or BACKBONES[0],
        image_size=protocol.image_size,
        shots=protocol.shots,
    )
    return model.to("cuda" if torch.cuda.is_available() else "cpu")

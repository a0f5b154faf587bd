"""The part of the commands that deals with photographs: options, protocol, evaluation.

python -m hmnet_lite evaluate --dataset pascal --root VOC2012 --checkpoint authors.pth --fold 0
python -m hmnet_lite evaluate --dataset folder --root pictures --checkpoint hmnet.safetensors
"""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path
from typing import Any

import torch
from torch import nn

from hmnet_lite.data.photos.protocol import PHOTO_DATASETS, PhotoProtocol
from hmnet_lite.scoring.evaluate import all_foreground, evaluate
from hmnet_lite.scoring.photo_report import ON_BAD, PhotoReport, Readable
from hmnet_lite.scoring.predict import segment_episode
from hmnet_lite.training.checkpoint import load_checkpoint, read_facts

DATASETS = ("emoji", *PHOTO_DATASETS)
BACKBONES = ("resnet50", "vgg16")  # of the authors' checkpoints
LITE_SIZE = 256  # HMNet-lite's own image size: its sides must be multiples of 16
#: options to protocol fields; only photographs have them
_FIELDS = (
    "image_size", "fold_scheme", "small_object", "support_annotation", "labels", "filter_novel",
)  # fmt: skip


def add_options(sub: argparse.ArgumentParser) -> None:
    """Which data, for training and tests alike."""
    sub.add_argument("--dataset", default="emoji", choices=DATASETS, help="what to work on")
    photos = sub.add_argument_group("photographs (every --dataset but emoji)")
    photos.add_argument("--root", help="folder of the data set")
    photos.add_argument("--image-size", type=int, help="side of the square, in pixels")
    photos.add_argument("--fold-scheme", choices=("consecutive", "interleaved"),
                        help="how COCO's classes fall into folds: PANet's or FWB's")  # fmt: skip
    photos.add_argument("--small-object", type=int, help="pixels a class must cover to count")
    photos.add_argument("--support-annotation", choices=("mask", "box"), help="what supports show")
    photos.add_argument("--labels", choices=("png", "json"), help="COCO's masks: files or JSON")


def add_train_options(sub: argparse.ArgumentParser) -> None:
    """What only training on photographs has."""
    sub.add_argument("--filter-novel", action=argparse.BooleanOptionalAction,
                     help="leave out pictures with novel classes in them (yes)")  # fmt: skip


def add_test_options(sub: argparse.ArgumentParser) -> None:
    """What only a test of photographs has."""
    sub.add_argument("--backbone", choices=BACKBONES,
                     help=f"of a published checkpoint ({BACKBONES[0]})")  # fmt: skip
    sub.add_argument("--on-bad-image", choices=ON_BAD, help="a file that cannot be read (stop)")


def refuse_options(arguments: argparse.Namespace) -> None:
    """Options of photographs given with emoji would do nothing: say so.

    Raises:
        ValueError: names them.
    """
    names = ("root", *_FIELDS, "backbone", "on_bad_image")
    given = [
        f"--{name.replace('_', '-')}"
        for name in names
        if getattr(arguments, name, None) is not None
    ]
    if given:
        raise ValueError(
            f"{', '.join(given)} only has a meaning with photographs; add --dataset "
            f"{', '.join(PHOTO_DATASETS[:-1])} or {PHOTO_DATASETS[-1]}"
        )


def photo_protocol(arguments: argparse.Namespace, **values: Any) -> PhotoProtocol:
    """The protocol that the options spell; `values` are what they leave open.

    Raises:
        ValueError: no --root, or a field the protocol refuses.
    """
    if not arguments.root:
        raise ValueError(f"--dataset {arguments.dataset} needs --root, the folder it is in")
    names = ("fold", "episodes", "shots", *_FIELDS)
    given = {name: getattr(arguments, name, None) for name in names}
    given["seed"] = getattr(arguments, "seed_test", None)
    given = {name: value for name, value in given.items() if value is not None}
    return PhotoProtocol(arguments.dataset, **values | given)


def training_facts(protocol: PhotoProtocol, classes: dict[int, str]) -> dict[str, Any]:
    """What a checkpoint trained on photographs remembers, so that tests of it can be honest."""
    facts = {name: getattr(protocol, name) for name in ("dataset", "fold_scheme", "image_size")}
    return {**facts, "classes": list(classes.values())}


def run_evaluate(arguments: argparse.Namespace) -> None:
    """Test one checkpoint, the authors' or ours, on photographs; print and write the report."""
    path = Path(arguments.checkpoint)
    ours = path.suffix == ".safetensors"
    facts = read_facts(path) if ours else {}
    protocol = photo_protocol(arguments, **_defaults(arguments, facts) if ours else {})
    model = _load(path, ours, protocol, arguments)
    episodes = Readable(protocol.build(arguments.root), arguments.on_bad_image or "stop")

    def predict(episode):
        return segment_episode(model, episode)

    scores = evaluate({"all foreground": all_foreground, path.stem: predict}, episodes)
    seen = sorted(set(facts.get("classes", ())) & set(episodes.episodes.classes.values()))
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    known = {"file": path.name, "sha256": digest, "trained_on_tested": seen, **facts}
    if not ours:
        known["backbone"] = arguments.backbone or BACKBONES[0]
    report = PhotoReport(protocol, episodes, scores, known)
    print(report.table())
    for note in report.notes():
        print(f"\nNote: {note}.")
    if arguments.out:
        print(f"\nwrote {report.to_json(arguments.out)}")


def _defaults(arguments: argparse.Namespace, facts: dict[str, Any]) -> dict[str, Any]:
    """What one of our checkpoints decides where the options do not.

    Raises:
        ValueError: it was trained on the classes of the fold asked for.
    """
    values = {"image_size": facts.get("image_size", LITE_SIZE)}
    if facts.get("dataset") != arguments.dataset or arguments.dataset not in ("pascal", "coco"):
        return values  # one's own pictures may be others: the report tells classes of one name
    values |= {"fold": facts["fold"], "fold_scheme": facts["fold_scheme"]}
    for name, value in values.items():
        asked = getattr(arguments, name, None)
        if name != "image_size" and asked not in (None, value):
            raise ValueError(
                f"{arguments.checkpoint} was trained with {name} {value}, so with {name} {asked} "
                f"classes it has seen would be tested; leave --{name.replace('_', '-')} out"
            )
    return values


def _load(
    path: Path, ours: bool, protocol: PhotoProtocol, arguments: argparse.Namespace
) -> nn.Module:
    """The network, in evaluation mode, on a GPU when there is one."""
    if ours:
        if arguments.backbone:
            raise ValueError(f"{path} names its own backbone; leave --backbone out")
        model = load_checkpoint(path)
    else:
        from hmnet_lite.models.hmnet.weights import load_published

        model = load_published(
            path,
            backbone=arguments.backbone or BACKBONES[0],
            image_size=protocol.image_size,
            shots=protocol.shots,
        )
    return model.to("cuda" if torch.cuda.is_available() else "cpu")

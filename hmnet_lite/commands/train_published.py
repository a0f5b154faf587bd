"""hmnet train-published: the published HMNet, trained as in the paper, from ImageNet weights.

hmnet train-published --dataset pascal --root VOC2012 --fold 0 --imagenet resnet50.pth --out hmnet.safetensors
hmnet train-published --dataset pascal --root VOC2012 --fold 0 --base hmnet.base.safetensors --out again.safetensors

Two stages, as in BAM: the base learner first (kept beside the result, as NAME.base.safetensors),
then the network on top of it. What the paper states is the default; any of it is an option.
"""  # noqa: E501

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any, Literal

from tyro.conf import arg

from hmnet_lite.commands import data
from hmnet_lite.commands.options import options_of, picked
from hmnet_lite.commands.outputs import check_file
from hmnet_lite.data.photos.protocol import PhotoProtocol
from hmnet_lite.models.hmnet.model import PublishedConfig
from hmnet_lite.training import published, zoo
from hmnet_lite.training.config import TrainConfig
from hmnet_lite.training.runs import RunFolder

SIZES = {"pascal": 473, "coco": 633}  # of the pictures, where nothing else is asked for


@dataclass(kw_only=True)
class Own:
    """What train-published has beside the configs' fields."""

    dataset: Literal["pascal", "coco", "fss1000", "folder"] = "pascal"
    """What to learn from."""
    root: Annotated[str | None, arg(metavar="FOLDER")] = None
    """The folder of the data set."""
    imagenet: Annotated[Path | None, arg(metavar="FILE")] = None
    """Weights of the backbone in torchvision's format; without them it is random, for a trial."""
    base: Annotated[Path | None, arg(metavar="FILE")] = None
    """A base learner of an earlier run; none: it is trained first."""
    base_steps: int | None = None
    """Steps of the base learner's training (BAM's epochs)."""
    freeze_backbone: bool = False
    """Leave the backbone as it is while the base learner learns."""
    keep_class: bool = False
    """Leave the episode's own class in the base learner's answer while training."""
    resume: bool = False
    """Go on with the run of the same --out; start afresh where there is none."""
    out: Annotated[Path, arg(metavar="FILE")] = Path("hmnet-published.safetensors")
    """The checkpoint to write; the runs' own lie beside it, in folders that end in .run."""


@dataclass(kw_only=True)
class Options(
    options_of(PublishedConfig, leave_out=["image_size", "shots", "base_classes"]),
    options_of(TrainConfig, unset=True),
    options_of(PhotoProtocol, leave_out=["dataset", "episodes", "seed"], unset=True),
    Own,
):
    """Train the published HMNet: the base learner, then the network."""


def run(options: Options, command: str) -> None:
    """Train both stages and save.

    Raises:
        ValueError, OSError: what was asked for wrongly, before the work.
    """
    size = {} if options.image_size else {"image_size": SIZES.get(options.dataset, 473)}
    protocol = data.photo_protocol(options, **size)
    learned = options.out.with_suffix(f".base{zoo.SUFFIX}")
    inputs = [Path(options.root), *filter(None, (options.imagenet, options.base))]
    check_file(options.out, zoo.SUFFIX, inputs)
    if options.base_steps is not None and options.base_steps < 1:
        raise ValueError(f"--base-steps {options.base_steps}; expected at least 1")
    for given in filter(None, (options.imagenet, options.base)):
        if not given.is_file():
            raise FileNotFoundError(f"there is no file {given}")
    if options.base and options.imagenet:
        raise ValueError("--base holds a backbone of its own; leave out --imagenet")
    changes = _changes(options)
    classes = len(protocol.training(1, options.root).classes)
    config = picked(
        PublishedConfig, options, base_classes=classes + 1, image_size=protocol.image_size,
        shots=protocol.shots,
    )  # fmt: skip
    for path in (learned, options.out) if not options.resume else ():
        RunFolder(path.with_suffix(".run"), 1, {}).refuse_unfinished()
    common: dict[str, Any] = {"imagenet": options.imagenet, "resume": options.resume}
    base = options.base
    if base is None:
        base = learned
        if not (learned.exists() and options.resume):
            steps = {} if options.base_steps is None else {"steps": options.base_steps}
            first = {n: x for n, x in changes.items() if n not in ("steps", "minutes")} | steps
            published.train_base(
                config, protocol, options.root, learned, budget=first,
                finetune=not options.freeze_backbone, **common,
            )  # fmt: skip
            print(f"wrote the base learner, {learned}")
    path = published.train_published(
        config, protocol, options.root, options.out, base=base, budget=changes,
        leave_out=not options.keep_class, resume=options.resume,
    )  # fmt: skip
    print(f"wrote {path}")


def _changes(options: Options) -> dict[str, Any]:
    """The fields of the recipe that were asked to be otherwise; checked as far as they go alone."""
    names = [field.name for field in fields(TrainConfig)]
    found = {n: x for n in names if (x := getattr(options, n, None)) is not None}
    TrainConfig(**found)
    return found

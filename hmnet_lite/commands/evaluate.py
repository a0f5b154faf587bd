"""hmnet evaluate: test saved networks on classes they have not seen.

hmnet evaluate model.safetensors
hmnet evaluate hmnet-lite-fold0 --gaps same cross --shots 5 --out report.json
hmnet evaluate seed0.safetensors seed1.safetensors seed2.safetensors --out report.json
hmnet evaluate remamber-fold0
hmnet evaluate diffews-fold0 --gaps same cross
hmnet evaluate authors.pth --dataset pascal --root VOC2012 --fold 0
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from tyro.conf import Positional, arg

from hmnet_lite.commands import data, photos
from hmnet_lite.commands.diffusion import name_of, score_diffusion
from hmnet_lite.commands.options import options_of
from hmnet_lite.commands.outputs import check_file
from hmnet_lite.commands.referring import evaluate_on_sentences
from hmnet_lite.data.emoji.protocol import GAPS, Protocol
from hmnet_lite.data.photos.protocol import PhotoProtocol
from hmnet_lite.scoring.gaps import score_gaps
from hmnet_lite.scoring.report import Report
from hmnet_lite.training import zoo
from hmnet_lite.training.checkpoint import add_facts


@dataclass(kw_only=True)
class Own:
    """What evaluate has beside the protocols' fields."""

    networks: Positional[tuple[str, ...]] = ()
    """Checkpoints of ours, shipped names, or one of the authors' .pth; runs of one method differ
    in -seedN."""
    checkpoint: Annotated[str | None, arg(metavar="FILE")] = None
    """The same, one."""
    dataset: Literal["emoji", "pascal", "coco", "fss1000", "folder"] = "emoji"
    """What to test on."""
    gaps: tuple[Literal["same", "sibling", "cross", "held_out"], ...] | None = None
    """Emoji: how differently support and query are drawn; all four unless given."""
    support_use: bool = True
    """Emoji: also show each network's mixer a wrong support, and none; ask a wrong sentence."""
    root: Annotated[str | None, arg(metavar="FOLDER")] = None
    """Photographs: the folder of the data set."""
    backbone: Literal["resnet50", "vgg16"] | None = None
    """Photographs: of an authors' checkpoint (resnet50)."""
    on_bad_image: Literal["stop", "skip"] | None = None
    """Photographs: what a file that cannot be read does (stop)."""
    out: Annotated[Path | None, arg(metavar="FILE")] = None
    """Write the report here (JSON)."""
    keep: bool = False
    """Emoji: write the scores into the checkpoints' own headers, where `hmnet info` reads them."""


@dataclass(kw_only=True)
class Options(
    options_of(PhotoProtocol, leave_out=["dataset", "filter_novel"], unset=True),
    options_of(Protocol, leave_out=["dataset", "gap", "filter_novel"], unset=True),
    Own,
):
    """Test saved networks on classes they have not seen; floors are tested beside them."""


def run(options: Options, command: str) -> None:
    """Test, print the tables, write the report.

    Raises:
        ValueError, OSError: what was asked for wrongly, before the work.
    """
    asked = [*options.networks, *([options.checkpoint] if options.checkpoint else [])]
    if not asked:
        raise ValueError("give a checkpoint, or a shipped model: hmnet evaluate FILE")
    paths = [zoo.find(name) for name in asked]
    if options.out:
        check_file(options.out, ".json", [*paths, *([options.root] if options.root else [])])
    own = [path for path in paths if path.suffix == zoo.SUFFIX]  # others are the authors' files
    reading = [path for path in own if zoo.facts(path).get("task") == "referring"]
    if reading:
        if len(paths) > 1 or options.dataset != "emoji":
            raise ValueError(f"{reading[0]} reads sentences; test it alone, on Emoji-Ref")
        unread = data.given(options, ("gaps", "shots", "fold"))
        if unread or options.keep:
            names = data.flags([*unread, *["keep"] * options.keep])
            raise ValueError(f"{names} means nothing for {paths[0]}, which reads sentences")
        evaluate_on_sentences(
            paths[0], options.out, command, scenes=options.episodes, seed=options.seed,
            support_use=options.support_use,
        )  # fmt: skip
    elif drawing := [path for path in own if zoo.facts(path).get("task") == "diffusion"]:
        if len(drawing) < len(paths) or options.dataset != "emoji":
            raise ValueError(
                f"{drawing[0]} is a DiffewS; test it on the emoji, with others of its kind"
            )
        _on_emoji_by_diffusion(paths, options, command)
    elif options.dataset == "emoji":
        unused = (name for name in data.PHOTO_FIELDS if name != "support_annotation")
        data.refuse_photo_options(options, (*unused, "backbone", "on_bad_image"))
        _on_emoji(paths, options, command)
    elif options.keep:
        raise ValueError("--keep is for the emoji: photographs are not the same for everyone")
    elif len(paths) > 1:
        raise ValueError(f"{len(paths)} checkpoints; on photographs one is tested at a time")
    else:
        photos.evaluate_on_photos(paths[0], options, command)


def method_of(path: Path, facts: dict[str, Any]) -> tuple[str, int | None]:
    """What a report calls a network, and its training seed."""
    name = facts.get("method") or re.sub(r"-seed\d+$", "", path.stem)
    return name, facts.get("seed")


def finish(report: Report, out: Path | None, command: str) -> None:
    """Write a report, then print it: a terminal that fails costs nothing."""
    report.made["command"] = command
    written = report.to_json(out) if out else None
    parts = [report.table(), report.support_table()]
    parts += [report.class_table(gap) for gap in report.gaps]
    parts += [f"wrote {written}"] if written else []
    print("\n\n".join(part for part in parts if part))


def _on_emoji(paths: list[Path], options: Options, command: str) -> None:
    networks, folds = {}, {}
    for path in paths:
        facts = zoo.facts(path)
        key = method_of(path, facts)
        if key in networks:
            raise ValueError(f"{path} is the second {key[0]!r} with seed {key[1]}; rename one")
        if "dataset" not in facts:  # to a network trained on photographs every fold is new
            folds[path] = facts.get("fold")
        networks[key] = path
    own = set(folds.values()) - {None}
    if len(own) > 1 or (own and options.fold not in (None, *own)):
        told = ", ".join(f"{path} with fold {fold}" for path, fold in folds.items())
        raise ValueError(
            f"trained with novel classes: {told}; on fold {options.fold} test classes are ones "
            "that were seen in training; leave --fold out, and test folds apart"
            if options.fold is not None
            else f"trained with novel classes: {told}; test one fold at a time"
        )
    of_all = [str(path) for path in folds if zoo.facts(path).get("fold", ...) is None]
    if of_all and options.fold is None:
        raise ValueError(
            f"{', '.join(of_all)} was trained on every class, so none is left that is new to it; "
            "--fold 0 tests it on classes that it knows"
        )
    if None in folds.values() and options.fold is None and not own:
        names = ", ".join(str(path) for path, fold in folds.items() if fold is None)
        raise ValueError(
            f"{names} does not say which fold was novel when it was trained; say it: --fold 0"
        )
    options.fold = own.pop() if own else options.fold
    protocol = data.emoji_protocol(options)
    data.check_lite_size(protocol.image_size)
    report = Report(
        protocol.build().classes, support_annotation=options.support_annotation or "mask"
    )
    models = {key: zoo.load(path) for key, path in networks.items()}
    data.check_lite_size(protocol.image_size, *(model.config for model in models.values()))
    report.training = {"runs": [{"method": m, "seed": s, **zoo.facts(path)}
                                for (m, s), path in networks.items()]}  # fmt: skip
    gaps = options.gaps or GAPS
    score_gaps(report, protocol, gaps, models, support_use=options.support_use)
    finish(report, options.out, command)
    if options.keep:
        for (method, seed), path in networks.items():
            add_facts(path, **_kept(report, method, seed))


def _on_emoji_by_diffusion(paths: list[Path], options: Options, command: str) -> None:
    folds = {zoo.facts(path)["fold"] for path in paths}
    if len(folds) > 1 or options.fold not in (None, *folds):
        raise ValueError(
            f"trained with fold {', '.join(map(str, sorted(folds)))} novel; test each on its own"
        )
    options.fold = folds.pop()
    protocol = data.emoji_protocol(options)
    report = score_diffusion(paths, protocol, options.gaps, support_use=options.support_use)
    finish(report, options.out, command)
    if options.keep:
        for path in paths:
            add_facts(path, **_kept(report, name_of(path), zoo.facts(path).get("seed")))


def _kept(report: Report, method: str, seed: int | None) -> dict[str, Any]:
    """What a checkpoint's header tells of a test: mIoU in [0, 1] by gap, and how it was tested."""
    rows = [row for row in report.rows if (row.method, row.seed) == (method, seed)]
    told = ("fold", "shots", "episodes", "seed")
    tested = {name: report.protocol[name] for name in told} | {"commit": report.made["commit"]}
    return {
        "metrics": {row.gap: round(row.miou, 6) for row in rows},
        "misled": {row.gap: {k: round(m, 4) for k, m in row.misled.items()} for row in rows},
        "tested": {**tested, "support_annotation": report.support_annotation},
    }

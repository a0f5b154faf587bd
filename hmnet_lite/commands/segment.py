"""hmnet segment: masks for pictures of one's own, from an outlined example or a sentence.

hmnet segment --support cup.jpg --mask cup.png --query desk.jpg --out masks
hmnet segment --support cup.jpg --box 40,60,210,330 --query kitchen/ --out masks
hmnet segment --text "the red cup left of the key" --query desk.jpg --out masks
hmnet segment --support coin.png --mask coin_mask.png --query coins.png --window 100 --out masks
hmnet segment --support cup.jpg --mask cup.png --query desk.jpg --weights fine-tuned --out masks
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from PIL import Image, ImageFilter
from tyro.conf import UseAppendAction, arg

from hmnet_lite.commands.outputs import check_folder
from hmnet_lite.data.photos.pictures import PICTURES
from hmnet_lite.files import replace_atomically
from hmnet_lite.models.diffews.model import DiffewS
from hmnet_lite.models.diffews.stable import from_folder, hears_masks
from hmnet_lite.scoring.by_words import Asked, doubt
from hmnet_lite.scoring.pictures import Picture, read_picture
from hmnet_lite.scoring.segment import Answer, Examples, check_probabilities
from hmnet_lite.scoring.windows import check_window
from hmnet_lite.training import zoo

TINT = (255, 110, 0)  # of what was found, in the overlay
Paths = Annotated[tuple[tuple[Path, ...], ...], UseAppendAction]


@dataclass(kw_only=True)
class Options:
    """Find in pictures of your own what one example shows, or a few.

    Writes OUT/NAME.png, 255 where the thing is and 0 elsewhere, of the picture's own size, and
    OUT/NAME_overlay.jpg to look at, for each query NAME.
    """

    support: Paths = ()
    """A picture that shows the thing; several may be given."""
    mask: Paths = ()
    """For each support its mask: white where the thing is, of the support's size."""
    box: Annotated[tuple[str, ...], UseAppendAction, arg(metavar="X0,Y0,X1,Y1")] = ()
    """Instead of masks, for each support the box around the thing, in pixels."""
    text: Annotated[str | None, arg(metavar="SENTENCE")] = None
    """Instead of supports: what to find, in English ("the smaller of the two bells")."""
    query: Paths = ()
    """Where to look: pictures, or folders of them."""
    out: Path = Path("masks")
    """The folder of the results."""
    model: Annotated[str | None, arg(metavar="NAME|FILE")] = None
    """A shipped network (hmnet info lists them), or the file of one."""
    weights: Annotated[Path | None, arg(metavar="FOLDER")] = None
    """Instead of a model: Stable Diffusion's folder (unet/ and vae/, as diffusers saves them), for
    a DiffewS at 512 pixels; only one that was fine-tuned hears masks."""
    threshold: Annotated[str | None, arg(metavar="relative|absolute")] = None
    """Of the picture that a DiffewS draws: relative to its brightest pixel, or not (its own)."""
    level: Annotated[float | None, arg(metavar="SHARE")] = None
    """Of that threshold, from 0 to 1 (its own)."""
    side: int | None = None
    """Pixels of the square pictures are fitted into, a multiple of 16 (the network's own)."""
    window: int | None = None
    """Look through windows of so many pixels: for many small things, about twice one's size."""
    probabilities: bool = False
    """Also write OUT/NAME_probability.png: 255 where the network is sure of the thing (a DiffewS
    cannot tell)."""


def run(options: Options, command: str) -> None:
    """Segment every query.

    Raises:
        ValueError, OSError: an input that cannot be used, or an output that cannot be written,
            before the work. Broken pictures of a folder are told when the others are done.
    """
    supports, masks = _flat(options.support), _flat(options.mask)
    boxes = [_box(text) for text in options.box]
    reads = options.text is not None
    if reads and (supports or masks or boxes):
        raise ValueError("give --text or --support with its --mask or --box, not both")
    if reads and options.window is not None:
        raise ValueError("--window goes with --support; a sentence is about the whole picture")
    if options.weights is not None and (reads or options.model is not None):
        other = "--text: it reads no sentences" if reads else "--model: they are two networks"
        raise ValueError(f"--weights does not go with {other}")
    if not supports and not reads:
        raise ValueError(
            "give a picture that shows the thing, --support cup.jpg --mask cup.png, or say it: "
            "--text 'the red bus'"
        )
    if not options.query:
        raise ValueError("give pictures to look in: --query desk.jpg, or --query folder")
    if not reads and bool(masks) == bool(boxes):
        raise ValueError("give each --support its --mask, or its --box x0,y0,x1,y1")
    queries = _queries(_flat(options.query))
    folders = [path.resolve() for path in _flat(options.query) if path.is_dir()]
    if options.out.resolve() in folders:
        raise ValueError(
            f"--out {options.out} is the folder of the queries, where results would be taken for "
            "pictures the next time; choose another"
        )
    file = options.weights or zoo.find(options.model or (zoo.READER if reads else zoo.DEFAULT))
    endings = ("{}.png", "{}_overlay.jpg", *["{}_probability.png"] * options.probabilities)
    outputs = [ending.format(query.stem) for query in queries for ending in endings]
    inputs = [*supports, *masks, *queries, file]
    check_folder(options.out, outputs, inputs)
    beside = {path.resolve().parent for path in (*supports, *masks, *queries)}
    there = [name for name in outputs if (options.out / name).exists()]
    if there and options.out.resolve() in beside:  # perhaps a mask that somebody painted
        raise ValueError(
            f"{options.out / there[0]} is there already, beside the pictures; choose another --out"
        )
    model = _network(options, file)
    asked: Examples | Asked = (
        Asked(model, options.text, side=options.side)
        if options.text is not None
        else Examples(model, supports, masks or None, boxes=boxes or None, side=options.side)
    )
    broken = []
    for query in _bar(queries):
        try:
            picture = read_picture(query)
            if options.window is not None:
                check_window(options.window, picture)
        except ValueError as error:  # a broken picture, or one that the window does not fit
            if len(queries) == 1:
                raise
            broken.append(str(error))
            continue
        looked = {} if options.window is None else {"window": options.window}
        answer = asked.find(picture, **looked)
        if reads and (line := doubt(answer)):
            print(f"{query}: {line}", file=sys.stderr)
        _write(options, query.stem, picture, answer)
    done = len(queries) - len(broken)
    print(f"wrote {done} mask{'s' * (done != 1)} to {options.out}")
    if options.weights is not None and done and not hears_masks(model):
        print(
            f"{file} was not fine-tuned for masks: it hears the supports' pictures, not where the "
            "thing is, and what it draws means nothing yet",
            file=sys.stderr,
        )
    if broken:
        raise ValueError(f"{len(broken)} of {len(queries)} pictures left out: {'; '.join(broken)}")


def overlay(picture: Picture, found: np.ndarray) -> Image.Image:
    """What was found on the picture, tinted and outlined.

    Args:
        picture: its (perhaps shrunk) `image` is drawn on.
        found: (h, w) bool, of that image's size.
    """
    mask = Image.fromarray(np.where(found, 255, 0).astype(np.uint8))
    tinted = Image.blend(picture.image, Image.new("RGB", mask.size, TINT), 0.45)
    result = Image.composite(tinted, picture.image, mask)
    width = 2 * max(1, max(mask.size) // 400) + 1
    inner = mask.filter(ImageFilter.MinFilter(width))
    edge = Image.fromarray(np.asarray(mask) - np.asarray(inner))
    result.paste(TINT, mask=edge)
    return result


def _network(options: Options, file: Path) -> Any:
    """The network that is asked for, its threshold as well."""
    asked = {"threshold": options.threshold, "level": options.level}
    switches: dict[str, Any] = {name: x for name, x in asked.items() if x is not None}
    if options.weights is not None:
        model = from_folder(file, **switches).to("cuda" if torch.cuda.is_available() else "cpu")
    else:
        model = zoo.load(file)
        reads = options.text is not None
        if reads != (zoo.facts(file).get("task") == "referring"):
            wanted = f"--model {zoo.READER}, or --support" if reads else "--text and no --support"
            raise ValueError(f"{options.model} does not fit what was given: it wants {wanted}")
        if switches and not isinstance(model, DiffewS):
            raise ValueError(
                f"--{min(switches)} is for the picture that a DiffewS draws; expected --weights or "
                "--model diffews-fold0 beside it"
            )
        if switches:
            model.config = replace(model.config, **switches)
    if options.probabilities:
        check_probabilities(model)
    return model


def _write(options: Options, stem: str, picture: Picture, answer: Answer) -> None:
    def save(name: str, image: Image.Image, kind: str, **how) -> None:
        replace_atomically(options.out / name, lambda file: image.save(file, kind, **how))

    mask = Image.fromarray(np.where(answer.mask(), np.uint8(255), np.uint8(0)))
    save(f"{stem}.png", mask, "PNG")
    small = answer.shrunk((picture.image.height, picture.image.width)).mask()
    save(f"{stem}_overlay.jpg", overlay(picture, small), "JPEG", quality=90)
    if options.probabilities:
        save(f"{stem}_probability.png", Image.fromarray(answer.grey()), "PNG")


def _queries(given: list[Path]) -> list[Path]:
    """Pictures, those of folders included, sorted there; each name once."""
    found: list[Path] = []
    for path in given:
        if path.is_dir():
            inside = sorted(
                p
                for p in path.iterdir()
                if p.suffix.lower() in PICTURES and not p.name.startswith(".")
            )
            if not inside:
                raise ValueError(f"{path} holds no picture ({', '.join(PICTURES)})")
            found += inside
        elif path.exists():
            found.append(path)
        else:
            raise FileNotFoundError(f"there is no picture or folder {path}")
    stems: dict[str, Path] = {}
    for path in found:
        if path.stem in stems:
            raise ValueError(
                f"{stems[path.stem]} and {path} would both be written to {path.stem}.png; rename "
                "one, or segment them into two folders"
            )
        stems[path.stem] = path
    return found


def _box(text: str) -> list[float]:
    try:
        box = [float(number) for number in text.split(",")]
    except ValueError:
        box = []
    if len(box) != 4:
        raise ValueError(f"--box {text}; expected four numbers in pixels: x0,y0,x1,y1")
    return box


def _flat(given: Paths) -> list[Path]:
    return [path for several in given for path in several]


def _bar(queries: list[Path]):
    from tqdm import tqdm

    return tqdm(queries, unit="picture", leave=False, disable=len(queries) == 1, file=sys.stderr)

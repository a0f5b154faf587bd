"""hmnet info: this machine, the backends that work, models, data and cache found on it."""

from __future__ import annotations

import os
import platform
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import torch
from tyro.conf import arg

from hmnet_lite.data.emoji import tiles
from hmnet_lite.experiments.tables import AUDIBLE
from hmnet_lite.files import cache_folder
from hmnet_lite.machine import commit, made_on
from hmnet_lite.models.backbones import BACKBONES
from hmnet_lite.scan.backends import BACKENDS, choose_backend, why_not
from hmnet_lite.training import checkpoint, zoo

#: data set to a path that its folder has; how `--root` may be found before it is typed
LAYOUTS = {
    "pascal": ("VOC2012", "VOCdevkit/VOC2012", "VOCdevkit2012/VOC2012"),
    "coco": ("COCO2014", "MSCOCO2014", "coco"),
    "fss1000": ("FSS-1000", "fewshot_data", "fss1000"),
}


@dataclass(kw_only=True)
class Options:
    """Tell what this machine has: processor, backends and why others do not work, models, data."""

    roots: Annotated[tuple[Path, ...], arg(metavar="FOLDER ...")] = (Path("."),)
    """Folders to look for data sets in."""


def run(options: Options, command: str) -> None:
    """Print it."""
    made = made_on()
    lines = [
        f"hmnet-lite {made['versions']['hmnet-lite']}, commit {commit() or 'unknown'}",
        f"Python {platform.python_version()}, torch {torch.__version__}",
        f"{made['system']}, {made['processor']}, {made['cores']} cores, {made['threads']} threads",
        f"GPU: {made['gpu'] or 'none that torch sees'}",
        "",
        *_backends(),
        "",
        *_models(),
        "",
        *_data(options.roots),
        "",
        _cache(),
    ]
    print("\n".join(lines))


def _backends() -> list[str]:
    u = torch.zeros(1, 4, 8, device="cuda" if torch.cuda.is_available() else "cpu")
    lines = [f"Scan backends (auto takes {choose_backend(u)[0]} here):"]
    for name in BACKENDS:
        reason = why_not(name, u)
        lines.append(f"  {name:<12}{'works' if reason is None else ' '.join(reason.split())}")
    return lines


def _models() -> list[str]:
    names = zoo.names()
    lines = [f"Shipped models ({len(names)}):" if names else "Shipped models: none"]
    width = max(map(len, names), default=0) + 2
    for name in names:
        try:
            lines.append(f"  {name:<{width}}{_about(name, zoo.facts(name))}".rstrip())
        except ValueError as error:
            lines.append(f"  {name:<{width}}damaged: {error}")
    weights = ", ".join(sorted(BACKBONES))
    return [*lines, f"Backbones with weights in the package: {weights}"]


def _about(name: str, facts: dict[str, Any]) -> str:
    """What a model is for, what it was trained on, and its scores, where its header tells."""
    use = {zoo.DEFAULT: "segment's default", zoo.READER: "default of segment --text"}.get(name, "")
    fold = facts.get("fold", ...)
    classes = {...: "", None: "every class"}.get(fold, f"fold {fold} is new to it")
    steps = f"{facts['steps']:,} steps" if isinstance(facts.get("steps"), int) else ""
    before = facts.get("began", {}).get("steps")  # of the network that it went on from
    if isinstance(before, int):
        steps = f"{before:,} + {steps}"
    elif facts.get("after"):
        steps += f" after those of {facts['after']}"
    parts = (use, classes, steps, _scores(facts), _listening(name, facts))
    return "; ".join(part for part in parts if part)


def _scores(facts: dict[str, Any]) -> str:
    """The mIoU a model's header tells, by gap."""
    found = facts.get("metrics")
    if not isinstance(found, dict):
        return ""
    pairs = ((gap, value) for gap, value in found.items() if isinstance(value, int | float))
    told = ", ".join(f"{gap} {100 * value:.1f}" for gap, value in pairs)
    return f"mIoU {told}" if told else ""


def _listening(name: str, facts: dict[str, Any]) -> str:
    """Whether the mixer listens to its support, where the header tells what a wrong one costs.

    It does at the gaps where that is half a point of mIoU or more; a header has no intervals.
    """
    right, misled = facts.get("metrics"), facts.get("misled")
    if not isinstance(right, dict) or not isinstance(misled, dict):
        return ""
    lost = {gap: right[gap] - x["wrong"] for gap, x in misled.items() if "wrong" in x}
    if not lost or not checkpoint.read_config(zoo.find(name)).get("depth"):
        return ""  # without a mixer there is nothing to listen with
    heard = [gap for gap, points in lost.items() if points >= AUDIBLE]
    if len(heard) in (0, len(lost)):
        return f"its mixer {'listens' if heard else 'is deaf'}"
    return f"its mixer listens at {', '.join(heard)}"


def _data(roots: tuple[Path, ...]) -> list[str]:
    try:
        folder = tiles.data_folder()
        lines = [f"Data: emoji in {folder} ({len(tiles.classes(folder))} classes)"]
    except (OSError, ValueError) as error:
        lines = [f"Data: no emoji ({error})"]
    for root in roots:
        for name, places in LAYOUTS.items():
            there = [root / place for place in places if (root / place).is_dir()]
            lines += [f"  {name}: --dataset {name} --root {place}" for place in there]
    if len(lines) == 1:
        lines.append(f"  no photographs found in {', '.join(map(str, roots))} (--roots FOLDER)")
    return lines


def _cache() -> str:
    folder = cache_folder()
    named = "HMNET_LITE_CACHE" if os.environ.get("HMNET_LITE_CACHE") else "set HMNET_LITE_CACHE"
    if not folder.is_dir():
        return f"Cache: {folder}, not there yet ({named} to move it)"
    sizes = [_size(path) for path in folder.rglob("*")]
    left = sum(path.suffix == ".tmp" for path in folder.rglob("*"))
    free = shutil.disk_usage(folder).free
    told = f"Cache: {folder}, {sum(sizes) / 1e6:,.0f} MB in {sum(s > 0 for s in sizes)} files"
    told += f", {free / 1e9:,.0f} GB free ({named} to move it; it can be deleted at any time)"
    return told + (f"; {left} unfinished files of stopped runs are in it" if left else "")


def _size(path: Path) -> int:
    """Bytes of a file; 0 for folders and for what another run removed meanwhile."""
    try:
        return path.stat().st_size if path.is_file() else 0
    except OSError:
        return 0

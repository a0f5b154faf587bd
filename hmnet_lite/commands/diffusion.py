"""hmnet evaluate for DiffewS: the emoji's test episodes, the floors, HMNet-lite beside it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from torch import Tensor, nn

from hmnet_lite.data.emoji.protocol import GAPS, Protocol
from hmnet_lite.models.backbones import EfficientNetLite0, Features
from hmnet_lite.scoring.evaluate import FLOORS, evaluate
from hmnet_lite.scoring.gaps import SHOWN, prior_threshold
from hmnet_lite.scoring.latents import LatentEpisodes, can_be_misled, score_latents
from hmnet_lite.scoring.predict import photo_prior_predictor, segment_episode
from hmnet_lite.scoring.report import Report
from hmnet_lite.training import zoo
from hmnet_lite.training.outputs import device_of_process

REMEMBERED = 8  # pictures of an episode or two
BESIDE = "hmnet-lite-fold{}"  # scored on the same episodes where it is shipped


def score_diffusion(
    paths: Sequence[Path],
    protocol: Protocol,
    gaps: Sequence[str] | None = None,
    *,
    support_use: bool = True,
) -> Report:
    """Every network, the floors and HMNet-lite on the same pictures.

    Args:
        paths: of DiffewS's checkpoints, all of the protocol's fold.
        protocol: its gap is replaced by each of `gaps` in turn; all four when None.
        support_use: also test each DiffewS with a wrong support, and with none, at its attention;
            on latents in float16, by which a score may differ in its last digit.
    """
    files = {(name_of(path), zoo.facts(path).get("seed")): path for path in paths}
    networks = {key: zoo.load(path) for key, path in files.items()}
    beside = BESIDE.format(protocol.fold)
    if beside in zoo.names():
        networks["HMNet-lite", zoo.facts(beside).get("seed")] = zoo.load(beside)
    backbone = _remembering(EfficientNetLite0().to(device_of_process()))
    for network in networks.values():  # all look through the same eyes
        if getattr(network.backbone, "fingerprint", None) == backbone.fingerprint:
            network.backbone = backbone
    asked = {(name, None): floor for name, floor in FLOORS.items()}
    asked["prior mask", None] = photo_prior_predictor(backbone, prior_threshold(protocol))
    asked |= {key: partial(segment_episode, network) for key, network in networks.items()}
    report = Report(protocol.build().classes)
    report.training = {"runs": [{"method": name_of(path), **zoo.facts(path)} for path in paths]}
    for gap in gaps or GAPS:
        at_gap = replace(protocol, gap=gap)
        named = {" / ".join(map(str, key)): predict for key, predict in asked.items()}
        scores = evaluate(named, at_gap.build())
        for key, result in zip(asked, scores.values(), strict=True):
            misled = _misled(files[key], at_gap) if support_use and key in files else {}
            report.add(key[0], at_gap, result, seed=key[1], misled=misled)
    return report


def _misled(path: Path, protocol: Protocol) -> dict[str, float]:
    """What a DiffewS scores whose attention is shown another support; nothing where none can be."""
    network = zoo.load(path, device="cpu")  # where its latents are kept
    if not can_be_misled(network):
        return {}
    cached = LatentEpisodes(protocol.build(), network)
    return {shown: score_latents(network, cached, shown=shown).miou for shown in SHOWN}


def _remembering(backbone: nn.Module) -> nn.Module:
    """The backbone, which knows the last pictures again: several networks look at the same ones."""
    forward: Callable[[Tensor], Features] = backbone.forward
    seen: dict[bytes, Features] = {}

    def remembered(images: Tensor) -> Features:
        key = hashlib.sha1(images.cpu().numpy().tobytes()).digest()
        if key not in seen:
            while len(seen) >= REMEMBERED:
                del seen[next(iter(seen))]
            seen[key] = forward(images)
        return seen[key]

    backbone.forward = remembered
    return backbone


def name_of(path: Path) -> str:
    """What a report calls a network."""
    return path.stem.partition("-seed")[0]

"""The numbers of the failures' figures: shipped networks over the experiments' test episodes."""

from __future__ import annotations

import base64
import zlib
from collections import Counter
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np

from hmnet_lite.analysis.failures import KINDS, kind_of
from hmnet_lite.data.emoji.protocol import GAPS
from hmnet_lite.experiments.runs import TEST
from hmnet_lite.models.features import CachedFeatures
from hmnet_lite.scoring.metrics import mask_iou
from hmnet_lite.scoring.predict import model_predictor
from hmnet_lite.workbook import measured

#: what figures call a network → its name
NETWORKS = {
    "HMNet-lite": "hmnet-lite-fold0",
    "without Mamba": "without-mamba-fold0",
    "SRM + QIM by the state alone": measured.state_network("both"),
}
RANKS = {"best": 1.0, "median": 0.5, "worst": 0.0}


def failure_kinds() -> dict[str, Any]:
    """Network to gap to how many of its answers are of each kind."""
    counts = {}
    for title, name in NETWORKS.items():
        counts[title] = {}
        for gap in GAPS:
            kinds = Counter(
                kind_of(found, episode.query_mask, episode.query_objects)
                for found, episode in zip(answers(name, gap), features(gap), strict=True)
            )
            counts[title][gap] = {kind: kinds[kind] for kind in KINDS}
    return {"from": came(*NETWORKS.values()), "counts": counts}


def best_median_worst(title: str = "HMNet-lite", gaps: tuple[str, ...] = ("same", "cross")) -> dict:
    """Of each gap the episodes whose IoU is highest, in the middle and lowest, with the answers."""
    shown = []
    for gap in gaps:
        masks = answers(NETWORKS[title], gap)
        ious = [
            mask_iou(mask, episode.query_mask) or 0.0
            for mask, episode in zip(masks, features(gap), strict=True)
        ]
        order = np.argsort(ious, kind="stable")
        for rank, share in RANKS.items():
            index = int(order[round(share * (len(order) - 1))])
            shown.append(
                {"gap": gap, "rank": rank, "index": index, "iou": ious[index],
                 "answer": packed(masks[index])}
            )  # fmt: skip
    return {"from": came(NETWORKS[title]), "network": title, "shown": shown}


@lru_cache(maxsize=len(NETWORKS) * len(GAPS))
def answers(name: str, gap: str) -> list[np.ndarray]:
    """(H, W) bool of every test episode."""
    predict = model_predictor(measured.network(name))
    return [predict(episode) for episode in features(gap)]


@lru_cache(maxsize=len(GAPS))
def features(gap: str) -> CachedFeatures:
    """The experiments' test episodes at a gap."""
    protocol = replace(TEST, fold=measured.FOLD, gap=gap)
    return CachedFeatures(protocol.build(), workers=1, progress=False)


def came(*names: str) -> dict[str, Any]:
    """From which networks, and of how many episodes at every gap."""
    told = measured.sources(*names, episodes=TEST.episodes)
    return {key: value for key, value in told.items() if key != "gap"}


def packed(mask: np.ndarray) -> str:
    """A mask as a short line of text."""
    return base64.b85encode(zlib.compress(np.packbits(mask).tobytes(), 9)).decode()


def unpacked(text: str, size: tuple[int, int]) -> np.ndarray:
    """Inverse of `packed`, (H, W) bool."""
    bits = np.frombuffer(zlib.decompress(base64.b85decode(text)), np.uint8)
    return np.unpackbits(bits, count=size[0] * size[1]).reshape(size).astype(bool)

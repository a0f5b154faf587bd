"""The numbers of the failures' figures: shipped networks over the experiments' test episodes."""

from __future__ import annotations

import base64
import zlib
from collections import Counter
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np

from hmnet_lite.analysis.failures import (
    CAUSES,
    ENOUGH,
    KINDS,
    Circumstances,
    circumstances,
    kind_of,
)
from hmnet_lite.data.emoji.protocol import GAPS
from hmnet_lite.experiments.runs import TEST
from hmnet_lite.models.features import CachedFeatures
from hmnet_lite.scoring.intervals import mean_interval
from hmnet_lite.scoring.metrics import mask_iou
from hmnet_lite.scoring.predict import model_predictor
from hmnet_lite.workbook import measured

#: what figures call a network → its name
NETWORKS = {
    "HMNet-lite": "hmnet-lite-fold0",
    "without Mamba": "without-mamba-fold0",
    "SRM + QIM by the state alone": measured.state_network("both"),
}
REST = "none of these"  # causes
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
    shown = [
        {"gap": gap, "rank": rank} | _shown(title, gap, index)
        for gap in gaps
        for rank, index in _ranks(title, gap).items()
    ]
    return {"from": came(NETWORKS[title]), "network": title, "shown": shown}


def failure_causes(title: str = "HMNet-lite") -> dict[str, Any]:
    """Gap to cause to how many answers fail where it is there and where not, and of how many."""
    gaps, first = {}, {}
    for gap in GAPS:
        failed = np.array(ious(NETWORKS[title], gap)) < ENOUGH
        causes = [each.causes for each in surroundings(gap)]
        gaps[gap] = {}
        for cause in CAUSES:
            there = np.array([cause in found for found in causes])
            sides = {"with": there, "without": ~there}
            gaps[gap][cause] = {side: _share(failed, who) for side, who in sides.items()}
        blamed = Counter((*causes[i], REST)[0] for i in np.flatnonzero(failed))
        first[gap] = {cause: blamed[cause] for cause in (*CAUSES, REST)}
    return {"from": came(NETWORKS[title]), "network": title, "gaps": gaps, "first": first}


def _share(failed: np.ndarray, who: np.ndarray) -> dict[str, Any]:
    low, high = mean_interval(np.where(who, failed, np.nan)[None])
    return {"episodes": int(who.sum()), "failed": int(failed[who].sum()),
            "low": float(low), "high": float(high)}  # fmt: skip


def failures_gallery(title: str = "HMNet-lite", gap: str = "cross") -> dict[str, Any]:
    """Best, median and worst episode, and a failure in the middle of those of each first cause."""
    chosen = _ranks(title, gap)
    found = ious(NETWORKS[title], gap)
    causes = [(*each.causes, REST)[0] for each in surroundings(gap)]
    for cause in (*CAUSES, REST):
        failed = [i for i in np.argsort(found, kind="stable") if found[i] < ENOUGH]
        those = [int(i) for i in failed if causes[i] == cause and i not in chosen.values()]
        if those:
            chosen[cause] = those[len(those) // 2]
    shown = [{"title": what} | _shown(title, gap, index) for what, index in chosen.items()]
    return {"from": came(NETWORKS[title]), "network": title, "gap": gap, "shown": shown}


def _ranks(title: str, gap: str) -> dict[str, int]:
    order = np.argsort(ious(NETWORKS[title], gap), kind="stable")
    return {rank: int(order[round(share * (len(order) - 1))]) for rank, share in RANKS.items()}


def _shown(title: str, gap: str, index: int) -> dict[str, Any]:
    name = NETWORKS[title]
    answer = packed(answers(name, gap)[index])
    return {"index": index, "iou": ious(name, gap)[index], "answer": answer}


def ious(name: str, gap: str) -> list[float]:
    """IoU of every test episode."""
    pairs = zip(answers(name, gap), features(gap), strict=True)
    return [mask_iou(mask, episode.query_mask) or 0.0 for mask, episode in pairs]


@lru_cache(maxsize=len(GAPS))
def surroundings(gap: str) -> list[Circumstances]:
    """What may make each test episode hard."""
    cached = features(gap)
    return [
        circumstances(
            episode.query.deep.float(), labels, episode.support[0].float(),
            episode.support_masks[0], hidden,
        )
        for episode in cached
        for labels, hidden in [cached.episodes.layout(episode.index)]
    ]  # fmt: skip


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

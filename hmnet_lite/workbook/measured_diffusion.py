"""The numbers of notebook 12's figures: the shipped DiffewS and HMNet-lite on the same episodes."""

from __future__ import annotations

import statistics
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from hmnet_lite.analysis.failures import KINDS, kind_of
from hmnet_lite.analysis.overlap import certainty, episode_ious, failing_together, scores_of
from hmnet_lite.data.emoji.protocol import GAPS, Protocol
from hmnet_lite.experiments.diffusion import load
from hmnet_lite.experiments.runs import TEST
from hmnet_lite.machine import memory_timeline
from hmnet_lite.models.features import CachedFeatures
from hmnet_lite.scoring.intervals import paired_difference
from hmnet_lite.scoring.latents import LatentEpisodes, LatentTest, light, masks_of
from hmnet_lite.scoring.metrics import Scores
from hmnet_lite.scoring.packing import unpack_scores
from hmnet_lite.scoring.predict import segment_episode
from hmnet_lite.training import zoo
from hmnet_lite.workbook import measured

#: what figures call a network → its name
PAIR = {"DiffewS": "diffews-fold0", "HMNet-lite": "hmnet-lite-fold0"}
LEVELS = tuple(round(0.05 * i, 2) for i in range(1, 17))  # of the threshold
#: dials of the scene, at gap "same": what failures are made of
DIALS = {
    "nothing hidden": {"occlusion": 0.0},
    "up to 80 % hidden": {"occlusion": 0.8},
    "no other objects": {"distractors": 0},
    "six other objects": {"distractors": 6},
}
EPISODES, FEW, SOME = 200, 60, 100  # at a gap; at a setting of a dial; of classes that were seen
SHOTS_EPISODES = 60
SEEN_FOLD = 1  # its classes were trained on by networks of fold 0
TIMED = 10  # episodes


@dataclass(frozen=True, eq=False)
class Answers:
    """Both networks' answers to the same episodes."""

    drawn: np.ndarray  # (episodes, H, W): DiffewS's brightness, enlarged
    told: np.ndarray  # (episodes, H, W) in [0, 1]: HMNet-lite's probability of the foreground
    truth: np.ndarray  # (episodes, H, W) bool
    objects: np.ndarray  # (episodes, H, W) uint8
    class_ids: np.ndarray

    def masks(self) -> dict[str, np.ndarray]:
        """Name of the network to its masks."""
        config = measured.network(PAIR["DiffewS"]).config
        ours = certainty(self.drawn, config.threshold, config.level) > 0.5
        return dict(zip(PAIR, (ours, self.told > 0.5), strict=True))


@lru_cache(maxsize=1)
def answers(protocol: Protocol) -> Answers:
    """Both shipped networks on the test episodes of a protocol."""
    ours, theirs = (measured.network(name) for name in PAIR.values())
    episodes = LatentEpisodes(protocol.build(), ours)
    features = CachedFeatures(protocol.build(), workers=1, progress=False)
    drawn, told, rest = [], [], []
    size = (protocol.image_size,) * 2
    for start, batch in zip(range(0, len(features), 10), episodes.batches(10), strict=True):
        drawn.append(_enlarged(light(ours, batch)[:, None], size))
        given = features.batch(range(start, min(start + 10, len(features))))
        with torch.inference_mode():
            logits = theirs.segment(given.query, given.support, given.support_masks)
        told.append(_enlarged(logits[:, 1:] - logits[:, :1], size).sigmoid())
        rest.append((batch.masks == 1, batch.objects, np.array(batch.class_ids)))
    truth, objects, ids = (np.concatenate(x) for x in zip(*rest, strict=True))
    return Answers(torch.cat(drawn).numpy(), torch.cat(told).numpy(), truth, objects, ids)


def _enlarged(x: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    return F.interpolate(x, size, mode="bilinear", align_corners=False)[:, 0]


# ------------------------------------------------------------------------------ side by side


def diffews_beside_hmnet(episodes: int = EPISODES, few: int = FEW, some: int = SOME) -> dict:
    """Scores, kinds of failures and shared failures at every gap and dial, and what both cost."""
    protocol = replace(TEST, fold=measured.FOLD, episodes=episodes)
    gaps, thresholds = {}, {}
    for gap in GAPS:
        found = answers(replace(protocol, gap=gap))
        gaps[gap], thresholds[gap] = beside(found), threshold_sweep(found)
    at_same = replace(protocol, gap="same", episodes=few)
    dials = {"as it is": beside(answers(at_same))}
    dials |= {name: beside(answers(replace(at_same, **x))) for name, x in DIALS.items()}
    seen = {
        gap: beside(answers(replace(protocol, fold=SEEN_FOLD, gap=gap, episodes=some)))
        for gap in ("same", "cross")
    }
    came = measured.sources(*PAIR.values(), episodes=episodes, dials=few, seen=some)
    del came["gap"]
    return {"from": came, "gaps": gaps, "thresholds": thresholds, "dials": dials, "seen": seen,
            "costs": costs()}  # fmt: skip


def beside(found: Answers) -> dict[str, Any]:
    """Both networks, their mean, and the better of the two for each episode, on some episodes."""
    masks = found.masks()
    ours, theirs = masks.values()
    config = measured.network(PAIR["DiffewS"]).config
    sure = certainty(found.drawn, config.threshold, config.level)
    ious = {name: episode_ious(x, found.truth) for name, x in masks.items()}
    better = (ious["DiffewS"] > ious["HMNet-lite"])[:, None, None]
    masks |= {"mean of both": (sure + found.told) / 2 > 0.5}
    masks |= {"better of both": np.where(better, ours, theirs)}
    scores = {name: scores_of(x, found.truth, found.class_ids) for name, x in masks.items()}
    kinds = {
        name: Counter(map(kind_of, masks[name], found.truth.astype(np.uint8), found.objects))
        for name in PAIR
    }
    return {
        "mIoU": {name: x.miou for name, x in scores.items()},
        "DiffewS minus HMNet-lite": difference(scores["DiffewS"], scores["HMNet-lite"]),
        "mean minus HMNet-lite": difference(scores["mean of both"], scores["HMNet-lite"]),
        "kinds": {name: {kind: x[kind] for kind in KINDS} for name, x in kinds.items()},
        "DiffewS is better": better.mean(),
        "together": failing_together(*ious.values()),
    }


def difference(ours: Scores, theirs: Scores) -> list[float]:
    """mIoU of one minus the other's: [mean, low, high], 95 % over episodes."""
    found = paired_difference(ours, theirs)
    return [found.mean, found.low, found.high]


def threshold_sweep(found: Answers) -> dict[str, Any]:
    """mIoU of DiffewS by kind and level of the threshold; relative minus absolute, best levels."""
    tops = found.drawn.max((1, 2), keepdims=True)
    curves: dict[str, Any] = {}
    best = []
    for kind, top in (("relative", tops), ("absolute", 1.0)):
        scores = [
            scores_of(found.drawn > level * top, found.truth, found.class_ids) for level in LEVELS
        ]
        curves[kind] = [x.miou for x in scores]
        best.append(max(scores, key=lambda x: x.miou))
    return curves | {"levels": LEVELS, "relative minus absolute": difference(*best)}


# ------------------------------------------------------------------------- shots and generation


def diffews_shots(
    episodes: int = SHOTS_EPISODES, steps: int = 10, gaps: tuple[str, ...] = ("same",)
) -> dict[str, Any]:
    """More supports, all their keys or as many as of one; and ways to generate, untrained for.

    Args:
        episodes: at each gap, with five supports each: six pictures to draw and eleven to encode.
        steps: of the ways to generate.
        gaps: that are tested.
    """
    model = measured.network(PAIR["DiffewS"])
    arms = {"1": (1, {}), "3": (3, {}), "3 sampled": (3, {"support_keys": "sampled"}),
            "5": (5, {}), "5 sampled": (5, {"support_keys": "sampled"})}  # fmt: skip
    ways = {
        name: {"generation": name, "sampling_steps": steps}
        for name in ("image-to-mask", "noise-to-mask")
    }
    shots, generation, guessed = {}, {}, {}
    for gap in gaps:
        protocol = replace(TEST, fold=measured.FOLD, gap=gap, shots=5, episodes=episodes)
        cached = LatentEpisodes(protocol.build(), model)
        scores = {name: _scored(cached.batches(), *arm) for name, arm in arms.items()}
        shots[gap] = {
            name: {"mIoU": x.miou, "minus one shot": difference(x, scores["1"])}
            for name, x in scores.items()
        }
        one = [cached.batch(range(i, i + 10)) for i in range(0, min(60, episodes), 10)]
        generation[gap] = {"one-step": _scored(one, 1, {}).miou}
        generation[gap] |= {name: _scored(one, 1, way).miou for name, way in ways.items()}
        guessed[gap] = _guessed(cached.batches())
    came = measured.sources(PAIR["DiffewS"], episodes=episodes, generated=min(60, episodes))
    del came["gap"]
    return {"from": came, "shots": shots, "generation": generation, "steps": steps,
            "first guess": guessed}  # fmt: skip


def _scored(batches: Iterator[LatentTest] | list[LatentTest], shots: int, switches: dict) -> Scores:
    model = measured.network(PAIR["DiffewS"])
    torch.manual_seed(0)  # of the keys that are drawn, and of noise
    parts = []
    with switched(model, **switches):
        for batch in batches:
            found = masks_of(model, light(model, batch.first(shots)), batch.masks.shape[-2:])
            parts.append((found, batch.masks == 1, np.array(batch.class_ids)))
    return scores_of(*(np.concatenate(x) for x in zip(*parts, strict=True)))


@torch.inference_mode()
def _guessed(batches: Iterator[LatentTest]) -> dict[str, float]:
    """mIoU of the first guess alone, one shot, at its best level; the UNet is not asked."""
    model = measured.network(PAIR["DiffewS"])
    lights, rest = [], []
    for batch in batches:
        one = batch.first(1)
        guess = model.guess(one.query, one.supports, one.told, one.alike)
        guess = model.decode(guess).mean(1, keepdim=True)
        lights.append(_enlarged(guess, batch.masks.shape[-2:]).numpy())
        rest.append((batch.masks == 1, np.array(batch.class_ids)))
    drawn = np.concatenate(lights)
    truth, ids = (np.concatenate(x) for x in zip(*rest, strict=True))
    tops = drawn.max((1, 2), keepdims=True)
    found = {level: scores_of(drawn > level * tops, truth, ids).miou for level in LEVELS}
    level = max(found, key=lambda x: found[x])
    return {"mIoU": found[level], "level": level}


@contextmanager
def switched(model, **switches: Any) -> Iterator[None]:
    """A model with other switches of its config for a while; its weights stay."""
    own, model.config = model.config, replace(model.config, **switches)
    try:
        yield
    finally:
        model.config = own


# -------------------------------------------------------------------------------- costs, arms


def costs() -> dict[str, Any]:
    """From pictures to a mask, one thread: processor's seconds, peak memory; sizes and training."""
    episodes = [replace(TEST, fold=measured.FOLD, gap="same").build()[i] for i in range(TIMED)]
    found = {}
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for title, name in PAIR.items():
            network, facts = measured.network(name), zoo.facts(name)
            spent = []
            for episode in episodes[:1] + episodes:  # the first one warms up
                begin = time.process_time()
                segment_episode(network, episode)
                spent.append(time.process_time() - begin)
            run = lambda network=network: segment_episode(network, episodes[0])  # noqa: E731
            earlier = facts.get("earlier", [])
            found[title] = {
                "seconds an episode": statistics.median(spent[1:]),
                "peak megabytes": memory_timeline(run, {}).peak() / 1e6,
                "parameters": sum(p.numel() for p in network.parameters()),
                "of the backbone": sum(p.numel() for p in network.backbone.parameters()),
                "trained last": facts["trained_parameters"],
                "training": {key: facts.get(key) for key in ("steps", "seconds", "batch")},
                "earlier stages' seconds": sum(x["seconds"] for x in earlier),
            }
    finally:
        torch.set_num_threads(threads)
    return found


def diffews_arms() -> dict[str, Any]:
    """Arms that were trained briefly and alike: mIoU of every seed, against the first arm's.

    The difference is over the seeds that both have, its interval over episodes; and of each seed.
    """
    arms = load()
    first = next(iter(arms.values()))
    numbers: dict[str, Any] = {}
    for name, runs in arms.items():
        mine = {run["seed"]: run for run in runs}
        base = {run["seed"]: run for run in first}
        shared = sorted(mine.keys() & base.keys())
        numbers[name] = {key: runs[0][key] for key in ("group", "paper")} | {
            "seeds": sorted(mine),
            "training": {k: runs[0]["training"][k] for k in ("steps", "batch", "scenes")},
            "gaps": {
                gap: {
                    "mIoU": [mine[seed]["gaps"][gap]["miou"] for seed in sorted(mine)],
                    "minus the first": difference_of(
                        [[unpack_scores(x[s]["gaps"][gap]["counts"], 1)[0] for s in shared]
                         for x in (mine, base)]
                    ),
                    "of each seed": [
                        mine[s]["gaps"][gap]["miou"] - base[s]["gaps"][gap]["miou"] for s in shared
                    ],
                }
                for gap in runs[0]["gaps"]
            },
        }  # fmt: skip
    return {"episodes": first[0]["protocol"]["episodes"], "arms": numbers}


def difference_of(pair: list[list[Scores]]) -> list[float]:
    """[mean, low, high] over seeds that both have, paired by seed and episode."""
    found = paired_difference(*pair)
    return [found.mean, found.low, found.high]

"""Shipped networks asked otherwise than they were trained: more supports, boxes, parts knocked out.

Nothing is trained here, so what is seen is what a trained network does with it, not what a network
trained for it would do. Every difference is paired over the same episodes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

from hmnet_lite import HMNet
from hmnet_lite.experiments.runs import TEST
from hmnet_lite.models.features import CachedEpisode, CachedFeatures
from hmnet_lite.scoring.evaluate import evaluate
from hmnet_lite.scoring.gaps import Boxed
from hmnet_lite.scoring.intervals import Difference, paired_difference
from hmnet_lite.scoring.metrics import Scores
from hmnet_lite.scoring.predict import model_predictor
from hmnet_lite.workbook import measured
from hmnet_lite.workbook.measured import FULL, state_network

EPISODES, SHOTS, GAPS = 200, (1, 3, 5, 10), ("same", "cross")
POOLS = ("features", "states", "recaps")
#: how the mixer's arms are asked with a part changed: switches of the same weights
KNOCKED = {
    "a recap resets": {"recap": "reset"},
    "a recap adds": {"recap": "add"},
    "read once": {"srm": "basic"},
    "no SRM": {"srm": "off"},
    "no QIM": {"qim": "off"},
}
Runs = Mapping[str, Sequence[Scores]]  # what was changed → the scores of every seed


def more_supports(episodes: int | None = None, seeds: Sequence[int] = ()) -> dict[str, Any]:
    """Network to gap to how supports are pooled to number of supports to mIoU of every seed.

    `against`: the same to the difference from averaging features of as many supports.
    """
    episodes, seeds = episodes or EPISODES, tuple(seeds) or measured.shipped_seeds()
    asked = {
        "SRM + QIM": [state_network("both", seed) for seed in seeds],
        "concatenation": [state_network("cross", seed) for seed in seeds],
        "HMNet-lite": [FULL],
    }
    told: dict[str, Any] = {}
    against: dict[str, Any] = {}
    for title, names in asked.items():
        for gap in GAPS:
            whole = _features(gap, episodes, max(SHOTS))
            for shots in SHOTS:
                shown = First(whole, shots)
                pools = POOLS if shots > 1 and title != "HMNet-lite" else POOLS[:1]
                found = _scored(names, {p: {"pool_shots": p} for p in pools}, shown)
                for pool, runs in found.items():
                    place = told.setdefault(title, {}).setdefault(gap, {}).setdefault(pool, {})
                    place[str(shots)] = [scores.miou for scores in runs]
                    if pool != POOLS[0]:
                        place = against.setdefault(title, {}).setdefault(gap, {})
                        place = place.setdefault(pool, {})
                        place[str(shots)] = _plain(paired_difference(runs, found[POOLS[0]]))
    names = [name for each in asked.values() for name in each]
    return {"from": _came(names, episodes, seeds), "miou": told, "against": against}


def boxes_for_masks(episodes: int | None = None, seeds: Sequence[int] = ()) -> dict[str, Any]:
    """Network to gap to mIoU with the supports' masks, with boxes, and the difference."""
    episodes, seeds = episodes or EPISODES, tuple(seeds) or measured.shipped_seeds()
    asked = {
        "HMNet-lite": [FULL],
        "SRM + QIM, by the state alone": [state_network("both", seed) for seed in seeds],
    }
    told: dict[str, Any] = {}
    for title, names in asked.items():
        for gap in GAPS:
            masks = _features(gap, episodes, 1)
            own, boxed = (_scored(names, {"": {}}, x)[""] for x in (masks, Boxed(masks)))
            told.setdefault(title, {})[gap] = {
                "mask": [scores.miou for scores in own],
                "box": [scores.miou for scores in boxed],
                "box - mask": _plain(paired_difference(boxed, own)),
            }
    names = [name for each in asked.values() for name in each]
    return {"from": _came(names, episodes, seeds), "told": told}


def knocked_out(episodes: int | None = None, seeds: Sequence[int] = ()) -> dict[str, Any]:
    """Network to gap to what was changed to mIoU of every seed and the difference it makes."""
    episodes, seeds = episodes or EPISODES, tuple(seeds) or measured.shipped_seeds()
    told: dict[str, Any] = {}
    names: list[str] = []
    for arm in ("srm", "both"):
        own = [state_network(arm, seed) for seed in seeds]
        names += own
        changed = {
            n: s for n, s in KNOCKED.items() if arm == "both" or n not in ("no QIM", "no SRM")
        }
        for gap in GAPS:
            found = _scored(own, {"as trained": {}} | changed, _features(gap, episodes, 1))
            told.setdefault(measured.ARMS[arm], {})[gap] = {
                what: {"miou": [scores.miou for scores in runs],
                       "change": _plain(paired_difference(runs, found["as trained"]))}
                for what, runs in found.items()
            }  # fmt: skip
    return {"from": _came(names, episodes, seeds), "told": told}


class First(Sequence):
    """Episodes with the first so many of their supports."""

    def __init__(self, episodes: Sequence[CachedEpisode], shots: int):
        self.episodes, self.shots = episodes, shots

    def __len__(self) -> int:
        return len(self.episodes)

    def __getitem__(self, index: int) -> CachedEpisode:
        episode, first = self.episodes[index], slice(self.shots)
        masks = episode.support_masks[first]
        return replace(episode, support=episode.support[first], support_masks=masks)


def otherwise(network: HMNet, **switches: Any) -> HMNet:
    """The same weights under other switches of the config, such as pool_shots or recap.

    Raises:
        ValueError: a switch that the config refuses.
        RuntimeError: the weights do not fit the network that the switches ask for.
    """
    if not switches:
        return network
    other = HMNet(replace(network.config, **switches))
    other.load_state_dict(network.state_dict())
    return other.eval()


def _scored(names: Sequence[str], ways: Mapping[str, Mapping[str, Any]], episodes) -> Runs:
    """Every way of asking to the scores of every network."""
    networks = {
        (way, name): otherwise(measured.network(name), **switches)
        for way, switches in ways.items()
        for name in names
    }
    asked = {f"{way}|{name}": model_predictor(x) for (way, name), x in networks.items()}
    found = evaluate(asked, episodes, progress=False)
    return {way: [found[f"{way}|{name}"] for name in names] for way in ways}


@lru_cache(maxsize=2 * len(GAPS))
def _features(gap: str, episodes: int, shots: int) -> CachedFeatures:
    protocol = replace(TEST, fold=measured.FOLD, gap=gap, episodes=episodes, shots=shots)
    return CachedFeatures(protocol.build(), workers=1, progress=False)


def _came(names: Sequence[str], episodes: int, seeds: Sequence[int]) -> dict[str, Any]:
    told = measured.sources(*names, episodes=episodes, seeds=list(seeds), test_seed=TEST.seed)
    return {key: value for key, value in told.items() if key != "gap"}


def _plain(found: Difference) -> dict[str, Any]:
    return {"mean": found.mean, "low": found.low, "high": found.high, "seeds": found.runs}

"""Shipped networks asked otherwise than they were trained: more supports, boxes, parts knocked out.

Nothing is trained here, so what is seen is what a trained network does with it, not what a network
trained for it would do. Every difference is paired over the same episodes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

import torch

from hmnet_lite import HMNet
from hmnet_lite.analysis.handed import handed, support_states
from hmnet_lite.experiments.runs import TEST
from hmnet_lite.models.features import CachedEpisode, CachedFeatures
from hmnet_lite.models.lite import class_share
from hmnet_lite.models.prior import masked_mean
from hmnet_lite.scoring.evaluate import evaluate
from hmnet_lite.scoring.gaps import Boxed, misled_predictor
from hmnet_lite.scoring.intervals import Difference, paired_difference
from hmnet_lite.scoring.metrics import Scores
from hmnet_lite.scoring.predict import Predictor, model_predictor
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
#: how they are asked with H_S alone exchanged: who is handed another one, and whose it is
HANDED = {
    "a recap adds a prototype's H_S": ("recap", "prototype"),
    "a recap adds H_S = 0": ("recap", "zero"),
    "a recap adds a wrong class's H_S": ("recap", "wrong"),
    "QIM meets a prototype's H_S": ("qim", "prototype"),
    "QIM meets H_S = 0": ("qim", "zero"),
    "QIM meets a wrong class's H_S": ("qim", "wrong"),
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
    """Network to gap to what was changed to mIoU of every seed and the difference it makes.

    Parts are switched (`KNOCKED`), or handed another H_S, all else staying the episode's own
    (`HANDED`): that of a support of another class, zeros, or the prototype's (`Exchange`).
    """
    episodes, seeds = episodes or EPISODES, tuple(seeds) or measured.shipped_seeds()
    told: dict[str, Any] = {}
    names: list[str] = []
    for arm in ("srm", "both", "qim"):
        own = [state_network(arm, seed) for seed in seeds]
        names += own
        parts = {"both": ("recap", "qim"), "srm": ("recap",), "qim": ("qim",)}[arm]
        switched = {} if arm == "qim" else {
            n: s for n, s in KNOCKED.items() if arm == "both" or n not in ("no QIM", "no SRM")
        }  # fmt: skip
        exchanged = {n: how for n, how in HANDED.items() if how[0] in parts}
        for gap in GAPS:
            given = {"as trained": {}} | switched, _features(gap, episodes, 1), exchanged
            found = _scored(own, *given)
            told.setdefault(measured.ARMS[arm], {})[gap] = {
                what: {"miou": [scores.miou for scores in runs],
                       "change": _plain(paired_difference(runs, found["as trained"]))}
                for what, runs in found.items()
            }  # fmt: skip
    return {"from": _came(names, episodes, seeds), "told": told}


class Exchange:
    """A network of which one part is handed another H_S than the support's, all else its own.

    Whose H_S: "wrong", that of the next episode's support of another class; "zero", none;
    "prototype", that of the support with its class's mean feature in place of each of the class's
    pixels, put through the same projections: all that a prototype could tell.

    Args:
        network: in evaluation mode.
        episodes: where wrong supports come from, as in `misled_predictor`.
    """

    def __init__(self, network: HMNet, episodes: Sequence[CachedEpisode]):
        self.network, self.own = network, model_predictor(network)
        self._asked = {
            "wrong": misled_predictor(network, episodes, "wrong"),
            "prototype": model_predictor(network, mixer_support=flattened),
        }
        self._last: dict[str, tuple[CachedEpisode, list[torch.Tensor]]] = {}

    def states(self, episode: CachedEpisode, whose: str) -> list[torch.Tensor]:
        """H_S of every hybrid block; those of the last episode are kept for whoever asks next."""
        if whose == "zero":
            return [torch.zeros_like(x) for x in self.states(episode, "wrong")]
        known = self._last.get(whose)
        if known is None or known[0] is not episode:
            known = episode, support_states(lambda: self._asked[whose](episode))
            self._last[whose] = known
        return known[1]

    def predictor(self, part: str, whose: str) -> Predictor:
        """(H, W) bool masks with the "recap" or "qim" handed that H_S."""

        def predict(episode: CachedEpisode) -> Any:
            with handed(self.network, **{part: self.states(episode, whose)}):
                return self.own(episode)

        return predict


def flattened(episode: CachedEpisode) -> tuple[torch.Tensor, torch.Tensor]:
    """An episode's supports with their prototype everywhere, and their masks.

    (1, shots, channels, h, w) and (1, shots, H, W).
    """
    features, masks = episode.support[None].float(), torch.from_numpy(episode.support_masks)[None]
    prototype = masked_mean(features, class_share(masks, features))
    return prototype[..., None, None].expand_as(features).contiguous(), masks


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


def _scored(
    names: Sequence[str],
    ways: Mapping[str, Mapping[str, Any]],
    episodes: Sequence[CachedEpisode],
    exchanged: Mapping[str, tuple[str, str]] | None = None,
) -> Runs:
    """Every way of asking, by switches or with H_S exchanged, to the scores of every network."""
    exchanged = exchanged or {}
    asked = {
        f"{way}|{name}": model_predictor(otherwise(measured.network(name), **switches))
        for way, switches in ways.items()
        for name in names
    }
    for name in names if exchanged else ():
        exchange = Exchange(measured.network(name), episodes)
        asked |= {f"{way}|{name}": exchange.predictor(*how) for way, how in exchanged.items()}
    found = evaluate(asked, episodes, progress=False)
    return {way: [found[f"{way}|{name}"] for name in names] for way in (*ways, *exchanged)}


@lru_cache(maxsize=2 * len(GAPS))
def _features(gap: str, episodes: int, shots: int) -> CachedFeatures:
    protocol = replace(TEST, fold=measured.FOLD, gap=gap, episodes=episodes, shots=shots)
    return CachedFeatures(protocol.build(), workers=1, progress=False)


def _came(names: Sequence[str], episodes: int, seeds: Sequence[int]) -> dict[str, Any]:
    told = measured.sources(*names, episodes=episodes, seeds=list(seeds), test_seed=TEST.seed)
    return {key: value for key, value in told.items() if key != "gap"}


def _plain(found: Difference) -> dict[str, Any]:
    return {"mean": found.mean, "low": found.low, "high": found.high, "seeds": found.runs}

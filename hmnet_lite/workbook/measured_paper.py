"""The paper's Tables 6 and 7 asked of our networks: other draws of a test, and longer ones.

They ask how far a score moves when a test draws other episodes, or more of them. Scores are of
shipped networks, paired over the same episodes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from hmnet_lite.experiments import paper
from hmnet_lite.experiments.runs import TEST
from hmnet_lite.models.features import CachedFeatures
from hmnet_lite.scoring.evaluate import evaluate
from hmnet_lite.scoring.intervals import paired_difference
from hmnet_lite.scoring.metrics import Scores
from hmnet_lite.scoring.predict import model_predictor
from hmnet_lite.workbook import measured

GAPS = ("same", "cross")
#: HMNet-lite and its twin of the same steps without a mixer → the shipped networks
PAIR = {"without Mamba": "without-mamba-fold0", "HMNet-lite": measured.FULL}
SEEDS = tuple(paper.TEST_SEEDS["HMNet"])
EPISODES = 300  # a test, by seed
MANY = (300, 600, 1000)  # test episodes of the seed that every test of ours has


def other_draws(episodes: int | None = None) -> dict[str, Any]:
    """HMNet-lite and its twin without Mamba under other test seeds, and over more episodes.

    Args:
        episodes: of a test; `EPISODES`, and for the second half `MANY`, when None. A smaller
            number is for a check: the second half then has one and two times as many.

    Returns:
        "seeds" and "episodes": gap to {"miou": network to test seed, or number of episodes, to
        mIoU in [0, 1]; "difference": likewise to HMNet-lite's minus its twin's, with the ends of
        the 95 % interval over the same episodes}. A longer test begins with a shorter one's.
    """
    size, sizes = episodes or EPISODES, (episodes, 2 * episodes) if episodes else MANY
    told: dict[str, Any] = {"seeds": {}, "episodes": {}}
    for gap in GAPS:
        longest = _scored(gap, TEST.seed, max(sizes))
        own = {name: paper.part(scores, size) for name, scores in longest.items()}
        by_seed = {s: own if s == TEST.seed else _scored(gap, s, size) for s in SEEDS}
        told["seeds"][gap] = _paired(by_seed)
        told["episodes"][gap] = _paired(
            {n: {name: paper.part(scores, n) for name, scores in longest.items()} for n in sizes}
        )
    came = measured.sources(*PAIR.values(), episodes=size, test_seed=TEST.seed)
    return {"from": {key: value for key, value in came.items() if key != "gap"}} | told


def _scored(gap: str, seed: int, episodes: int) -> dict[str, Scores]:
    protocol = replace(TEST, fold=measured.FOLD, gap=gap, seed=seed, episodes=episodes)
    cached = CachedFeatures(protocol.build(), workers=1, progress=False)
    asked = {title: model_predictor(measured.network(name)) for title, name in PAIR.items()}
    return evaluate(asked, cached, progress=False)


def _paired(found: Mapping[int, Mapping[str, Scores]]) -> dict[str, Any]:
    """Test to the scores of both networks → what `other_draws` says of a gap."""
    plain, ours = PAIR
    differences = {test: paired_difference(x[ours], x[plain]) for test, x in found.items()}
    return {
        "miou": {name: {str(test): x[name].miou for test, x in found.items()} for name in PAIR},
        "difference": {
            str(test): {"mean": d.mean, "low": d.low, "high": d.high}
            for test, d in differences.items()
        },
    }

"""The paper's Tables 6, 7 and 9 asked of our networks: other draws of a test, and a clock.

Tables 6 and 7 ask how far a score moves when a test draws other episodes, or more of them; Table 9
how the time of an episode grows with the picture. Scores are of shipped networks, paired over the
same episodes. Times are of the machine that is named beside them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch

from hmnet_lite import HMNet, HMNetConfig
from hmnet_lite.experiments import paper
from hmnet_lite.experiments.runs import TEST
from hmnet_lite.machine import median_seconds
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

PER_TEST = 4000  # episodes of Table 9's seconds
SIDES = (256, 384, 512, 640, 768)  # of the picture in pixels
STRIDE = 16  # of the mixer's maps
#: the shipped network's config, and two that differ in the mixer alone
MIXERS: dict[str, dict[str, Any]] = {
    "HMNet-lite": {},
    "attention": {"mixer": "attention"},
    "without Mamba": {"depth": 0},
}


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


def episode_seconds(
    sides: Sequence[int] = SIDES,
    rounds: int = 5,
    config: HMNetConfig | None = None,
    clock: Callable[[], float] | None = None,
) -> dict[str, Any]:
    """Seconds of one episode with one support, by the side of the picture, for three mixers.

    In one process and on one thread, mixers and parts in turns, medians. Weights are random: time
    does not ask for them. A minute on a quiet machine; on a busy one numbers are longer and bent.

    Args:
        sides: of the picture in pixels, multiples of 16, at least two.
        rounds: turns that everyone has at each side.
        config: of the network whose mixer is exchanged; the shipped HMNet-lite's when None.
        clock: of `median_seconds`; processor time when None.

    Returns:
        "sides"; "seconds": part to mixer to seconds at every side; "exponents": part to mixer to
        the power of the number of pixels that these follow best. Parts: "whole", pictures to
        logits; "mixer", which the network without Mamba does not have.

    Raises:
        ValueError: a side that is no multiple of 16, or fewer than two.
    """
    wrong = [side for side in sides if side < STRIDE or side % STRIDE]
    if wrong or len(set(sides)) < 2:
        raise ValueError(
            f"sides={list(sides)}; expected at least two multiples of {STRIDE}, of different size"
        )
    config = config or measured.network(measured.FULL).config
    with torch.random.fork_rng():
        torch.manual_seed(0)
        networks = {name: HMNet(replace(config, **x)).eval() for name, x in MIXERS.items()}
    seconds: dict[str, dict[str, list[float]]] = {"whole": {}, "mixer": {}}
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # of several, processor time would be the sum
    try:
        for side in sides:
            options = {"clock": clock} if clock else {}
            found = median_seconds(_runs(networks, side), rounds=rounds, **options)
            for place, spent in found.items():
                part, name = place.split("|")
                seconds[part].setdefault(name, []).append(spent)
    finally:
        torch.set_num_threads(threads)
    came = {"config": config.to_dict(), "rounds": rounds, "threads": 1, "random weights": True}
    exponents = {
        part: {name: exponent(sides, spent) for name, spent in own.items()}
        for part, own in seconds.items()
    }
    return {"from": came, "sides": list(sides), "seconds": seconds, "exponents": exponents}


def exponent(sides: Sequence[int], seconds: Sequence[float | None]) -> float:
    """The power of the number of pixels that seconds follow best; sides without any do not count.

    Args:
        sides: of pictures, in pixels.
        seconds: of each; None where there was no memory.
    """
    points = [(2 * math.log(a), math.log(b)) for a, b in zip(sides, seconds, strict=True) if b]
    x, y = torch.tensor(points, dtype=torch.float64).unbind(1)
    x, y = x - x.mean(), y - y.mean()
    return float((x * y).sum() / (x * x).sum())


@torch.inference_mode()
def _runs(networks: Mapping[str, HMNet], side: int) -> dict[str, Callable[[], object]]:
    """ "part|mixer" to one episode of this side, or to the mixer alone on maps of that size."""
    generator = torch.Generator().manual_seed(0)
    query, support = torch.rand(2, 1, 3, side, side, generator=generator).unbind(0)
    mask = torch.zeros(1, 1, side, side, dtype=torch.uint8)
    mask[..., side // 4 : side // 2, side // 4 : side // 2] = 1  # a sixteenth of the picture
    any_network = next(iter(networks.values()))
    size = (2, 1, any_network.config.dim, side // STRIDE, side // STRIDE)
    maps = torch.randn(size, generator=generator).unbind(0)

    def whole(network: HMNet) -> Callable[[], object]:
        return torch.inference_mode()(lambda: network(query, support[:, None], mask))

    def mixer(network: HMNet) -> Callable[[], object]:
        return torch.inference_mode()(lambda: network.mixer(*maps))

    runs = {f"whole|{name}": whole(network) for name, network in networks.items()}
    return runs | {f"mixer|{n}": mixer(x) for n, x in networks.items() if x.config.depth}

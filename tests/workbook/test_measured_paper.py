"""Tables 6, 7 and 9 of our networks: draws are paired, a longer test begins with a shorter."""

from itertools import count

import numpy as np
import pytest
import torch

from hmnet_lite import HMNetConfig
from hmnet_lite.experiments import paper
from hmnet_lite.scoring.metrics import Scores
from hmnet_lite.workbook import measured_paper as measured
from hmnet_lite.workbook.make import plain


@pytest.fixture
def drawn(monkeypatch):
    """Every test is one of ten pixels an episode; HMNet-lite finds one more than its twin."""
    tests = []

    def evaluate(asked, episodes, progress):
        tests.append((episodes.gap, episodes.seed, len(episodes)))
        rng = np.random.default_rng(episodes.seed)
        found = [int(n) for n in rng.integers(1, 9, len(episodes))]
        return {name: of([n + (name == "HMNet-lite") for n in found]) for name in asked}

    monkeypatch.setattr(measured, "evaluate", evaluate)
    monkeypatch.setattr(measured, "CachedFeatures", lambda episodes, **_: episodes)
    return tests


def of(found):
    scores, truth = Scores(), np.ones((2, 5), int)
    for number, marked in enumerate(found):
        scores.update(np.arange(10).reshape(2, 5) < marked, truth, number % 2)
    return scores


def test_other_seeds_and_longer_tests(drawn):
    told = plain(measured.other_draws(6))
    for gap in measured.GAPS:
        seeds, sizes = told["seeds"][gap], told["episodes"][gap]
        assert list(seeds["miou"]["HMNet-lite"]) == list(map(str, paper.TEST_SEEDS["HMNet"]))
        assert list(sizes["miou"]["without Mamba"]) == ["6", "12"]
        assert len({x for x in seeds["miou"]["HMNet-lite"].values()}) > 1, "other episodes"
        for half in (seeds, sizes):
            for d in half["difference"].values():
                assert d == pytest.approx({"mean": 0.1, "low": 0.1, "high": 0.1}, abs=1e-3)
        for name in measured.PAIR:
            assert seeds["miou"][name]["321"] == sizes["miou"][name]["6"]
    assert len(drawn) == len(set(drawn)) == 2 * len(measured.SEEDS), "nothing is tested twice"
    assert {size for _, seed, size in drawn if seed == 321} == {12}
    assert told["from"]["episodes"] == 6 and set(told["from"]["networks"]) == {
        "hmnet-lite-fold0", "without-mamba-fold0"
    }  # fmt: skip


def test_the_twin_has_no_mixer_and_everything_else_alike():
    twin, ours = (measured.measured.network(name).config for name in measured.PAIR.values())
    assert twin.depth == 0 and ours.depth
    kept = ("dim", "backbone", "prototype", "prior", "zoom")
    assert [getattr(twin, x) for x in kept] == [getattr(ours, x) for x in kept]


def test_an_episode_s_seconds_are_of_three_mixers_at_every_side():
    """Every look at this clock is a second later, so every run takes one second."""
    threads, ticks = torch.get_num_threads(), count()
    config = HMNetConfig(dim=16, state=4, recap_ratio=2)
    found = plain(measured.episode_seconds((64, 96), 1, config, lambda: float(next(ticks))))
    whole = {name: [1.0, 1.0] for name in ("HMNet-lite", "attention", "without Mamba")}
    mixer = {name: [1.0, 1.0] for name in ("HMNet-lite", "attention")}
    assert found["seconds"] == {"whole": whole, "mixer": mixer}
    assert found["exponents"]["mixer"] == {"HMNet-lite": 0, "attention": 0}
    assert found["sides"] == [64, 96] and found["from"]["config"]["dim"] == 16
    assert torch.get_num_threads() == threads
    assert next(ticks) == 2 * 2 * 5, "a look before and after each of five runs at two sides"


def test_the_exponent_is_of_pixels():
    sides = [100, 200, 400]
    assert measured.exponent(sides, [3e-4 * side**2 for side in sides]) == pytest.approx(1)
    assert measured.exponent([*sides, 800], [side**4 for side in sides] + [None]) == pytest.approx(
        2
    )
    seconds = paper.SECONDS["HMNet"]
    assert measured.exponent(list(seconds), list(seconds.values())) == pytest.approx(0.75, abs=0.01)


@pytest.mark.parametrize("sides", [(64, 100), (64,), (64, 64), (0, 64)])
def test_sides_that_cannot_be_compared_are_told(sides):
    with pytest.raises(ValueError, match="expected at least two multiples of 16, of different"):
        measured.episode_seconds(sides)

"""The numbers of figures of the eight questions: position, curves and scores, pixels read."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from hmnet_lite.experiments.arms import ARMS
from hmnet_lite.experiments.position import ious, positions, slopes
from hmnet_lite.experiments.results import difference, gaps_of, load
from hmnet_lite.experiments.runs import TEST
from hmnet_lite.experiments.suite import EXPERIMENTS
from hmnet_lite.models.lite import HMNetConfig
from hmnet_lite.workbook import measured
from hmnet_lite.workbook.measured_forgetting import SHARE

BINS = 4  # parts of the scan in which IoU is averaged
SIDE = TEST.image_size // 16  # of the maps


def along_the_scan() -> dict[str, Any]:
    """Gap to arm to mean IoU in quarters of the scan, and its slope with the 95 % interval.

    `change`: the slope of each arm minus that of the first, on the same draws of episodes.
    """
    results, experiment = load(), EXPERIMENTS["position"]
    told: dict[str, Any] = {}
    for gap in gaps_of(results):
        where = positions(gap)
        cuts = np.quantile(where, np.linspace(0, 1, BINS + 1)[1:-1])
        part = np.searchsorted(cuts, where)
        arms = {label: results.get(arm, ()) for label, arm in experiment.arms.items()}
        scores = {label: np.nan_to_num(ious(r, gap)).mean(0) for label, r in arms.items() if r}
        if not scores:
            continue
        drawn = slopes(where, np.stack(list(scores.values())))
        told[gap] = {
            label: {
                "quarters": [y[part == i].mean() for i in range(BINS)],
                "slope": _interval(drawn[:, i]),
                "change": _interval(drawn[:, i] - drawn[:, 0]),
                "seeds": len(arms[label]),
            }
            for i, (label, y) in enumerate(scores.items())
        }
    return told


def support_read() -> dict[str, Any]:
    """Gap to [patches, support pixels that all patches read together, difference of every seed].

    Differences are of mIoU in [-1, 1], minus α = 2 of the same seed: arms have not the same seeds.
    Of the arms with SRM + QIM by the state alone that differ in the recap alone; and of attention,
    in which every pixel of the query looks at every pixel of the support.
    """
    results = load()
    asked = {arm for name in ("alpha", "untied") for arm in EXPERIMENTS[name].arms.values()}
    recaps = sorted(asked, key=lambda name: (ARMS[name].config.recap_ratio, name))
    told: dict[str, Any] = {}
    for gap in gaps_of(results):
        told[gap] = []
        for name in [*recaps, "state-attention"]:
            found = difference(results.get(name, ()), results["state-both"], gap)
            if found:
                told[gap].append([*_reads(ARMS[name].config), list(found.each)])
    return told


def curves_and_scores() -> dict[str, Any]:
    """What notebook 08 measures of every network, beside what the network scores.

    Measure to {"points": [arm, seed, gap, measure, mIoU], "rank": Spearman's rank correlation over
    networks with the chance of one as far from 0 if nothing hung together, "within": the same of
    ranks within each arm}.
    """
    from hmnet_lite.workbook.make import kept  # it knows this module: asked for when needed

    results = load()
    similar, forgetting = kept("support_similarity"), kept("support_forgetting")
    arms = {title: f"state-{arm}" for arm, title in measured.ARMS.items()}
    found: dict[str, list] = {"similarity": [], "FG - BG": [], SHARE: []}
    for title, arm in arms.items():
        after = similar["panels"]["at the core"][title]["after"]
        for row, seed in enumerate(similar["from"]["seeds"]):
            for column, gap in enumerate(similar["gaps"]):
                apart = after["FG"][row][column] - after["BG"][row][column]
                for name, value in (("similarity", after["all"][row][column]), ("FG - BG", apart)):
                    found[name].append([title, seed, gap, value, _miou(results, arm, seed, gap)])
    panels = {"concatenation": "concatenation", "SRM": "SRM, α = 2"}
    for title, panel in panels.items():
        for row, seed in enumerate(forgetting["from"]["seeds"]):
            value = forgetting["panels"][panel]["seeds"][SHARE][row][-1]
            gap = forgetting["from"]["gap"]
            found[SHARE].append([title, seed, gap, value, _miou(results, arms[title], seed, gap)])
    return {name: {"points": points} | _ranked(points) for name, points in found.items()}


def _ranked(points: list) -> dict[str, Any]:
    """Gap to rank correlation over networks, and over networks within their arms, with chances."""
    told: dict[str, Any] = {"rank": {}, "within": {}}
    for gap in dict.fromkeys(p[2] for p in points):
        rows = [p for p in points if p[2] == gap]
        x, y = (np.array([p[i] for p in rows]) for i in (3, 4))
        groups = np.array([p[0] for p in rows])
        told["rank"][gap] = rank_correlation(x, y, np.zeros(len(x)))
        told["within"][gap] = rank_correlation(x, y, groups)
    return told


def rank_correlation(x: np.ndarray, y: np.ndarray, groups: np.ndarray) -> dict[str, float]:
    """Spearman's, of ranks within groups; and the chance of one as far from 0 by luck.

    Args:
        x, y: (n,), no ties expected.
        groups: (n,): ranks are taken, and values exchanged, within a group alone.

    Returns:
        {"rho", "chance", "n"}; the chance over all exchanges where there are 50,000 or fewer, else
        over 20,000 drawn ones.
    """
    members = [np.flatnonzero(groups == g) for g in dict.fromkeys(groups.tolist())]

    def ranks(values: np.ndarray) -> np.ndarray:
        out = np.empty(len(values))
        for index in members:
            order = values[index].argsort().argsort()
            out[index] = order - order.mean()
        return out

    a, b = ranks(x), ranks(y)
    norm = np.sqrt((a @ a) * (b @ b))
    rho = float(a @ b / norm)
    shuffled = np.array([a[order] @ b / norm for order in _exchanges(members, len(x))])
    chance = float((np.abs(shuffled) >= abs(rho) - 1e-9).mean())
    return {"rho": rho, "chance": chance, "n": len(x)}


def _exchanges(members: list[np.ndarray], n: int):
    """Orders that exchange values within groups: all of them, or many drawn ones."""
    count = np.prod([float(np.prod(np.arange(1, len(m) + 1))) for m in members])
    if count <= 50_000:
        for parts in itertools.product(*(itertools.permutations(m) for m in members)):
            order = np.arange(n)
            for index, part in zip(members, parts, strict=True):
                order[index] = part
            yield order
        return
    rng = np.random.default_rng(0)
    for _ in range(20_000):
        order = np.arange(n)
        for index in members:
            order[index] = rng.permutation(index)
        yield order


def _miou(results, arm: str, seed: int, gap: str) -> float:
    return next(r.miou(gap) for r in results[arm] if r.run.seed == seed)


def _reads(config: HMNetConfig) -> tuple[str, int]:
    """Who reads, and how many pixels of the support together."""
    if config.mixer == "attention":
        return "attention", SIDE**4
    patches = config.recap_ratio**2
    side = SIDE // (config.support_ratio or config.recap_ratio)
    return "1 patch" if patches == 1 else f"{patches} patches", patches * side**2


def _interval(values: np.ndarray) -> dict[str, float]:
    low, high = np.quantile(values[1:], [0.025, 0.975])
    return {"mean": float(values[0]), "low": float(low), "high": float(high)}

"""The numbers of the forgetting figures: what is left of the support in the state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from hmnet_lite.analysis.forgetting import forgetting
from hmnet_lite.workbook import measured
from hmnet_lite.workbook.figures.forgetting import bands
from hmnet_lite.workbook.measured import FULL, shipped_seeds, sources, state_network

COSINE, SHARE = "max cosine", "support's share"
#: title → the arm that is read, and α. SRM networks were trained at α = 2; others are a what-if
WAYS = {
    "concatenation": ("cross", 1),
    "SRM, α = 2": ("srm", 2),
    "SRM read at α = 4": ("srm", 4),
    "SRM read at α = 8": ("srm", 8),
}
ONCE = "SRM read once"  # the SRM networks, the whole support once: same weights, no recaps
RATIOS = {"cross": (1,), "srm": (1, 2, 4, 8), "full": (1, 2, 4, 8)}


def support_forgetting(episodes: int | None = None, seeds: Sequence[int] = ()) -> dict[str, Any]:
    """Both measures after each reading of the first SRM, and beside them the full network's.

    `told`: what the claims need, paired by seed and episode, as `measured.summary` gives it.
    """
    episodes, seeds = episodes or measured.EPISODES, tuple(seeds) or shipped_seeds()
    panels = {}
    for title, (arm, ratio) in WAYS.items():
        own, beside = _arm(arm, ratio, episodes, seeds), _read(FULL, "full", episodes)[ratio]
        panels[title] = {
            "at": own["at"],
            "of_support": own["of_support"],
            **{m: bands(own[m].reshape(-1, own[m].shape[-1])) for m in (COSINE, SHARE)},
            "seeds": {m: own[m].mean(1) for m in (COSINE, SHARE)},
            "beside": {m: beside[m].mean(0) for m in (COSINE, SHARE)},
        }
    came = sources(*_names(seeds), FULL, episodes=episodes, seeds=list(seeds))
    return {"from": came, "panels": panels, "told": _told(episodes, seeds)}


def where_it_lasts(episodes: int | None = None, seeds: Sequence[int] = ()) -> dict[str, Any]:
    """The support's share at the ends of query patches, by direction and state index."""
    episodes, seeds = episodes or measured.EPISODES, tuple(seeds) or shipped_seeds()
    titles = list(WAYS)[:2]
    where = {t: _arm(*WAYS[t], episodes, seeds)["where"].mean((0, 1)) for t in titles}
    came = sources(*_names(seeds), episodes=episodes, seeds=list(seeds))
    return {"from": came, "where": where}


def forgetting_directions(episodes: int | None = None, seeds: Sequence[int] = ()) -> dict[str, Any]:
    """The support's share after each query patch, for every direction and every seed."""
    episodes, seeds = episodes or measured.EPISODES, tuple(seeds) or shipped_seeds()
    panels = {}
    for title in list(WAYS)[:2]:
        own = _arm(*WAYS[title], episodes, seeds)
        late = ~own["of_support"]
        shares = own["directions"][..., late].mean(1)  # (seeds, directions, patches)
        panels[title] = {"at": own["at"][late], "share": shares}
    came = sources(*_names(seeds), episodes=episodes, seeds=list(seeds))
    return {"from": came, "panels": panels}


def _told(episodes: int, seeds: Sequence[int]) -> dict[str, Any]:
    once, recaps = (_arm(*WAYS[t], episodes, seeds) for t in list(WAYS)[:2])
    same = _arm("srm", 1, episodes, seeds)  # the SRM networks' weights, read once
    late, early = ~recaps["of_support"], recaps["of_support"]
    ends = recaps["at"][late]

    def at_ends(own: Mapping[str, np.ndarray], what: str) -> np.ndarray:
        return own[what][..., ~own["of_support"]][..., np.isin(own["at"][~own["of_support"]], ends)]

    def lifts(what: str) -> np.ndarray:  # by each recap: after it, minus the patch before it
        return (recaps[what][..., early][..., 1:] - recaps[what][..., late][..., :-1]).mean(-1)

    values = {"at the end": once[SHARE][..., -1]}
    for what in (COSINE, SHARE):
        values[f"{what}: from the first reading to the end"] = (
            once[what][..., -1] - once[what][..., 0]
        )
        values[f"{what}: a recap's lift"] = lifts(what)
        low = at_ends(recaps, what)
        values[f"{what}: last low point minus first"] = low[..., -1] - low[..., 0]
        other = at_ends(once, what)
        values[f"{what}: low points minus concatenation"] = (low - other).mean(-1)
        values[f"{what}: last low point minus concatenation"] = low[..., -1] - other[..., -1]
        values[f"{what}: last low point minus the same weights read once"] = (
            low[..., -1] - at_ends(same, what)[..., -1]
        )
    return {name: measured.summary(x) for name, x in values.items()}


def _names(seeds: Sequence[int]) -> list[str]:
    return [state_network(arm, seed) for arm in ("cross", "srm") for seed in seeds]


def _arm(arm: str, ratio: int, episodes: int, seeds: Sequence[int]) -> dict[str, np.ndarray]:
    """`_read` of every seed, stacked: (seeds, episodes, ...)."""
    each = [_read(state_network(arm, seed), arm, episodes)[ratio] for seed in seeds]
    values = {k: np.stack([x[k] for x in each]) for k in (COSINE, SHARE, "directions", "where")}
    return values | {k: each[0][k] for k in ("at", "of_support")}


@lru_cache(maxsize=16)
def _read(name: str, arm: str, episodes: int) -> dict[int, dict[str, np.ndarray]]:
    """α to what was read of each episode, means over directions, and shares by direction."""
    kinds = (COSINE, SHARE, "directions", "where")
    found: dict[int, dict] = {ratio: {k: [] for k in kinds} for ratio in RATIOS[arm]}
    for seen in measured.looks(name, episodes=episodes):
        for ratio, own in found.items():
            read = forgetting(seen.hybrid[0], ratio)
            share = read.share()
            own[COSINE].append(read.max_cosine().mean(1).numpy())
            own[SHARE].append(share.mean(1).numpy())
            own["directions"].append(share.numpy())
            own["where"].append(read.share("index")[..., ~read.of_support].mean(-1).numpy())
            own |= {"at": read.at.numpy(), "of_support": read.of_support.numpy()}
    return {
        ratio: {k: np.concatenate(x) if k in kinds else x for k, x in own.items()}
        for ratio, own in found.items()
    }

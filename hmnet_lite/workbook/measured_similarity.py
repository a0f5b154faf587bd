"""The numbers of the similarity figures: Fig. 7's measure at every gap, for every seed."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, lru_cache
from typing import Any

import numpy as np
import torch
from torch import nn

from hmnet_lite import HMNet
from hmnet_lite.analysis.look import Look, look
from hmnet_lite.analysis.similarity import (
    PARTS,
    around,
    centred,
    controls,
    in_common,
    similarity,
    stages,
)
from hmnet_lite.data.emoji.protocol import GAPS
from hmnet_lite.workbook import measured
from hmnet_lite.workbook.measured import ARMS, shipped_seeds, sources, state_network

UNTRAINED, NOISE = "untrained", "noise"
#: where features are taken
PLACES = ("at the core", "at the core, centred", "around the block")


def support_similarity(episodes: int | None = None, seeds: Sequence[int] = ()) -> dict[str, Any]:
    """Place to kind of fusion to "before" and "after" to part of the query: (seeds, gaps).

    Beside the trained networks two controls: the SRM + QIM network as it was before training, and
    noise with the support's mean, which no network has fused. `told`, in the same places: the mean
    change over all pixels, and FG minus BG, as `measured.summary` gives them, a value a gap;
    `common`: the mean cosine among the query's own pixels, (seeds, gaps).
    """
    episodes, seeds = episodes or measured.EPISODES, tuple(seeds) or shipped_seeds()
    panels: dict[str, dict] = {place: {} for place in PLACES}
    told: dict[str, dict] = {place: {} for place in PLACES}
    common: dict[str, dict] = {}
    for title in (*ARMS.values(), UNTRAINED, NOISE):
        name = "SRM + QIM" if title == NOISE else title
        each = [
            [_only(_measure(name, seed, gap, episodes), title) for gap in GAPS] for seed in seeds
        ]
        for place in PLACES:
            if place not in each[0][0]:
                continue
            values = {  # (seeds, episodes, gaps, parts)
                when: np.stack([np.stack([x[place][when] for x in row], 1) for row in each])
                for when in each[0][0][place]
            }
            panels[place][title] = {
                when: dict(zip(PARTS, np.moveaxis(np.nanmean(v, 1), -1, 0), strict=True))
                for when, v in values.items()
            }
            apart = {when: v[..., 1] - v[..., 2] for when, v in values.items()}
            told[place][title] = {f"FG - BG {w}": measured.summary(v) for w, v in apart.items()}
            if "before" in values:
                change = values["after"][..., 0] - values["before"][..., 0]
                told[place][title]["change"] = measured.summary(change)
                told[place][title]["FG - BG, change"] = measured.summary(
                    apart["after"] - apart["before"]
                )
        common[title] = {
            when: [[x["common"][when].mean() for x in row] for row in each]
            for when in each[0][0]["common"]
        }
    names = [state_network(arm, seed) for arm in ARMS for seed in seeds]
    came = sources(*names, episodes=episodes, seeds=list(seeds)) | {"gap": list(GAPS)}
    return {"from": came, "gaps": list(GAPS), "panels": panels, "told": told, "common": common}


@cache
@torch.no_grad()
def _measure(title: str, seed: int, gap: str, episodes: int) -> dict[str, Any]:
    """Place to when to (episodes, parts); and under "common", when to (episodes,).

    With the SRM + QIM network comes its `NOISE`, which is made of its features.
    """
    given = measured.features(gap, episodes)
    model = untrained(seed) if title == UNTRAINED else measured.network(_network(title, seed))
    found: dict[str, dict] = {}
    for start in range(0, episodes, measured.TOGETHER):
        seen = look(model, given.batch(range(start, min(start + measured.TOGETHER, episodes))))
        for place, times in _of(seen).items():
            for when, values in times.items():
                found.setdefault(place, {}).setdefault(when, []).append(values.numpy())
    return {p: {w: np.concatenate(x) for w, x in times.items()} for p, times in found.items()}


def _of(seen: Look) -> dict[str, dict[str, torch.Tensor]]:
    hybrid = seen.hybrid[0]
    support, steps = hybrid.record["scan_in_support"], list(stages(hybrid).values())
    core = {"before": steps[0], "after": steps[-1]}
    core[NOISE] = controls(hybrid, seen)["noise + mean"]
    whole, read = around(hybrid, seen)
    middle = {when: centred(x) for when, x in core.items()}
    return {
        "at the core": similarity(core, support, seen),
        "at the core, centred": similarity(middle, centred(support), seen),
        "around the block": similarity(whole, read, seen),
        "common": {when: in_common(x) for when, x in core.items()},
    }


def _only(found: dict[str, Any], title: str) -> dict[str, Any]:
    """Of what was measured, what a title shows: a network's before and after, or its noise."""
    if title != NOISE:
        return {p: {w: times[w] for w in ("before", "after")} for p, times in found.items()}
    return {p: {"after": times[NOISE]} for p, times in found.items() if NOISE in times}


def _network(title: str, seed: int) -> str:
    arm = next((arm for arm, name in ARMS.items() if name == title), "both")
    return state_network(arm, seed)


@lru_cache(maxsize=4)
def untrained(seed: int) -> nn.Module:
    """The SRM + QIM network with weights that nobody trained, but for the metric of features."""
    trained = measured.network(state_network("both", seed))
    torch.manual_seed(seed)
    model = HMNet(trained.config).eval()
    model.metric.load_state_dict(trained.metric.state_dict())
    return model

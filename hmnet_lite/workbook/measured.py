"""The numbers of the analysis' figures, from shipped networks over many episodes: minutes each.

Every function returns plain numbers with what they came from: the networks' names and digests, the
fold, the gap and how many episodes. A network that is not shipped is named in the error.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from hmnet_lite.analysis.attention import intercepted
from hmnet_lite.analysis.forgetting import forgetting
from hmnet_lite.analysis.fused_pca import Basis, fit_basis, to_prototype
from hmnet_lite.analysis.fusion import fusions
from hmnet_lite.analysis.look import HybridLook, Look, look
from hmnet_lite.analysis.similarity import controls, similarity, stages
from hmnet_lite.analysis.split import heard_by_direction
from hmnet_lite.data.emoji.protocol import GAPS, Protocol
from hmnet_lite.data.emoji.tiles import data_folder
from hmnet_lite.models.features import CachedFeatures
from hmnet_lite.scoring.segment import segment
from hmnet_lite.training import zoo
from hmnet_lite.workbook.figures.forgetting import bands
from hmnet_lite.workbook.figures.segment import runs

FOLD, GAP, SEEDS, EPISODES, TOGETHER = 0, "cross", (0, 1, 2), 200, 20
FULL = "hmnet-lite-fold0"
#: how the networks without shortcuts fuse → what figures call it
ARMS = {"cross": "concatenation", "srm": "SRM", "qim": "QIM", "both": "SRM + QIM"}
SHOWN = (3, 12)  # episodes of pictures
DRAWN = ("before", "prototype", "cross attention", "concatenation", "SRM", "SRM + QIM")


def state_network(arm: str, seed: int = 0) -> str:
    """Name of a shipped network whose support reaches the query through the state alone."""
    return f"hmnet-state-{arm}-fold{FOLD}-seed{seed}"


@lru_cache(maxsize=4)
def network(name: str) -> nn.Module:
    """A shipped network on the CPU. Raises as `zoo.load` does."""
    return zoo.load(name, device="cpu")


def sources(*names: str, **more: Any) -> dict[str, Any]:
    """What a figure's numbers came from: each network's digest, fold, gap and the like."""
    digests = {n: hashlib.sha256(zoo.find(n).read_bytes()).hexdigest()[:16] for n in names}
    return {"networks": digests, "fold": FOLD, "gap": GAP} | more


@lru_cache(maxsize=len(GAPS))
def features(gap: str, episodes: int) -> CachedFeatures:
    """Cached features of the first test episodes at a gap."""
    protocol = Protocol(fold=FOLD, gap=gap, episodes=episodes)
    return CachedFeatures(protocol.build(), workers=1, progress=False)


def looks(name: str, gap: str = GAP, episodes: int = EPISODES) -> Iterator[Look]:
    """Look at a network segmenting episodes, `TOGETHER` at a time."""
    cached = features(gap, episodes)
    for start in range(0, episodes, TOGETHER):
        yield look(network(name), cached.batch(range(start, min(start + TOGETHER, episodes))))


def support_forgetting(episodes: int = EPISODES) -> dict[str, Any]:
    """Both measures after each reading of the first SRM, and beside them the full network's."""
    readings = {"concatenation": (state_network("cross"), 1)}
    readings |= {f"SRM, α = {a}": (state_network("both"), a) for a in (2, 4, 8)}
    panels = {}
    for title, (name, ratio) in readings.items():
        own = _measures(name, ratio, episodes)
        beside = _measures(FULL, ratio, episodes)
        panels[title] = {
            "at": own["at"],
            "of_support": own["of_support"],
            "max cosine": bands(own["max cosine"]),
            "support's share": bands(own["support's share"]),
            "beside": {m: beside[m].mean(0) for m in ("max cosine", "support's share")},
        }
    names = (state_network("cross"), state_network("both"), FULL)
    return {"from": sources(*names, episodes=episodes), "panels": panels}


def where_it_lasts(episodes: int = EPISODES) -> dict[str, Any]:
    """The support's share at the ends of query patches, by direction and state index."""
    readings = {"concatenation": (state_network("cross"), 1)}
    readings["SRM, α = 2"] = state_network("both"), 2
    where = {t: _measures(*given, episodes)["where"] for t, given in readings.items()}
    names = [name for name, _ in readings.values()]
    return {"from": sources(*names, episodes=episodes), "where": where}


def _measures(name: str, ratio: int, episodes: int) -> dict[str, np.ndarray]:
    found: dict[str, list] = {"max cosine": [], "support's share": [], "where": []}
    for seen in looks(name, episodes=episodes):
        read = forgetting(seen.hybrid[0], ratio)
        found["max cosine"].append(read.max_cosine().mean(1).numpy())  # over directions
        found["support's share"].append(read.share().mean(1).numpy())
        late = read.share("index")[..., ~read.of_support]  # (b, k, n, query patches)
        found["where"].append(late.mean(-1).numpy())
    joined = {key: np.concatenate(values) for key, values in found.items()}
    joined["where"] = joined["where"].mean(0)
    return joined | {"at": read.at.numpy(), "of_support": read.of_support.numpy()}


def shipped_seeds() -> tuple[int, ...]:
    """Those of `SEEDS` of which every arm's network is shipped; seed 0 at least is expected."""
    known = set(zoo.names())
    return tuple(s for s in SEEDS if not s or {state_network(arm, s) for arm in ARMS} <= known)


def support_similarity(episodes: int = EPISODES, seeds: Sequence[int] = ()) -> dict[str, Any]:
    """Fig. 7's measure before and after each kind of fusion, at every gap, for every seed.

    Values are {part: (seeds, gaps)} with the parts "all", "FG" and "BG"; "control" is noise with
    the support's mean, which no network has fused.
    """
    seeds = tuple(seeds) or shipped_seeds()
    panels: dict[str, dict] = {}
    for arm, title in ARMS.items():
        means = [[_similarity(state_network(arm, s), g, episodes) for g in GAPS] for s in seeds]
        for when in ("before", "after", "control"):
            values = np.array([[each[when] for each in row] for row in means])
            parts = {p: values[..., i] for i, p in enumerate(("all", "FG", "BG"))}
            if when != "control":
                panels.setdefault(title, {})[when] = parts
            elif arm == "both":
                panels["control: noise"] = {"after": parts}
    names = [state_network(arm, seed) for arm in ARMS for seed in seeds]
    came = sources(*names, episodes=episodes, seeds=list(seeds)) | {"gap": list(GAPS)}
    return {"from": came, "gaps": list(GAPS), "panels": panels}


def _similarity(name: str, gap: str, episodes: int) -> dict[str, np.ndarray]:
    found: dict[str, list] = {"before": [], "after": [], "control": []}
    for seen in looks(name, gap, episodes):
        hybrid = seen.hybrid[0]
        steps = stages(hybrid)
        chosen = {"before": steps["before"], "after": list(steps.values())[-1]}
        chosen["control"] = controls(hybrid, seen)["noise + mean"]
        told = similarity(chosen, hybrid.record["scan_in_support"], seen)
        for when, values in told.items():
            found[when].append(values.numpy())
    return {when: np.nanmean(np.concatenate(x), axis=0) for when, x in found.items()}


@lru_cache(maxsize=1)
def fused_basis(episodes: int) -> Basis:
    """One basis of unit-length features of all fusions that are drawn, over the episodes."""
    return fit_basis(
        torch.cat([F.normalize(_fused(seen)[kind], dim=1) for kind in DRAWN])
        for seen in looks(state_network("both"), episodes=episodes)
    )


def fused_pca(episodes: int = EPISODES) -> dict[str, Any]:
    """Fused features of unit length as colours in one basis, and their likeness."""
    name, basis = state_network("both"), fused_basis(episodes)
    seen = look(network(name), features(GAP, episodes).batch(SHOWN))
    fused, support = _fused(seen), seen.hybrid[0].record["scan_in_support"]
    unit = {kind: F.normalize(x, dim=1) for kind, x in fused.items()}
    colours = {kind: (255 * basis.colours(unit[kind])).round().astype(int) for kind in DRAWN}
    likeness = {k: to_prototype(fused[k], support, seen.support_class).numpy() for k in DRAWN}
    return {
        "from": sources(name, episodes=episodes, shown=list(SHOWN)),
        "explained": basis.explained,
        "colours": colours,
        "likeness": likeness,
    }


def _fused(seen: Look) -> dict[str, torch.Tensor]:
    return fusions(seen.hybrid[0], seen.support_class)


def fused_clouds(episodes: int = EPISODES) -> dict[str, Any]:
    """The first two components of the pixels of the shown episodes, by what they show."""
    name, basis = state_network("both"), fused_basis(episodes)
    seen = look(network(name), features(GAP, episodes).batch(SHOWN))
    inside = {"query BG": seen.query_other > 0.9, "query FG": seen.query_class > 0.5}
    inside["support FG"] = seen.support_class > 0.5
    support, fused = seen.hybrid[0].record["scan_in_support"], _fused(seen)

    def of(kind: str) -> dict[str, np.ndarray]:
        maps = dict.fromkeys(inside, fused[kind]) | {"support FG": support}
        plane = {p: basis.project(F.normalize(x, dim=1))[..., :2] for p, x in maps.items()}
        return {part: plane[part][mark.numpy()] for part, mark in inside.items()}

    clouds = {kind: of(kind) for kind in ("before", "concatenation", "SRM", "SRM + QIM")}
    came = sources(name, episodes=episodes, shown=list(SHOWN))
    return {"from": came, "explained": basis.explained, "clouds": clouds}


def implicit_attention(index: int = SHOWN[0]) -> dict[str, Any]:
    """How loud every pixel is at the middle of the query's object: read once, recaps, QIM."""
    name = state_network("both")
    seen = look(network(name), features(GAP, EPISODES).batch([index]))
    hybrid = seen.hybrid[0]
    at = int(seen.query_class[0].argmax())
    pixel = divmod(at, hybrid.size[1])
    ratio = hybrid.block.config.recap_ratio
    rows = {"read once": _heard(hybrid, pixel, 1), "recaps": _heard(hybrid, pixel, ratio)}
    qim = intercepted(hybrid)
    small = hybrid.record["scan_in_query_small"].shape[-2:]
    met = [round(p * (s - 1) / (n - 1)) for p, s, n in zip(pixel, small, hybrid.size, strict=True)]
    step = met[0] * small[1] + met[1]
    own = torch.zeros(hybrid.size)
    own[pixel] = qim.own[0, :, step].norm()
    rows["QIM"] = [None, None, (qim.support[0, :, step].norm(dim=0).view(*small), own)]
    came = sources(name, index=index)
    plain = {key: [p and [m.numpy() for m in p] for p in line] for key, line in rows.items()}
    zoomed = network(name).config.zoom
    return {"from": came, "zoomed": zoomed, "pixel": list(pixel), "rows": plain}


def _heard(hybrid: HybridLook, pixel, ratio: int) -> list:
    """Norms over channels: of the first direction, of the last, and of their sum over all."""
    support, query, _ = hybrid.scans(ratio)
    small = tuple(n // ratio for n in hybrid.size)
    each = heard_by_direction(support, query, pixel, (small, hybrid.size), ratio=ratio)
    whole = tuple(sum(maps) for maps in zip(*each, strict=True))
    return [[m[0].norm(dim=0) for m in pair] for pair in (each[0], each[3], whole)]


def coins(window: int = 100, names: Sequence[str] = (FULL, zoo.DEFAULT)) -> dict[str, Any]:
    """What shipped networks find in the photograph of coins from one of them, and how well.

    Against circles drawn by hand: the share of each coin that was found, of the background, and
    the IoU of all.
    """
    photographs = data_folder() / "photographs"
    circles = json.loads((photographs / "coins.json").read_text(encoding="utf-8"))["circles"]
    answers: dict[str, Any] = {}
    for name in names:
        found = segment(
            network(name), photographs / "coins.png", photographs / "coin.png",
            photographs / "coin_mask.png", window=window,
        )  # fmt: skip
        y, x = np.indices(found.shape)
        discs = [(x - cx) ** 2 + (y - cy) ** 2 <= r * r for cx, cy, r in circles]
        truth = np.any(discs, axis=0)
        answers[name] = {
            "found": runs(found),
            "of each coin": [(found & disc).sum() / disc.sum() for disc in discs],
            "of the background": (found & ~truth).sum() / (~truth).sum(),
            "iou": (found & truth).sum() / (found | truth).sum(),
        }
    return {"networks": sources(*names)["networks"], "window": window, "answers": answers}

"""The numbers of the analysis' figures, from shipped networks over many episodes: minutes each.

Every function returns plain numbers with what they came from: the networks' names and digests, the
fold, the gap and how many episodes. A network that is not shipped is named in the error.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from hmnet_lite.analysis.attention import intercepted
from hmnet_lite.analysis.fused_pca import Basis, fit_basis, to_prototype
from hmnet_lite.analysis.fusion import fusions
from hmnet_lite.analysis.look import HybridLook, Look, look
from hmnet_lite.analysis.rollout import rollout
from hmnet_lite.analysis.split import heard_by_direction
from hmnet_lite.data.emoji.protocol import GAPS, Protocol
from hmnet_lite.data.emoji.tiles import data_folder
from hmnet_lite.models.features import Batch, CachedFeatures
from hmnet_lite.scoring.intervals import mean_interval
from hmnet_lite.scoring.segment import segment
from hmnet_lite.training import zoo
from hmnet_lite.training.checkpoint import weights_digest
from hmnet_lite.workbook.figures.segment import runs

FOLD, GAP, SEEDS, EPISODES, TOGETHER = 0, "cross", (0, 1, 2), 200, 20
FULL = "hmnet-lite-fold0"
#: how the networks without shortcuts fuse → what figures call it
ARMS = {"cross": "concatenation", "srm": "SRM", "qim": "QIM", "both": "SRM + QIM"}
SHOWN = (3, 12)  # episodes of pictures
DRAWN = ("before", "prototype", "cross attention", "concatenation", "SRM", "SRM + QIM")
CHECKED = 2  # episodes that a test measures again


def state_network(arm: str, seed: int = 0) -> str:
    """Name of a shipped network whose support reaches the query through the state alone."""
    return f"hmnet-state-{arm}-fold{FOLD}-seed{seed}"


@lru_cache(maxsize=4)
def network(name: str) -> nn.Module:
    """A shipped network on the CPU. Raises as `zoo.load` does."""
    return zoo.load(name, device="cpu")


def sources(*names: str, **more: Any) -> dict[str, Any]:
    """What a figure's numbers came from: each network's digest, fold, gap and the like."""
    digests = {n: weights_digest(zoo.find(n)) for n in names}
    return {"networks": digests, "fold": FOLD, "gap": GAP} | more


@lru_cache(maxsize=2 * len(GAPS))
def features(gap: str, episodes: int) -> CachedFeatures:
    """Cached features of the first test episodes at a gap."""
    protocol = Protocol(fold=FOLD, gap=gap, episodes=episodes)
    return CachedFeatures(protocol.build(), workers=1, progress=False)


def shown(indices: Sequence[int]) -> Batch:
    """Test episodes by their index."""
    return features(GAP, max(indices) + 1).batch(indices)


def looks(name: str, gap: str = GAP, episodes: int = EPISODES) -> Iterator[Look]:
    """Look at a network segmenting episodes, `TOGETHER` at a time."""
    cached = features(gap, episodes)
    for start in range(0, episodes, TOGETHER):
        yield look(network(name), cached.batch(range(start, min(start + TOGETHER, episodes))))


def shipped_seeds() -> tuple[int, ...]:
    """Those of `SEEDS` of which every arm's network is shipped; seed 0 at least is expected."""
    known = set(zoo.names())
    return tuple(s for s in SEEDS if not s or {state_network(arm, s) for arm in ARMS} <= known)


def summary(values: np.ndarray) -> dict[str, Any]:
    """(seeds, episodes, ...) as figures keep it.

    Returns:
        {"seeds": (seeds, ...) means over episodes; "low", "high": ends of the 95 % interval of the
        mean over seeds, episodes drawn again}.
    """
    low, high = mean_interval(values)
    return {"seeds": np.nanmean(values, axis=1), "low": low, "high": high}


@lru_cache(maxsize=2)
def fused_basis(episodes: int) -> Basis:
    """One basis of unit-length features of all fusions that are drawn, over the episodes."""
    return fit_basis(
        torch.cat([F.normalize(_fused(seen)[kind], dim=1) for kind in DRAWN])
        for seen in looks(state_network("both"), episodes=episodes)
    )


def fused_pca(episodes: int | None = None) -> dict[str, Any]:
    """Fused features of unit length as colours in one basis, and their likeness."""
    episodes = episodes or EPISODES
    name, basis = state_network("both"), fused_basis(episodes)
    seen = look(network(name), shown(SHOWN))
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


def fused_clouds(episodes: int | None = None) -> dict[str, Any]:
    """The first two components of the pixels of the shown episodes, by what they show."""
    episodes = episodes or EPISODES
    name, basis = state_network("both"), fused_basis(episodes)
    seen = look(network(name), shown(SHOWN))
    inside = {"query BG": seen.query_other > 0.9, "query FG": seen.query_class > 0.5}
    inside["support FG"] = seen.support_class > 0.5
    support, fused = seen.hybrid[0].record["scan_in_support"], _fused(seen)

    def of(kind: str) -> dict[str, np.ndarray]:
        maps = dict.fromkeys(inside, fused[kind]) | {"support FG": support}
        plane = {p: basis.project(F.normalize(x, dim=1))[..., :2] for p, x in maps.items()}
        return {part: plane[part][mark.numpy()] for part, mark in inside.items()}

    clouds = {kind: of(kind) for kind in DRAWN}
    came = sources(name, episodes=episodes, shown=list(SHOWN))
    return {"from": came, "explained": basis.explained, "clouds": clouds}


def implicit_attention(index: int = SHOWN[0]) -> dict[str, Any]:
    """How loud every pixel is at the middle of the query's object: read once, recaps, QIM."""
    name = state_network("both")
    seen = look(network(name), shown([index]))
    hybrid = seen.hybrid[0]
    pixel = _inside(seen)
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


def rolled_out(index: int = SHOWN[0], arms: Sequence[str] = tuple(ARMS)) -> dict[str, Any]:
    """What the same pixel hears of both pictures: in the hybrid block alone, and in a rollout.

    Shares of a row, which sum to one, of the first seed's networks.
    """
    rows, names = {}, {ARMS[arm]: state_network(arm) for arm in arms}
    for title, name in names.items():
        seen = look(network(name), shown([index]))
        pixel, (height, width) = _inside(seen), seen.hybrid[0].size
        row = pixel[0] * width + pixel[1]
        pairs = (rollout([seen.hybrid[0]], residual=0)[row], rollout(seen.blocks)[row])
        rows[title] = [list(x.view(2, height, width).numpy()) for x in pairs]
    zoomed = network(name).config.zoom
    came = sources(*names.values(), index=index)
    return {"from": came, "zoomed": zoomed, "pixel": list(pixel), "rows": rows}


def _inside(seen: Look) -> tuple[int, int]:
    """A pixel in the middle of the query's object: (row, column)."""
    return divmod(int(seen.query_class[0].argmax()), seen.hybrid[0].size[1])


def _heard(hybrid: HybridLook, pixel, ratio: int) -> list:
    """Norms over channels: of the first direction, of the last, and of their sum over all."""
    support, query, _ = hybrid.scans(ratio)
    small = hybrid.support_size(ratio)
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

"""Where in the scan a target lies, and whether it is answered worse there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from hmnet_lite.experiments.results import Result
from hmnet_lite.experiments.runs import TEST
from hmnet_lite.models.features import CachedFeatures


def positions(gap: str, fold: int = 0, episodes: int = TEST.episodes) -> np.ndarray:
    """(episodes,) where the middle of each target lies on a scan by rows: 0 first, 1 last."""
    scenes = replace(TEST, fold=fold, gap=gap, episodes=episodes).build()
    # as the tests left them: no scene is drawn again
    cached = CachedFeatures(scenes, progress=False)
    return np.array([_middle(cached[i].query_mask == 1) for i in range(episodes)])


def ious(results: Sequence[Result], gap: str) -> np.ndarray:
    """(seeds, episodes) IoU of every test episode with its own support; NaN where undefined."""
    tables = [result.scores[gap, "right"].counts[:, 1:3] for result in results]
    return np.stack(
        [np.where(t[:, 1] > 0, t[:, 0] / np.maximum(t[:, 1], 1), np.nan) for t in tables]
    )


def slopes(
    where: np.ndarray, scores: np.ndarray, *, samples: int = 2000, seed: int = 0
) -> np.ndarray:
    """How much IoU changes from the first to the last place of the scan, by a straight line.

    Args:
        where: (episodes,) as `positions` gives them.
        scores: (..., episodes), one row an arm or a seed.
        samples: draws of the episodes, the same ones for every row.
        seed: of the draws.

    Returns:
        (samples + 1, ...): the slopes of all episodes, then of every draw.
    """
    rng = np.random.default_rng(seed)
    drawn = rng.integers(len(where), size=(samples, len(where)))
    drawn = np.concatenate([np.arange(len(where))[None], drawn])
    x = where[drawn]
    x = x - x.mean(1, keepdims=True)
    y = scores[..., drawn]  # (..., samples + 1, episodes)
    return np.moveaxis((x * y).sum(-1) / (x * x).sum(-1), -1, 0)


def _middle(mask: np.ndarray) -> float:
    """Mean place of a mask's pixels in reading order, in [0, 1]."""
    return float(np.flatnonzero(mask).mean() / (mask.size - 1)) if mask.any() else 0.5

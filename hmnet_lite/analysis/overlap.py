"""Two networks on the same episodes: do they fail together, and is the mean of both better?"""

from __future__ import annotations

import numpy as np

from hmnet_lite.scoring.metrics import Scores

FAILED = 0.5  # IoU below which an answer counts as a failure


def episode_ious(found: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """(episodes, H, W) bool each → IoU of every episode, (episodes,); 0 where both are empty."""
    both = (found & truth).sum((1, 2))
    return both / np.maximum((found | truth).sum((1, 2)), 1)


def scores_of(found: np.ndarray, truth: np.ndarray, class_ids: np.ndarray) -> Scores:
    """Scores of masks that are all there, (episodes, H, W) bool each, with each episode's counts.

    Raises:
        ValueError: other shapes than these.
    """
    if found.shape != truth.shape or found.ndim != 3 or len(class_ids) != len(found):
        raise ValueError(
            f"masks of shape {found.shape}, truth {truth.shape}, {len(class_ids)} class ids; "
            "expected (episodes, H, W) twice, and an id an episode"
        )
    columns = {
        "class_id": class_ids,
        "intersection": (found & truth).sum((1, 2)),
        "union": (found | truth).sum((1, 2)),
        "pixels": [found[0].size],
    }
    return Scores.from_counts({k: " ".join(map(str, v)) for k, v in columns.items()})


def failing_together(ours: np.ndarray, theirs: np.ndarray, *, samples: int = 2000) -> dict:
    """How often both fail, against chance, and how alike their IoUs rise and fall.

    Args:
        ours, theirs: IoU of the same episodes, (episodes,).
        samples: how often episodes are drawn again for the intervals (95 %).

    Returns:
        "fails": shares of failures of each; "both": of both; "by chance": the product, what it
        would be if neither knew of the other; "odds": both / by chance; "correlation": of the IoUs
        (Pearson). "odds" and "correlation" as [value, low, high]; None where it is undefined.

    Raises:
        ValueError: fewer than two episodes, or not as many of both.
    """
    x = np.stack([np.asarray(ours, float), np.asarray(theirs, float)])
    if x.shape[1] < 2:
        raise ValueError(f"{x.shape[1]} episodes; expected at least two")
    drawn = np.random.default_rng(0).integers(x.shape[1], size=(samples, x.shape[1]))
    told = [_together(x[:, rows]) for rows in (np.arange(x.shape[1]), *drawn)]
    result = dict(told[0])
    for name in ("odds", "correlation"):
        values = np.array([t[name] for t in told[1:]], float)
        if np.isnan(values).all() or np.isnan(told[0][name]):
            result[name] = None
        else:
            result[name] = [told[0][name], *np.nanquantile(values, [0.025, 0.975])]
    return result


def _together(x: np.ndarray) -> dict:
    failed = x < FAILED
    fails, both = failed.mean(1), failed.all(0).mean()
    chance = fails[0] * fails[1]
    spread = x.std(1)
    likeness = np.nan
    if spread.all():
        likeness = ((x[0] - x[0].mean()) * (x[1] - x[1].mean())).mean() / spread.prod()
    odds = both / chance if chance else np.nan
    return {"fails": list(fails), "both": both, "by chance": chance, "odds": odds,
            "correlation": likeness}  # fmt: skip


def certainty(light: np.ndarray, threshold: str, level: float) -> np.ndarray:
    """Brightness of drawn masks as something like a probability, (episodes, H, W) in [0, 1].

    Straight from 0 at black to 1/2 at the threshold, and from there to 1 at the picture's brightest
    pixel ("relative") or at white ("absolute").
    """
    top = light.max((1, 2), keepdims=True) if threshold == "relative" else 1.0
    cut = level * top
    low, high = light / np.maximum(2 * cut, 1e-6), 0.5 + (light - cut) / (2 * (top - cut) + 1e-6)
    return np.clip(np.where(light > cut, high, low), 0, 1)

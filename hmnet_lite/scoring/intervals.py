"""How sure a difference between two methods is: over test episodes, and over training runs.

Both methods answer the same episodes, so what counts is the difference on each: episodes are drawn
again with replacement, the same ones for both, and mIoU is computed anew (Efron, "Bootstrap
Methods", 1979; paired, as in Koehn, "Statistical Significance Tests for Machine Translation
Evaluation", 2004). Every class keeps its number of episodes, as the protocol gives it.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hmnet_lite.scoring.metrics import Scores


@dataclass(frozen=True)
class Difference:
    """The mIoU of one method minus that of another, in [-1, 1].

    Attributes:
        mean: over pairs of training runs.
        low, high: ends of the interval over test episodes (or sentences).
        level: the interval's, for example 0.95.
        each: that of every pair of training runs.
    """

    mean: float
    low: float
    high: float
    level: float
    each: tuple[float, ...]

    @property
    def runs(self) -> int:
        """Pairs of training runs."""
        return len(self.each)

    @property
    def spread(self) -> float | None:
        """Sample standard deviation over pairs of training runs; None for a single pair."""
        return statistics.stdev(self.each) if self.runs > 1 else None

    @property
    def seen(self) -> bool:
        """Whether the interval and every pair of training runs are on one side of 0."""
        return min(self.low, *self.each) > 0 or max(self.high, *self.each) < 0

    def __str__(self) -> str:
        spread = "" if self.spread is None else f", ± {100 * self.spread:.1f} over {self.runs} runs"
        bounds = f"{100 * self.low:+.1f} to {100 * self.high:+.1f}{spread}"
        return f"{100 * self.mean:+.1f} ({self.level:.0%} interval over episodes: {bounds})"


def paired_difference(
    ours: Scores | Sequence[Scores],
    theirs: Scores | Sequence[Scores],
    *,
    level: float = 0.95,
    samples: int = 2000,
    seed: int = 0,
) -> Difference:
    """Ours minus theirs on the same episodes.

    Args:
        ours, theirs: scores of one training run, or of several, run i against run i. All kept
            their episodes' counts, of the same episodes in the same order.
        level: of the interval over episodes.
        samples: how often the episodes are drawn.
        seed: of the draws.

    Raises:
        ValueError: no or unequal numbers of runs, counts that were not kept, or other episodes.
    """
    ours, theirs = ([x] if isinstance(x, Scores) else list(x) for x in (ours, theirs))
    if len(ours) != len(theirs) or not ours:
        raise ValueError(
            f"{len(ours)} and {len(theirs)} training runs; expected as many of each, at least one"
        )
    if not 0 < level < 1:
        raise ValueError(f"level is {level}; expected a share between 0 and 1, such as 0.95")
    counts = [scores.counts for scores in (*ours, *theirs)]
    classes = counts[0][:, 0]
    for table in counts:
        if len(table) == 0:
            raise ValueError("the scores kept no counts by episode; evaluate again to have them")
        if not np.array_equal(table[:, 0], classes):
            raise ValueError("the scores are of other episodes; expected the same ones in order")
    rng = np.random.default_rng(seed)
    drawn = np.zeros((len(counts), samples))  # mIoU of every run under every draw
    seen = np.zeros((len(counts), samples))  # classes with an IoU
    for class_id in np.unique(classes):
        rows = np.flatnonzero(classes == class_id)
        often = rng.multinomial(len(rows), np.full(len(rows), 1 / len(rows)), size=samples)
        for run, table in enumerate(counts):
            intersection, union = (often @ table[rows, column] for column in (1, 2))
            drawn[run] += intersection / np.maximum(union, 1)
            seen[run] += union > 0
    drawn /= np.maximum(seen, 1)
    gained = (drawn[: len(ours)] - drawn[len(ours) :]).mean(0)
    low, high = np.quantile(gained, [(1 - level) / 2, (1 + level) / 2])
    pairs = [a.miou - b.miou for a, b in zip(ours, theirs, strict=True)]
    return Difference(statistics.fmean(pairs), float(low), float(high), level, tuple(pairs))


def over_folds(found: Sequence[Difference]) -> Difference:
    """The mean of differences on several folds, whose episodes are drawn apart.

    Ends of the interval: what the folds' ends are away from their means, added in squares (for
    independent errors add so) and divided by the number of folds.

    Args:
        found: a difference for each fold, of one level.

    Raises:
        ValueError: there is none, or they are of several levels.
    """
    levels = {one.level for one in found}
    if len(levels) != 1:
        raise ValueError(f"differences of levels {sorted(levels)}; expected some of one level")
    mean = statistics.fmean(one.mean for one in found)
    below, above = (
        math.hypot(*(getattr(one, end) - one.mean for one in found)) / len(found)
        for end in ("low", "high")
    )
    each = tuple(pair for one in found for pair in one.each)
    return Difference(mean, mean - below, mean + above, levels.pop(), each)


def paired_oiou(
    ours: Sequence[np.ndarray],
    theirs: Sequence[np.ndarray],
    *,
    level: float = 0.95,
    samples: int = 2000,
    seed: int = 0,
) -> Difference:
    """Overall IoU of one method minus another's on the same sentences, drawn again together.

    Args:
        ours, theirs: of each training run (sentences, 2), intersections and unions; run i against
            run i, the sentences in one order.
        level, samples, seed: as in `paired_difference`.

    Raises:
        ValueError: no or unequal numbers of runs, or of sentences.
    """
    if len(ours) != len(theirs) or not ours:
        raise ValueError(
            f"{len(ours)} and {len(theirs)} training runs; expected as many of each, at least one"
        )
    sizes = {len(table) for table in (*ours, *theirs)}
    if len(sizes) > 1 or 0 in sizes:
        raise ValueError(f"{sorted(sizes)} sentences; expected the same ones in every run")
    count = sizes.pop()
    rng = np.random.default_rng(seed)
    often = rng.multinomial(count, np.full(count, 1 / count), size=samples)

    def gained(draws: np.ndarray) -> np.ndarray:  # (runs, draws)
        sums = [[draws @ table for table in side] for side in (ours, theirs)]
        mine, other = (np.stack([x[:, 0] / np.maximum(x[:, 1], 1) for x in side]) for side in sums)
        return mine - other

    low, high = np.quantile(gained(often).mean(0), [(1 - level) / 2, (1 + level) / 2])
    pairs = gained(np.ones((1, count), np.int64))[:, 0].tolist()
    return Difference(statistics.fmean(pairs), float(low), float(high), level, tuple(pairs))


def mean_interval(
    values: np.ndarray, *, level: float = 0.95, samples: int = 2000, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """The ends of the bootstrap interval of a mean over training runs and test episodes.

    Episodes are drawn again with replacement, the same ones for every run: the interval says how
    much the mean hangs on the episodes, not how much on the runs.

    Args:
        values: (runs, episodes, ...); nan where an episode has no value.
        level, samples, seed: as in `paired_difference`.

    Returns:
        low and high, (...) each.

    Raises:
        ValueError: no runs or episodes.
    """
    values = np.asarray(values, float)
    if values.ndim < 2 or not values.size:
        raise ValueError(f"values have shape {values.shape}; expected (runs, episodes, ...)")
    known = ~np.isnan(values)
    episodes = values.shape[1]
    rng = np.random.default_rng(seed)
    often = rng.multinomial(episodes, np.full(episodes, 1 / episodes), size=samples)
    total, count = (
        np.tensordot(often, x.sum(0), axes=1) for x in (np.where(known, values, 0), known)
    )
    return tuple(np.nanquantile(total / np.where(count, count, np.nan), q, axis=0)
                 for q in ((1 - level) / 2, (1 + level) / 2))  # fmt: skip

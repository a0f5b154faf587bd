"""An experiment as text: scores, who is listened to, differences with intervals, what is missing.

Numbers are in percent, means over training seeds; an arm without a run has a dash.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from statistics import fmean

from hmnet_lite.experiments.arms import ARMS
from hmnet_lite.experiments.experiment import Experiment
from hmnet_lite.experiments.results import (
    SHOWN,
    Result,
    difference,
    gaps_of,
    mean,
    runs_of,
    support_use,
)
from hmnet_lite.experiments.suite import EXPERIMENTS
from hmnet_lite.scoring.intervals import Difference, over_folds
from hmnet_lite.scoring.report import lay_out

Results = Mapping[str, Sequence[Result]]
FOLD = 0  # episodes can only be paired on one fold
AUDIBLE = 0.005  # of mIoU: whoever loses less with a wrong support does not listen


def listening(experiment: Experiment, results: Results) -> str:
    """Arms x gaps: mIoU with the right support, a wrong one and none at the mixer's input."""
    body = []
    gaps = gaps_of(results)
    for label, found in _found(experiment, results):
        cells = [" / ".join(_percent(mean(found, gap, shown)) for shown in SHOWN) for gap in gaps]
        body.append([label, _seeds(found), *cells])
    return lay_out(["right / wrong / none", "seeds", *gaps], body, markdown=False)


def use(experiment: Experiment, results: Results) -> str:
    """Arms x gaps: support use, right minus wrong, with its 95 % interval over episodes.

    A star where the arm listens, as in `heard`.
    """
    gaps = gaps_of(results)
    body = [
        [label, _seeds(found), *(_starred(support_use(found, gap), _listens) for gap in gaps)]
        for label, found in _found(experiment, results)
    ]
    return lay_out(["support use", "seeds", *gaps], body, markdown=False)


def differences(experiment: Experiment, results: Results) -> str:
    """Arms x gaps: mIoU minus that of `experiment.against`, paired, with its 95 % interval.

    A star where a difference is seen, as in `verdicts`.
    """
    found = dict(_found(experiment, results))
    base = found.pop(experiment.against)
    gaps = gaps_of(results)
    body = []
    for label, ours in found.items():
        cells = [difference(ours, base, gap, fold=FOLD) for gap in gaps]
        pairs = max(cell.runs if cell else 0 for cell in cells)
        body.append([label, str(pairs), *(_starred(cell, _seen) for cell in cells)])
    return lay_out([f"minus {experiment.against}", "seeds", *gaps], body, markdown=False)


def folds(arm: str, against: str, results: Results) -> str:
    """Folds x gaps: an arm's mIoU, and what it gains over another's, paired, with its interval.

    A fold that one of the two has no run on is left out. The last row is the mean over folds; its
    pairs are those of all. Stars as in `differences`.

    Args:
        arm, against: names in `ARMS`.
        results: arm to its results, of any folds.
    """
    gaps = gaps_of(results)
    gains: dict[int, list[Difference]] = {}
    mious: dict[int, list[float]] = {}
    for fold in sorted({r.run.fold for r in results.get(arm, ())}):
        found = [r for r in results[arm] if r.run.fold == fold]
        cells = [difference(found, results.get(against, ()), gap, fold=fold) for gap in gaps]
        if all(cells):
            gains[fold] = [cell for cell in cells if cell]
            mious[fold] = [mean(found, gap) or 0.0 for gap in gaps]
    rows = {f"fold {fold}": (mious[fold], gains[fold]) for fold in gains}
    if gains:
        columns = zip(*gains.values(), strict=True)
        over = [fmean(values) for values in zip(*mious.values(), strict=True)]
        rows[f"mean of {len(gains)}"] = over, [over_folds(column) for column in columns]
    body = [
        [label, str(gained[0].runs),
         *(f"{_percent(x)} {_starred(g, _seen)}" for x, g in zip(miou, gained, strict=True))]
        for label, (miou, gained) in rows.items()
    ]  # fmt: skip
    return lay_out([f"mIoU, gain over {against}", "pairs", *gaps], body, markdown=False)


def verdicts(experiment: Experiment, results: Results) -> str:
    """A line an arm: where it scores above or below `experiment.against`, where nothing is seen.

    A difference is seen where its 95 % interval over episodes and every training seed are on one
    side of 0; the number of seeds stands beside it. Arms without a run are named last.
    """
    found = dict(_found(experiment, results))
    base = found.pop(experiment.against)
    said = {
        f"{label} against {experiment.against}": _told(
            {gap: difference(ours, base, gap, fold=FOLD) for gap in gaps_of(results)},
            ("above", "below", "not seen"),
            _side,
        )
        for label, ours in found.items()
    }
    return _lines(said, [label for label, ours in found.items() if not ours or not base])


def heard(experiment: Experiment, results: Results) -> str:
    """A line an arm: at which gaps it listens to the support at its mixer.

    It does where its support use is seen, as in `verdicts`, and is half a point or more: over
    enough episodes a difference of nothing can be sure. It is deaf where all of the interval and
    every seed are within half a point of nothing; between the two it is not decided. A network
    without a mixer has nothing to listen with, and no line; but one with a mixed prior hears the
    support by that, mixer or none: what its state is worth is in `Result.miou(gap, "state")`.
    """
    words = ("listens", "does better misled", "deaf", "not decided")
    found = dict(_found(experiment, results))
    said = {
        label: _told({gap: support_use(ours, gap) for gap in gaps_of(results)}, words, _hearing)
        for label, ours in found.items()
    }
    return _lines(said, [label for label, ours in found.items() if not ours])


def not_measured(results: Results) -> str:
    """Experiments x runs: how many of each are still missing, and the command that makes them."""
    done = {result.run for found in results.values() for result in found}
    body = []
    for name, experiment in EXPERIMENTS.items():
        runs = runs_of(ARMS[arm] for arm in experiment.arms.values())
        left = sum(run not in done for run in runs)
        if left:
            body.append([name, f"{left} of {len(runs)}", f'make experiments ARGS="--only {name}"'])
    return lay_out(["experiment", "runs not measured", "this makes them"], body, markdown=False)


def _found(experiment: Experiment, results: Results) -> list[tuple[str, list[Result]]]:
    """Label to the results of its arm on the fold that is shown."""
    return [
        (label, [result for result in results.get(arm, ()) if result.run.fold == FOLD])
        for label, arm in experiment.arms.items()
    ]


def _seeds(found: Sequence[Result]) -> str:
    return str(len(found))


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f}"


def interval(found: Difference | Mapping[str, float] | None) -> str:
    """A difference in points with its 95 % interval: "+1.2 [+0.3, +2.0]"; a dash for none.

    Args:
        found: in [-1, 1]; a mapping has mean, low and high, as figures/ keeps them.
    """
    if found is None:
        return "-"
    if isinstance(found, Difference):
        found = vars(found)
    mean, low, high = (_points(found[what]) for what in ("mean", "low", "high"))
    return f"{mean} [{low}, {high}]"


def _lines(said: Mapping[str, str], without: Sequence[str]) -> str:
    lines = [f"{who}: {what}" for who, what in said.items() if what]
    return "\n".join(lines + ([f"not measured: {', '.join(without)}"] if without else []))


def _seen(found: Difference) -> bool:
    return found.seen


def _listens(use: Difference) -> bool:
    return _hearing(use) == 0


def _starred(found: Difference | None, seen: Callable[[Difference], bool]) -> str:
    if found is None:
        return "- "
    return interval(found) + ("*" if seen(found) else " ")


def _side(found: Difference) -> int:
    """Which word of "above", "below", "not seen"."""
    return 2 if not found.seen else 0 if found.mean > 0 else 1


def _hearing(use: Difference) -> int:
    """Which word of "listens", "does better misled", "deaf", "not decided"."""
    if use.seen and abs(use.mean) >= AUDIBLE:
        return _side(use)
    return 2 if max(map(abs, (use.low, use.high, *use.each))) < AUDIBLE else 3


def _told(
    found: Mapping[str, Difference | None],
    words: Sequence[str],
    which: Callable[[Difference], int],
) -> str:
    """ "above: same +2.0, cross +1.1; not seen: sibling -0.2 (1 seed)"; empty without a number."""
    kinds: dict[str, list[str]] = {word: [] for word in words}
    seeds = 0
    for gap, cell in found.items():
        if cell:
            kinds[words[which(cell)]].append(f"{gap} {_points(cell.mean)}")
            seeds = max(seeds, cell.runs)
    if not seeds:
        return ""
    told = "; ".join(f"{word}: {', '.join(gaps)}" for word, gaps in kinds.items() if gaps)
    return f"{told} ({seeds} seed{'s' if seeds > 1 else ''})"


def _points(share: float) -> str:
    """In points, signed; a nothing has no sign of its own: "+1.2", "0.0"."""
    told = f"{100 * share:+.1f}"
    return told if told.strip("+-0.") else told[1:]

"""An experiment as text: scores, who is listened to, differences with intervals, what is missing.

Numbers are in percent, means over training seeds; an arm without a run has a dash.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hmnet_lite.experiments.arms import ARMS
from hmnet_lite.experiments.results import (
    SHOWN,
    Result,
    difference,
    gaps_of,
    mean,
    runs_of,
    support_use,
)
from hmnet_lite.experiments.suite import EXPERIMENTS, Experiment
from hmnet_lite.scoring.intervals import Difference
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
    """Arms x gaps: support use, right minus wrong, with its 95 % interval over episodes."""
    gaps = gaps_of(results)
    body = [
        [label, _seeds(found), *(interval(support_use(found, gap)) for gap in gaps)]
        for label, found in _found(experiment, results)
    ]
    return lay_out(["support use", "seeds", *gaps], body, markdown=False)


def differences(experiment: Experiment, results: Results) -> str:
    """Arms x gaps: mIoU minus that of `experiment.against`, paired, with its 95 % interval."""
    found = dict(_found(experiment, results))
    base = found.pop(experiment.against)
    gaps = gaps_of(results)
    body = []
    for label, ours in found.items():
        cells = [difference(ours, base, gap, fold=FOLD) for gap in gaps]
        pairs = max(cell.runs if cell else 0 for cell in cells)
        body.append([label, str(pairs), *map(interval, cells)])
    return lay_out([f"minus {experiment.against}", "seeds", *gaps], body, markdown=False)


def verdicts(experiment: Experiment, results: Results) -> str:
    """A line an arm: where it scores above or below `experiment.against`, where nothing is seen.

    A difference is seen where its 95 % interval over episodes and every training seed are on one
    side of 0; the number of seeds stands beside it. Arms without a run are named last.
    """
    found = dict(_found(experiment, results))
    base = found.pop(experiment.against)
    said = {
        f"{label} against {experiment.against}": _said(
            {gap: difference(ours, base, gap, fold=FOLD) for gap in gaps_of(results)}
        )
        for label, ours in found.items()
    }
    return _lines(said, [label for label, ours in found.items() if not ours or not base])


def heard(experiment: Experiment, results: Results) -> str:
    """A line an arm: at which gaps it listens to the support at its mixer.

    It does where its support use is seen, as in `verdicts`, and is half a point or more: over
    enough episodes a difference of nothing can be sure. A network without a mixer has nothing to
    listen with, and no line; but one with a mixed prior hears the support by that, mixer or none:
    what its state is worth is in `Result.miou(gap, "state")`.
    """
    words = ("listens", "does better misled", "deaf")
    found = dict(_found(experiment, results))
    said = {
        label: _said(
            {gap: support_use(ours, gap) for gap in gaps_of(results)}, words, least=AUDIBLE
        )
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
    mean, low, high = (100 * found[what] for what in ("mean", "low", "high"))
    return f"{mean:+.1f} [{low:+.1f}, {high:+.1f}]"


def _lines(said: Mapping[str, str], without: Sequence[str]) -> str:
    lines = [f"{who}: {what}" for who, what in said.items() if what]
    return "\n".join(lines + ([f"not measured: {', '.join(without)}"] if without else []))


def _said(
    found: Mapping[str, Difference | None],
    words: Sequence[str] = ("above", "below", "not seen"),
    least: float = 0.0,
) -> str:
    """ "above: same +2.0, cross +1.1; not seen: sibling -0.2 (1 seed)"; empty without a number."""
    kinds: dict[str, list[str]] = {word: [] for word in words}
    seeds = 0
    for gap, cell in found.items():
        if cell:
            sure = cell.seen and abs(cell.mean) >= least
            kind = words[2] if not sure else words[0] if cell.mean > 0 else words[1]
            kinds[kind].append(f"{gap} {100 * cell.mean:+.1f}")
            seeds = max(seeds, cell.runs)
    if not seeds:
        return ""
    told = "; ".join(f"{word}: {', '.join(gaps)}" for word, gaps in kinds.items() if gaps)
    return f"{told} ({seeds} seed{'s' if seeds > 1 else ''})"

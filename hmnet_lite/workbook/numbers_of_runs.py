"""The numbers of the experiments' figures, from the files that runs left in figures/experiments/.

More files, more rows: after a run, `make figures` draws them anew.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hmnet_lite.experiments.arms import ARMS
from hmnet_lite.experiments.results import (
    SHOWN,
    Result,
    difference,
    gaps_of,
    load,
)
from hmnet_lite.experiments.suite import EXPERIMENTS

FOLD = 0
#: the first word of an arm's name → where figures put it, and what they add to its label
GROUPS = {
    "state": ("by the state alone", ""),
    "prototype": ("one shortcut added", ", prototype"),
    "prior": ("one shortcut added", ", prior"),
    "shortcuts": ("both added", ""),
    "network": ("the network as in the paper", ""),
}
#: questions about who listens; of the others' arms, tables say it
LISTENING = (
    "listening-state", "controls-state", "fusion-state", "listening-prototype", "listening-prior",
    "listening-shortcuts", "state-first", "state-first-rivals", "beside-rivals", "made-to-count",
    "table-3", "controls",
)  # fmt: skip
#: questions whose answer is a difference of mIoU, by whether the support has another way
ALONE = (
    "listening-state", "controls-state", "equal-time-state", "fusion-state", "qim-state",
    "recap-kind", "alpha", "untied", "directions", "size", "start", "generated",
)  # fmt: skip
BESIDE = (
    "table-3", "controls", "listening-shortcuts", "listening-prior", "listening-prototype",
    "state-first", "state-first-rivals", "beside-rivals", "made-to-count", "equal-steps",
    "equal-time-beside", "equal-time-trap",
)  # fmt: skip


def who_is_listened_to() -> dict[str, Any]:
    """Gap to group to network to what its mixer was shown to the mIoU of every seed on fold 0."""
    results = load()
    asked = {arm for name in LISTENING for arm in EXPERIMENTS[name].arms.values()}
    panels: dict[str, Any] = {}
    for gap in gaps_of(results):
        panels[gap] = {}
        for name in filter(asked.__contains__, ARMS):
            found = [r for r in results.get(name, ()) if r.run.fold == FOLD]
            shown = {
                what: values
                for what in SHOWN
                if (values := [m for r in found if (m := r.miou(gap, what)) is not None])
            }
            if shown:
                group, label = place_of(name)
                panels[gap].setdefault(group, {})[label] = shown
    return panels


def by_the_state_alone() -> dict[str, Any]:
    """Where the state is the only way: `_differences` of `ALONE`."""
    return _differences(ALONE, load())


def with_and_without() -> dict[str, Any]:
    """Beside shortcuts: `_differences` of `BESIDE`.

    Without the networks that have none: they are 10 to 20 points below, and the rest would be drawn
    as one line.
    """
    beside = {arm: found for arm, found in load().items() if not arm.startswith("state-")}
    return _differences(BESIDE, beside)


def place_of(arm: str) -> tuple[str, str]:
    """The group in which figures show an arm, and its name there: the first experiment's label."""
    group, more = GROUPS[arm.split("-")[0]]
    labels = (
        label
        for experiment in EXPERIMENTS.values()
        for label, shown in experiment.arms.items()
        if shown == arm
    )
    return group, next(labels).removeprefix("+ ") + more


def _differences(
    experiments: Sequence[str], results: Mapping[str, Sequence[Result]]
) -> dict[str, Any]:
    """Gap to "against ..." to arm to mean, low, high, each pair of runs, in [-1, 1]."""
    panels: dict[str, Any] = {}
    for gap in gaps_of(results):
        panels[gap] = {}
        for name in experiments:
            experiment = EXPERIMENTS[name]
            base = results.get(experiment.arms[experiment.against], ())
            arms = {}
            for label, arm in experiment.arms.items():
                found = difference(results.get(arm, ()), base, gap, fold=FOLD)
                if label != experiment.against and found:
                    arms[label.removeprefix("+ ")] = {
                        "mean": found.mean, "low": found.low, "high": found.high,
                        "seeds": found.runs, "each": found.each,
                    }  # fmt: skip
            if arms:
                several = name in BESIDE and name.startswith("listening-")
                where = name.removeprefix("listening-") if several else ""
                group = f"against {experiment.against}" + (f", {where}" if where else "")
                panels[gap].setdefault(group, {}).update(arms)  # two may ask of one base
    return panels

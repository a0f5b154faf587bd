"""The numbers of the experiments' figures, from the files that runs left in figures/experiments/.

More files, more rows: after a run, `make figures` draws them anew.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hmnet_lite.experiments.arms import ARMS
from hmnet_lite.experiments.experiment import Experiment
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
    "listening-state", "listening-prototype", "listening-prior", "listening-shortcuts",
    "state-first", "beside-rivals", "made-to-count",
)  # fmt: skip
PUBLISHED = "network-srm-qim"  # trained as the network that ships
#: questions whose answer is a difference of mIoU where the support has no other way: of mixers,
#: of what is inside them, and of recap and QIM
ALONE = (
    "listening-state", "controls-state", "equal-time-state", "fusion-state", "directions", "size",
    "start",
)  # fmt: skip
ASKED = ("forgetting", "qim-state", "alpha", "untied", "recap-kind", "generated")
#: and where it has others
BESIDE = ("table-3", "controls", "equal-steps", "equal-time-beside", "equal-time-trap")


def who_is_listened_to() -> dict[str, Any]:
    """Gap to group to network to what its mixer was shown to the mIoU of every seed on fold 0."""
    results = load()
    asked = {arm for name in LISTENING for arm in EXPERIMENTS[name].arms.values()} | {PUBLISHED}
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


def asked_by_training() -> dict[str, Any]:
    """The same of recap and QIM: `_differences` of `ASKED`."""
    return _differences(ASKED, load())


def with_and_without() -> dict[str, Any]:
    """Beside shortcuts: `_differences` of `BESIDE`."""
    return _differences(BESIDE, load())


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
                group = f"against {experiment.against}{_setting(experiment)}"
                panels[gap].setdefault(group, {}).update(arms)  # two may ask of one base
    return panels


def _setting(experiment: Experiment) -> str:
    """What tells two bases of one label apart: what stands beside the mixer, how it was trained."""
    base = experiment.arms[experiment.against]
    words = {"network": ", trained as the paper's", "prototype": ", beside the prototype",
             "prior": ", beside the prior"}  # fmt: skip
    return words.get(base.split("-")[0], "")

"""The table of arms says one thing once: distinct networks, labels that lead to arms."""

import json
import re
from dataclasses import asdict, replace

import pytest

from hmnet_lite.experiments.arms import ALONE, ARMS, EQUAL_TIME, MIXERS, SHORTCUTS
from hmnet_lite.experiments.results import FOLDER, runs_of
from hmnet_lite.experiments.suite import EXPERIMENTS, find


def test_no_network_is_trained_twice_under_two_names():
    kinds = [repr(replace(arm, name="", seeds=(), folds=())) for arm in ARMS.values()]
    assert len(set(kinds)) == len(kinds)
    for name, arm in ARMS.items():
        assert arm.name == name and re.fullmatch(r"[a-z0-9-]+", name)
        assert len(set(arm.seeds)) == len(arm.seeds) >= 3 and arm.train.steps


def in_all(arm):
    return arm.train.steps + (in_all(ARMS[arm.after]) if arm.after else 0)


def test_every_experiment_asks_foretells_and_compares_arms_that_exist():
    for experiment in EXPERIMENTS.values():
        assert experiment.question.endswith("?") and experiment.prediction.endswith(".")
        assert experiment.against in experiment.arms and len(experiment.arms) >= 3
        arms = [ARMS[name] for name in experiment.arms.values()]
        assert len({arm.name for arm in arms}) == len(arms)
        timed = experiment.name.startswith("equal-time")
        assert timed or len({arm.train for arm in arms}) == 1 or len({*map(in_all, arms)}) == 1, (
            "at equal steps, or as many with those of the network gone on from"
        )
        if experiment.name.startswith(("listening", "table", "controls")):
            assert all(len(arm.seeds) >= 5 for arm in arms)
    shown = {name for experiment in EXPERIMENTS.values() for name in experiment.arms.values()}
    assert shown == set(ARMS), "an arm that no experiment shows"


def test_equal_time_is_equal_by_the_steps_that_were_timed():
    seconds = json.loads((FOLDER / "step_times.json").read_text())["seconds"]
    for where in ("state", "shortcuts"):
        steps = {arm: n for arm, n in EQUAL_TIME.items() if arm.startswith(where)}
        for arm, n in steps.items():
            took = n * seconds[arm] / (ALONE.steps * seconds[f"{where}-both"])
            assert took == pytest.approx(1, abs=0.05), arm


def test_shortcuts_and_mixers_are_crossed_and_nothing_else_differs():
    for mixer in MIXERS:
        columns = [asdict(ARMS[f"{where}-{mixer}"].config) for where in SHORTCUTS]
        differ = {n for n in columns[0] if len({str(c[n]) for c in columns}) > 1}
        assert differ == {"prototype", "prior"}
    for where in SHORTCUTS:
        rows = [asdict(ARMS[f"{where}-{mixer}"].config) for mixer in MIXERS]
        assert {n for n in rows[0] if len({r[n] for r in rows}) > 1} == {"srm", "qim"}


def test_runs_come_seed_by_seed_and_once():
    runs = runs_of([*find("table-3"), *find("controls")])
    assert len({run.name for run in runs}) == len(runs)
    assert [run.seed for run in runs] == sorted(run.seed for run in runs)
    assert {run.fold for run in runs if run.arm.name == "network-srm-qim"} == {0, 1, 2, 3}


def test_a_name_that_leads_nowhere_is_told():
    assert [arm.name for arm in find("state-both")] == ["state-both"]
    with pytest.raises(ValueError, match=r"called 'tabel-3'\. Did you mean 'table-3'\?"):
        find("tabel-3")

"""Tables say what the scores are: means, paired differences, and what nobody has measured."""

import numpy as np
import pytest

from hmnet_lite.experiments import tables
from hmnet_lite.experiments.arms import ARMS, Experiment
from hmnet_lite.experiments.results import Result, Run, difference, missing, support_use
from hmnet_lite.scoring.metrics import Scores

TWO = Experiment("two", "?", ".", {"a": "state-both", "b": "state-srm", "c": "state-qim"}, "a")


def scores(share, episodes=20):
    """Two classes; every prediction covers this share of its target, and nothing else."""
    made = Scores()
    for number in range(episodes):
        truth = np.zeros((10, 10), int)
        truth[: 5 + number % 3] = 1
        found = np.zeros_like(truth)
        rows = np.flatnonzero(truth)
        found.flat[rows[: round(share * len(rows))]] = 1
        made.update(found, truth, number % 2)
    return made


def result(arm, seed, right, wrong, none=0.1):
    found = {("same", "right"): scores(right), ("same", "wrong"): scores(wrong)}
    return Result(Run(ARMS[arm], 0, seed), {}, found, {"same": none})


RESULTS = {
    "state-both": [result("state-both", s, 0.6, 0.2) for s in (0, 1)],
    "state-srm": [result("state-srm", s, 0.4, 0.4) for s in (1, 2)],
}


def rows(text):
    return {line.split("  ")[0].strip(): line.split() for line in text.splitlines()[2:]}


def test_listening_and_its_use():
    found = rows(tables.listening(TWO, RESULTS))
    assert found["a"] == ["a", "2", "60.0", "/", "20.0", "/", "10.0"]
    assert found["c"] == ["c", "0", "-", "/", "-", "/", "-"]
    used = rows(tables.use(TWO, RESULTS))
    assert used["a"][2] == "+40.0" and used["b"][2] == "+0.0" and used["c"][2] == "-"


def test_differences_are_paired_by_seed():
    found = difference(RESULTS["state-srm"], RESULTS["state-both"], "same")
    assert found.runs == 1 and found.mean == pytest.approx(-0.2)  # seed 1 alone is shared
    assert found.low <= found.mean <= found.high
    table = rows(tables.differences(TWO, RESULTS))
    assert table["b"][1:3] == ["1", "-20.0"] and table["c"][1:] == ["0", "-"]
    assert difference([], RESULTS["state-both"], "same") is None
    assert support_use([], "same") is None


def test_what_is_not_measured_is_counted(tmp_path):
    line = next(x for x in tables.not_measured(RESULTS).splitlines() if "listening-state" in x)
    assert "16 of 20" in line and 'make experiments ARGS="--only listening-state"' in line
    runs = missing([ARMS["state-both"]], tmp_path)
    (tmp_path / f"{runs[0].name}.json").touch()
    assert missing([ARMS["state-both"]], tmp_path) == runs[1:]

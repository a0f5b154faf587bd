"""Tables say what the scores are: means, paired differences, and what nobody has measured."""

import numpy as np
import pytest

from hmnet_lite.experiments import paper, tables
from hmnet_lite.experiments.arms import ARMS
from hmnet_lite.experiments.experiment import Experiment
from hmnet_lite.experiments.results import Result, Run, difference, missing, support_use
from hmnet_lite.scoring.metrics import Scores

TWO = Experiment("two", "?", ".", {"a": "state-both", "b": "state-srm", "c": "state-qim"}, "a")


def scores(share, episodes=20, side=10):
    """Two classes; every prediction covers this share of its target, and nothing else."""
    made = Scores()
    for number in range(episodes):
        truth = np.zeros((side, side), int)
        truth[: (5 + number % 3) * side // 10] = 1
        found = np.zeros_like(truth)
        rows = np.flatnonzero(truth)
        found.flat[rows[: round(share * len(rows))]] = 1
        made.update(found, truth, number % 2)
    return made


def result(arm, seed, right, wrong, none=0.1, **size):
    found = {("same", "right"): scores(right, **size), ("same", "wrong"): scores(wrong, **size)}
    return Result(Run(ARMS[arm], 0, seed), {}, found, {("same", "none"): none})


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
    assert used["a"][2] == "+40.0" and used["b"][2] == "0.0" and used["c"][2] == "-"


def test_differences_are_paired_by_seed():
    found = difference(RESULTS["state-srm"], RESULTS["state-both"], "same")
    assert found.runs == 1 and found.mean == pytest.approx(-0.2)  # seed 1 alone is shared
    assert found.low <= found.mean <= found.high
    table = rows(tables.differences(TWO, RESULTS))
    assert table["b"][1:3] == ["1", "-20.0"] and table["c"][1:] == ["0", "-"]
    assert difference([], RESULTS["state-both"], "same") is None
    assert support_use([], "same") is None


def test_what_is_seen_is_said_with_its_seeds():
    said = tables.verdicts(TWO, RESULTS).splitlines()
    assert said == ["b against a: below: same -20.0 (1 seed)", "not measured: c"]
    torn = {
        "state-both": [result("state-both", s, 0.5, 0.2) for s in (0, 1)],
        "state-srm": [result("state-srm", s, x, 0.2) for s, x in enumerate((0.4, 0.8))],
    }
    found = difference(torn["state-srm"], torn["state-both"], "same")
    assert found.low > 0 and found.each == pytest.approx((-0.1, 0.3)) and not found.seen
    assert tables.verdicts(TWO, torn).startswith("b against a: not seen: same +10.0 (2 seeds)")
    barely = {"state-qim": [result("state-qim", 0, 0.402, 0.4, side=100)]}
    assert support_use(barely["state-qim"], "same").low > 0, "sure, and still nothing"
    assert "c: deaf: same +0.2 (1 seed)" in tables.heard(TWO, barely)
    heard = tables.heard(TWO, RESULTS).splitlines()
    assert heard[0] == "a: listens: same +40.0 (2 seeds)"
    assert heard[1] == "b: deaf: same 0.0 (2 seeds)" and heard[2] == "not measured: c"
    for right, said in ((0.43, "listens: same +3.0"), (0.38, "does better misled: same -2.0")):
        told = {"state-qim": [result("state-qim", 0, right, 0.4, side=100)]}
        assert f"c: {said} (1 seed)" in tables.heard(TWO, told)
    torn = {"state-qim": [result("state-qim", s, x, 0.4) for s, x in enumerate((0.5, 0.4))]}
    assert "c: not decided: same +5.0 (2 seeds)" in tables.heard(TWO, torn), "one hears, one not"


def test_folds_stand_beside_each_other_and_their_mean():
    def run(arm, fold, seed, right):
        found = {("same", "right"): scores(right)}
        return Result(Run(ARMS[arm], fold, seed), {}, found, {})

    made = {
        "state-both": [run("state-both", 0, 0, 0.6), run("state-both", 0, 1, 0.6),
                       run("state-both", 1, 0, 0.8)],
        "state-srm": [run("state-srm", 0, 0, 0.4), run("state-srm", 1, 0, 0.7)],
    }  # fmt: skip
    made["state-both"].append(run("state-both", 2, 0, 0.9))  # of which the other has no run
    table = rows(tables.folds("state-both", "state-srm", made))
    assert list(table) == ["fold 0", "fold 1", "mean of 2"]
    assert table["fold 0"][2:5] == ["1", "60.0", "+20.0"]
    assert table["fold 1"][2:5] == ["1", "80.0", "+10.0"]
    assert table["mean of 2"][3:6] == ["2", "70.0", "+15.0"]
    assert not rows(tables.folds("state-both", "state-qim", made))


def test_the_paper_s_rows_stand_beside_ours():
    table = paper.PaperTable(
        "t", {"base": (65.2, "state-both"), "+ a": (None, "state-srm"), "+ b": (70.4, None)}, "base"
    )
    title, found = paper.beside(table, RESULTS).split("\n", 1)
    assert title == "t"
    found = rows(found)
    assert found["base"][1:] == ["65.2", "(+0.0)", "60.0", "(+0.0)", "2"]
    assert found["+ a"][2:] == ["-", "40.0", "(-20.0)", "2"]
    assert found["+ b"][2:] == ["70.4", "(+5.2)", "not", "measured", "0"]


def test_the_paper_s_tables_lead_to_arms_and_add_up():
    for table in paper.TABLES.values():
        assert table.rows[table.against][0], "gains are counted from a number of the paper"
        assert {arm for _, arm in table.rows.values() if arm} <= set(ARMS)
    folds = np.mean([70.1, 73.6, 67.7, 62.9])  # of its rows SRM + QIM in Tables 3 and 8
    assert paper.TABLES[8].rows["HMNet, mean of its folds"][0] == pytest.approx(folds, abs=0.05)
    assert paper.TABLES[3].rows["+ SRM recap + QIM"][0] == pytest.approx(folds, abs=0.05)


def test_what_is_not_measured_is_counted(tmp_path):
    line = next(x for x in tables.not_measured(RESULTS).splitlines() if "listening-state" in x)
    assert "16 of 20" in line and 'make experiments ARGS="--only listening-state"' in line
    runs = missing([ARMS["state-both"]], tmp_path)
    (tmp_path / f"{runs[0].name}.json").touch()
    assert missing([ARMS["state-both"]], tmp_path) == runs[1:]

"""What notebook 07 says in words of the full comparison holds of the committed report."""

from pathlib import Path

import pytest

from hmnet_lite.scoring.evaluate import FLOORS
from hmnet_lite.scoring.report import Report

REPORT = Path(__file__).parents[2] / "figures" / "emoji_fold0.json"
NETWORKS = ("HMNet-lite", "without Mamba")


@pytest.fixture(scope="module")
def full():
    return Report.from_json(REPORT)


def test_both_networks_are_far_above_every_floor(full):
    assert full.gaps == ["same", "sibling", "cross", "held_out"]
    for gap in full.gaps:
        floor = max(full.cell(name, gap).mean for name in (*FLOORS, "prior mask"))
        for method in NETWORKS:
            assert full.cell(method, gap).mean > 1.25 * floor


def test_both_learned_from_the_same_episodes_with_the_same_budget_and_seeds(full):
    runs = {name: [r for r in full.training["runs"] if r["method"] == name] for name in NETWORKS}
    ours, theirs = (sorted(run["seed"] for run in runs[name]) for name in NETWORKS)
    assert ours == theirs and ours
    assert len({(run["training"], run["episodes"]) for run in full.training["runs"]}) == 1
    budgets = {run["minutes"] or run["steps"] for run in full.training["runs"]}
    assert len(budgets) == 1, "minutes, or where there are none steps"


def test_the_mixer_s_parameters_come_on_top(full):
    sizes = {run["method"]: run["trained_parameters"] for run in full.training["runs"]}
    assert sizes["HMNet-lite"] > sizes["without Mamba"]


def test_the_test_is_as_long_as_the_notebook_says(full):
    assert full.protocol["episodes"] == 1000

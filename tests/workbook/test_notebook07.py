"""What notebook 07 says in words of the full comparison is what the committed report says."""

from pathlib import Path

import pytest

from hmnet_lite.scoring.evaluate import FLOORS
from hmnet_lite.scoring.report import Report

REPORT = Path(__file__).parents[2] / "figures" / "emoji_fold0.json"


@pytest.fixture(scope="module")
def full():
    return Report.from_json(REPORT)


def gain(full, gap):
    return 100 * (full.cell("HMNet-lite", gap).mean - full.cell("without Mamba", gap).mean)


def test_both_networks_are_far_above_every_floor(full):
    for gap in full.gaps:
        floor = max(full.cell(name, gap).mean for name in (*FLOORS, "prior mask"))
        for method in ("HMNet-lite", "without Mamba"):
            assert full.cell(method, gap).mean > 1.25 * floor


def test_mamba_adds_nothing_at_same_and_a_point_or_two_elsewhere(full):
    assert abs(gain(full, "same")) < 0.5
    wide = {gap: gain(full, gap) for gap in ("sibling", "cross", "held_out")}
    assert all(0.5 < points < 2.5 for points in wide.values())
    assert max(wide, key=wide.get) == "held_out"


def test_hmnet_lite_made_less_than_half_the_steps_in_the_same_time(full):
    steps = {"HMNet-lite": [], "without Mamba": []}
    for run in full.training["runs"]:
        steps[run["method"]].append(run["steps"])
    assert 2 * max(steps["HMNet-lite"]) < min(steps["without Mamba"])

"""The committed results are whole, and what the README says of them is what they say."""

from pathlib import Path

import pytest

from hmnet_lite.cli import METHODS
from hmnet_lite.episodes.protocol import GAPS, Protocol
from hmnet_lite.evaluate import Report

ROOT = Path(__file__).parents[1]
SEEDS = 3


@pytest.fixture(scope="module")
def report():
    return Report.from_json(ROOT / "figures" / "emoji_fold0.json")


def test_every_method_stands_beside_its_floors_at_every_gap(report):
    assert report.methods == ["all foreground", "every object", "prior mask", *METHODS]
    assert report.gaps == list(GAPS)
    for method in METHODS:
        assert all(report.cell(method, gap).seeds == SEEDS for gap in GAPS)
    protocol = Protocol.from_dict({**report.protocol, "gap": "cross"})
    assert protocol == Protocol(fold=0, episodes=1000, seed=321, gap="cross")


def test_trained_methods_had_the_same_episodes_and_time(report):
    runs = report.training["runs"]
    assert {run["method"] for run in runs} == set(METHODS) and len(runs) == SEEDS * len(METHODS)
    for name in ("minutes", "episodes", "training", "batch", "threads", "fold"):
        assert len({run[name] for run in runs}) == 1, name
    assert runs[0]["minutes"] <= 10


def test_the_readme_shows_the_committed_table(report):
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert report.table(markdown=True) in readme

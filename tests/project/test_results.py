"""The committed results are whole, and what the README says of them is what they say."""

import json
from pathlib import Path

import pytest

from hmnet_lite.commands.compare import METHODS
from hmnet_lite.data.emoji.protocol import GAPS, Protocol
from hmnet_lite.scoring.report import Report

ROOT = Path(__file__).parents[2]
SEEDS = 1


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


def test_trained_methods_had_the_same_episodes_and_steps(report):
    runs = report.training["runs"]
    assert {run["method"] for run in runs} == set(METHODS) and len(runs) == SEEDS * len(METHODS)
    for name in ("steps", "episodes", "training", "batch", "threads", "fold"):
        assert len({run[name] for run in runs}) == 1, name


def test_every_network_was_also_shown_a_wrong_support_and_none(report):
    for row in report.rows:
        if row.method in METHODS:
            assert set(row.misled) == {"wrong", "none"}, row.method


def test_the_readme_shows_the_committed_table(report):
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert report.table(markdown=True) in readme


# ---- speed


@pytest.fixture(scope="module")
def measured():
    names = ("scan_benchmark", "hybrid_benchmark")
    return [json.loads((ROOT / "figures" / f"{name}.json").read_text()) for name in names]


def speed_table(scan, hybrid):
    """The README's table of times, from the two files of `make bench`."""
    (case,) = (c for c in scan["cases"] if (c["channels"], c["length"]) == (2048, 4096))
    forward, both = case["forward"], case["forward_backward"]
    names = {
        "mamba-ssm's reference": ("mamba-ssm reference", None),
        "the same in linear time": ("reference, linear time",) * 2,
        "mambapy's parallel scan": ("mambapy pscan",) * 2,
        '`backend="chunked"`, torch alone': ("chunked",) * 2,
        '`backend="cpu"`, numba': ("cpu",) * 2,
    }
    rows = [(f"scan: {n}", forward.get(f), both.get(b)) for n, (f, b) in names.items()]
    forward, both = (hybrid["blocks"]["hybrid"][k] for k in ("forward", "forward_backward"))
    names = {
        "as published, on mamba-ssm's reference": "literal on mamba-ssm reference",
        "as published, on our scan": "literal",
        "affine recap, sequences laid out": "sequences",
        "affine recap, map read in place": "in place",
    }
    rows += [(f"hybrid block: {n}", forward.get(k), both.get(k)) for n, k in names.items()]

    def cell(row):
        return "not measured" if row is None else f"{row['milliseconds']:,.0f}"

    lines = [f"| {name} | {cell(f)} | {cell(b)} |" for name, f, b in rows]
    return "\n".join(["| milliseconds | forward | with backward |", "|---|---:|---:|", *lines])


def test_the_readme_shows_the_measured_speed(measured):
    assert speed_table(*measured) in (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_benchmarks_are_whole(measured):
    scan, hybrid = measured
    assert len(scan["cases"]) == 4 and scan["date"] and scan["machine"]
    for case in scan["cases"]:
        assert {"cpu", "chunked", "reference", "mambapy pscan"} <= set(case["forward_backward"])
    assert hybrid["sizes"]["sides"] == [32, 48, 64, 80, 112, 140]
    assert hybrid["published"]["config"]["depth"] == 8


def test_every_backend_is_as_exact_as_promised(measured):
    """Relative errors against float64: values 1e-6, gradients 1e-5; ten times that in stress."""
    for kind, rows in measured[1]["accuracy"].items():
        allowed = 1 if kind == "ordinary" else 10
        for backend, error in rows.items():
            assert error["y"] <= 1e-6 * allowed, (kind, backend)
            assert error["gradients"] <= 1e-5 * allowed, (kind, backend)

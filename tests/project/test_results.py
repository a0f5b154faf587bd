"""The committed results are whole, and what the README says of them is what they say."""

import json
from pathlib import Path

import pytest

from hmnet_lite.commands.compare import METHODS
from hmnet_lite.data.emoji.protocol import GAPS, Protocol
from hmnet_lite.scoring.report import Report, span
from hmnet_lite.training import zoo
from hmnet_lite.workbook import measured_support

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
    assert report.table(markdown=True, support_use=True) in readme


# ---- support use


@pytest.fixture(scope="module")
def listening():
    return measured_support.kept()


def test_the_readme_shows_all_folds_and_their_support_use(report):
    folds = {"HMNet-lite": report}
    for fold in (1, 2, 3):
        path = ROOT / "figures" / f"emoji_fold{fold}.json"
        folds[f"hmnet-lite-fold{fold}"] = Report.from_json(path)
    chosen = {1: ", on which choices were made"}
    lines, uses = [], []
    for fold, (method, found) in enumerate(folds.items()):
        scores = [f"{100 * found.cell(method, gap).mean:.1f}" for gap in GAPS]
        use = [found.support_span(method, shown) for shown in ("wrong", "none")]
        uses.append([[found.support_use(method, gap, shown).mean for gap in GAPS]
                     for shown in ("wrong", "none")])  # fmt: skip
        lines.append([f"fold {fold}{chosen.get(fold, '')}", *scores, " / ".join(use)])
    mean = [
        f"{100 * sum(x.cell(method, gap).mean for method, x in folds.items()) / 4:.1f}"
        for gap in GAPS
    ]
    use = " / ".join(span([sum(x) / 4 for x in zip(*each, strict=True)])
                     for each in zip(*uses, strict=True))  # fmt: skip
    lines.append(["mean", *mean, use])
    told = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    assert told in (ROOT / "README.md").read_text(encoding="utf-8")


def test_support_use_is_known_of_every_network_that_ships(listening):
    assert list(listening) == zoo.names()
    for name, told in listening.items():
        facts = zoo.facts(name)
        assert told["fold"] == (0 if facts["fold"] is None else facts["fold"])
        assert told["knows the classes"] == (facts["fold"] is None)
        for gap, found in told["gaps"].items():
            assert ("minus wrong" in found) == (name != "without-mamba-fold0"), (name, gap)
            for key in (key for key in found if key.startswith("minus ")):
                lost, *interval = found[key]
                expected = found["right"] - found[key.removeprefix("minus ")]
                assert lost == pytest.approx(expected, abs=2e-4), (name, gap, key)
                assert not interval or interval[0] <= lost <= interval[1]
            if "tested" in facts and facts["tested"]["episodes"] == told["episodes"]:
                assert found["right"] == pytest.approx(facts["metrics"][gap], abs=1e-3)
    words = json.loads((ROOT / "figures" / "referring" / "remamber-fold0.json").read_text())
    for split, found in listening["remamber-fold0"]["gaps"].items():
        own = words["splits"][split]["model"]["all"]["oIoU"]
        assert 100 * found["right"] == pytest.approx(own, abs=0.02)


def test_the_readme_shows_who_listens(listening):
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert measured_support.table() in readme
    cells = []
    for found in listening["remamber-fold0"]["gaps"].values():
        lost, low, high = (f"{100 * x:.1f}" for x in found["minus wrong"])
        cells.append(f"{lost} ({low} to {high})")
    order = ("seen", "novel", "compositions")
    assert list(listening["remamber-fold0"]["gaps"]) == list(order)
    assert f"| support use | {' | '.join(cells)} |" in readme


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

"""The benchmark: its yardsticks compute the same, its table is whole, bad options are named."""

import json

import pytest
import torch
import torch.nn.functional as F

from hmnet_kernels.bench import run as bench
from hmnet_kernels.bench.clock import clocked
from hmnet_kernels.bench.references import linear_reference
from tests.kernels.direct import problem
from tests.oracle import loop64, mamba_ssm_reference
from tests.scan.conformance import VALUES, relative

pytest.importorskip("numba", reason="the compiled CPU scan needs numba")


def test_linear_reference_is_the_reference():
    """What the benchmark calls the reference with linear time computes the same."""
    x = problem(groups=2)
    bare = [x["u"], F.softplus(x["delta"]), x["A"], x["B"], x["C"], x["D"]]
    y = linear_reference(*bare)
    assert relative(y, loop64(*bare)[0]) < 2 * VALUES
    try:
        reference = mamba_ssm_reference()
    except ImportError as missing:
        pytest.skip(str(missing))
    assert relative(y, reference(*bare)) < 2 * VALUES


@pytest.mark.slow
def test_benchmark_writes_its_table_and_plot(tmp_path):
    pytest.importorskip("matplotlib")
    small = ["--cases", "1x32x4x64", "--rounds", "1", "--seconds", "0", "--threads", "1"]
    bench.main([*small, "--out", str(tmp_path), "--scan", "mine=hmnet_kernels:selective_scan_cpu"])
    result = json.loads((tmp_path / "scan_benchmark.json").read_text())
    (case,) = result["cases"]
    assert case["floor_milliseconds"] >= 0
    for kind in ("forward", "forward_backward"):
        assert {"cpu", "mine", bench.LINEAR} <= set(case[kind])
        assert all(row["milliseconds"] > 0 for row in case[kind].values())
    assert case["forward_backward"][bench.LINEAR]["speed_up"] == 1
    assert 0 < (tmp_path / "scan_benchmark.png").stat().st_size < 100_000


def test_a_scan_that_fails_leaves_the_others_their_times(tmp_path, monkeypatch):
    def breaks(u, *rest):
        if u.shape[-1] > 8:  # not when it is compiled
            raise RuntimeError("out of memory\nand more")
        return u * 1.0

    scans = {"breaks": breaks, "cpu": bench.selective_scan_cpu}
    monkeypatch.setattr(bench, "exp_rate", lambda threads: 1e9)
    monkeypatch.setattr(bench, "thread_scaling", lambda *given: None)
    monkeypatch.setattr(bench, "start_seconds", lambda: None)
    written = []
    bench.benchmark(
        scans, [(1, 16, 4, 16)] * 2, 1, 0, save=lambda r: written.append(len(r["cases"]))
    )
    result = bench.benchmark(scans, [(1, 16, 4, 16)], 1, 0)
    (case,) = result["cases"]
    assert set(case["forward"]) == set(case["forward_backward"]) == {"cpu"}
    assert case["skipped"]["breaks, forward"] == "RuntimeError: out of memory"
    assert written == [1, 2]


def test_no_case_costs_the_others_theirs(monkeypatch):
    """Neither one that there is no room for, nor the time that is over."""
    monkeypatch.setattr(bench, "exp_rate", lambda threads: None)  # a clock that is not known
    monkeypatch.setattr(bench, "thread_scaling", lambda *given: None)
    monkeypatch.setattr(bench, "start_seconds", lambda: None)
    given = bench.inputs

    def too_large(*shape):
        if shape[3] == 32:
            raise RuntimeError("out of memory")
        return given(*shape)

    monkeypatch.setattr(bench, "inputs", too_large)
    cases = [(1, 16, 4, 32), (1, 16, 4, 16)]
    large, small = bench.benchmark({"cpu": bench.selective_scan_cpu}, cases, 1, 0)["cases"]
    assert large["skipped"] == {"all": "RuntimeError: out of memory"} and not large["forward"]
    assert small["floors_milliseconds"]["exponentials"] is None
    row = small["forward"]["cpu"]
    moved = 4 * 16 * (3 * 16 + 2 * 4)
    assert row["gigabytes_per_second"] == pytest.approx(moved / row["milliseconds"] / 1e6, rel=1e-3)
    (late,) = bench.benchmark({"cpu": bench.selective_scan_cpu}, cases[1:], 1, 0, limit=0)["cases"]
    assert late["skipped"]["cpu, forward"] == "the time was over"


def test_what_a_gpu_is_given_is_clocked_without_waiting(monkeypatch):
    """The call is queued behind other work, between two events, and waits for nothing itself."""
    done = []

    class Event:
        def __init__(self, **_):
            pass

        def record(self):
            done.append("event")

        def synchronize(self):
            done.append("wait")

        def elapsed_time(self, other):
            return 2.0

    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "_sleep", lambda clocks: done.append("busy"))
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: done.append("wait"))
    x = bench.inputs(1, 16, 4, 8)
    run = bench._forward(lambda *given: done.append("scan"), x)
    assert clocked(run, "cuda") == 0.002
    assert done == ["wait", "busy", "event", "scan", "event", "wait"]


@pytest.mark.gpu
def test_benchmark_on_a_gpu(tmp_path):
    small = ["--cases", "2x256x16x256", "--rounds", "1", "--seconds", "0", "--device", "cuda"]
    bench.main([*small, "--out", str(tmp_path)])
    (case,) = json.loads((tmp_path / "scan_benchmark_cuda.json").read_text())["cases"]
    assert case["forward_backward"]["triton"]["peak_megabytes"] > 0


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_benchmark_without_a_gpu_says_so(capsys):
    with pytest.raises(SystemExit):
        bench.main(["--device", "cuda"])
    assert "torch sees no CUDA device" in capsys.readouterr().err


def test_benchmark_names_what_it_does_not_know():
    with pytest.raises(SystemExit):
        bench.main(["--only", "nonsense"])
    with pytest.raises(SystemExit, match="expected NAME"):
        bench.main(["--scan", "nonsense"])

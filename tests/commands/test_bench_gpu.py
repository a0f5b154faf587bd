"""The GPU benchmark: refused without one in one line, and the same code runs on a CPU."""

import json
import sys

import pytest
import torch

from hmnet_lite.commands import bench_gpu
from hmnet_lite.commands import bench_parts as parts
from hmnet_lite.commands.bench_gpu import in_processes, main, merged, summary
from hmnet_lite.commands.bench_parts import Clock


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_without_a_gpu_it_says_so_and_writes_nothing(tmp_path, capsys):
    assert main(["--out", str(tmp_path)]) == 2
    assert "torch sees no CUDA device here" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_the_same_code_runs_on_a_cpu(tmp_path, capsys):
    assert main(["--device", "cpu", "--small", "--rounds", "1", "--out", str(tmp_path)]) == 0
    path, plot = sorted(tmp_path.iterdir())
    assert plot.suffix == ".png" and 0 < plot.stat().st_size < 100_000
    result = json.loads(path.read_text())
    assert (
        "compute_90" in result["left_out"]["literal on mamba_ssm"]
    )  # how to build what is missing
    assert all(what.startswith("literal on") for what in result["left_out"])  # nothing failed
    assert set(result["blocks"]) == {"16 × 16, batch 1", "16 × 16, batch 8"}
    for row in result["training"].values():
        assert row["steps_a_second"] == pytest.approx(1000 / row["milliseconds"])
    assert set(result["episodes"]) == {"97 px, float32", "97 px, bfloat16"}
    assert "training: milliseconds" in capsys.readouterr().out


def test_what_fails_in_a_part_is_told_with_what_it_had(tmp_path, monkeypatch):
    def broken(clock, result, **_):
        clock(result.setdefault("episodes", {}), "97 px", lambda: None, "an episode")
        raise RuntimeError("out of memory\nand more")

    monkeypatch.setattr(bench_gpu.parts, "episodes", broken)
    path = tmp_path / "episodes.json"
    words = ["--device", "cpu", "--small", "--rounds", "1", "--part", "episodes"]
    assert main([*words, "--out", str(path)]) == 0
    result = json.loads(path.read_text())
    assert result["episodes"]["97 px"]["milliseconds"] >= 0
    assert result["left_out"] == {"episodes": "RuntimeError: out of memory"}


def test_a_part_that_ends_badly_costs_only_its_own(tmp_path):
    """And not the figures that it had written: a lost device, a call that does not come back."""
    begin = "import json, os, sys, time; f = open(sys.argv[1], 'w'); f.write(json.dumps({%s}));"
    begin += "f.close();"
    found = {
        "lost": "'blocks': {'a': {'x': 1}}",
        "hangs": "'blocks': {'a': {'y': 2}}",
        "whole": "'blocks': {'b': {'x': 3}}",
    }
    ends = {"lost": "sys.exit('an illegal memory access')", "hangs": "time.sleep(600)", "whole": ""}
    commands = {n: [sys.executable, "-c", begin % found[n] + ends[n]] for n in ends}
    result: dict = {"blocks": {}, "left_out": {}}
    seconds = {"lost": 60.0, "hangs": 5.0, "whole": 60.0}
    in_processes(commands, tmp_path, seconds, lambda _, found: merged(result, found))
    assert result["blocks"] == {"a": {"x": 1, "y": 2}, "b": {"x": 3}}
    assert result["left_out"] == {
        "lost": "ended with status 1: an illegal memory access",
        "hangs": "stopped after 5 seconds",
    }


def test_what_the_figures_are_asked_for():
    row = {"fused, forward": {"milliseconds": 9, "queued_milliseconds": 1.0}}
    far = {"fused, forward": {"milliseconds": 9, "queued_milliseconds": 16.0}}
    half = {"core, forward": {"milliseconds": 3}, "attention, bfloat16": {"milliseconds": 6}}
    blocks = {"64 × 64, batch 1": row, "256 × 256, batch 1": far, "140 × 140, batch 1": half}
    slope, times = summary(blocks).values()
    assert slope == pytest.approx(1) and times == 2
    assert list(summary({}).values()) == [None, None]


def test_a_map_that_is_too_large_is_told(monkeypatch):
    monkeypatch.setattr(parts, "LARGEST", 0)
    clock, result = Clock("cpu", rounds=1), {}
    parts.blocks(clock, result, sides=(16,), dim=8, batch=8)
    assert "more than 0 pixels" in clock.left_out["16 × 16, batch 8"] and not result


def test_every_figure_is_written_at_once():
    written = []
    clock, row = Clock("cpu", rounds=1, save=lambda: written.append(set(row))), {}
    clock(row, "one", lambda: None, "a block")
    clock(row, "two", lambda x: x / 0, "a block", lambda: (1,))
    assert written == [{"one"}, {"one"}]
    assert clock.left_out == {"a block, two": "ZeroDivisionError: division by zero"}


def test_what_the_time_did_not_suffice_for_is_told():
    clock, row = Clock("cpu", rounds=1, seconds=-1), {}
    clock(row, "forward", pytest.fail, "a block")
    assert not row and clock.left_out == {"a block, forward": "the time was over"}

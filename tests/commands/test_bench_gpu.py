"""The GPU benchmark: refused without one in one line, and the same code runs on a CPU."""

import json

import pytest
import torch

from hmnet_lite.commands import bench_gpu
from hmnet_lite.commands.bench_gpu import Clock, main


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


def test_what_fails_is_told_and_costs_nothing_else(tmp_path, monkeypatch, capsys):
    def broken(*given, **named):
        raise RuntimeError("an illegal memory access\nand more")

    monkeypatch.setattr(bench_gpu, "blocks", broken)
    monkeypatch.setattr(bench_gpu, "training", broken)
    monkeypatch.setattr(bench_gpu, "episodes", lambda clock, result, **_: clock(
        result, "97 px", lambda: None, "an episode"))  # fmt: skip
    assert main(["--device", "cpu", "--small", "--rounds", "1", "--out", str(tmp_path)]) == 0
    result = json.loads(next(tmp_path.glob("*.json")).read_text())
    assert result["episodes"]["97 px"]["milliseconds"] >= 0
    assert result["left_out"]["training"] == "RuntimeError: an illegal memory access"


def test_every_figure_is_written_at_once():
    written = []
    clock, row = Clock("cpu", rounds=1, save=lambda: written.append(set(row))), {}
    clock(row, "one", lambda: None, "a block")
    clock(row, "two", lambda x: x / 0, "a block", (1,))
    assert written == [{"one"}, {"one"}]
    assert clock.left_out == {"a block, two": "ZeroDivisionError: division by zero"}


def test_what_the_time_did_not_suffice_for_is_told():
    clock, row = Clock("cpu", rounds=1, seconds=-1), {}
    clock(row, "forward", pytest.fail, "a block")
    assert not row and clock.left_out == {"a block, forward": "the time was over"}

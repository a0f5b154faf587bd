"""The GPU benchmark: refused without one in one line, and the same code runs on a CPU."""

import json

import pytest
import torch

from hmnet_lite.commands.bench_gpu import main


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_without_a_gpu_it_says_so_and_writes_nothing(tmp_path, capsys):
    assert main(["--out", str(tmp_path)]) == 2
    assert "torch sees no CUDA device here" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_the_same_code_runs_on_a_cpu(tmp_path, capsys):
    assert main(["--device", "cpu", "--small", "--rounds", "1", "--out", str(tmp_path)]) == 0
    (path,) = tmp_path.iterdir()
    result = json.loads(path.read_text())
    assert set(result["blocks"]) == {"16 × 16, batch 1", "16 × 16, batch 8"}
    for row in result["training"].values():
        assert row["steps_a_second"] == pytest.approx(1000 / row["milliseconds"])
    assert set(result["episodes"]) == {"97 px, float32", "97 px, bfloat16"}
    assert "training: milliseconds" in capsys.readouterr().out

"""Times selective scans side by side: `python -m hmnet_kernels.bench`.

Every scan runs in the same process and in turns, so that a slow moment of the machine is
shared; figures are medians, ratios are to mamba-ssm's `selective_scan_ref` (forward) and to
its linear-time rewrite (forward and backward), and to mambapy's scan. The floor is what no scan
can beat here: the larger of its exponentials over the fastest exp measured (on a CPU), and its
bytes over the bandwidth. Beside the speeds stand the memory, the time of a first call, and the
errors of each scan against a float64 loop, on ordinary inputs and under stress.

Other packages' scans are given by name: --scan chunked=package.module:function, called as
function(u, delta, A, B, C, D) -> y or (y, …).
"""

import argparse
import datetime
import importlib
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch

from .bench_report import draw, error_table, table, target_table, targets
from .floor import (
    bandwidth,
    exp_rate,
    free_memory,
    peak_memory,
    processor_name,
    synchronise,
)
from .references import linear_reference, mamba_ssm_reference, mambapy_pscan
from .scan_cpu import selective_scan_cpu

CASES = ((2, 512, 16, 1024), (2, 512, 16, 2048), (1, 2048, 16, 4096), (1, 2048, 16, 8192))
REFERENCE, LINEAR, MAMBAPY = "mamba-ssm reference", "reference, linear time", "mambapy pscan"
ONE_THREAD = "cpu, 1 thread"
WIDE = {REFERENCE: (6, None), LINEAR: (6, 8), MAMBAPY: (5, 9), "reference": (2, 8)}
# (batch, channels, length, state) arrays held in forward, and with backward; None: not run
# (the reference's backward is quadratic in the length: minutes)
STRESS = {  # length, factor of Δ
    "ordinary": (256, 1.0),
    "tiny steps": (256, 1e-6),
    "huge steps": (256, 1e4),
    "8192 steps": (8192, 1.0),
    "8192 tiny steps": (8192, 1e-6),
}


def available_scans(extra: list[str] = (), device: str = "cpu") -> dict[str, Callable]:
    """Scans by name: ours, the references that are installed, and NAME=module:function."""
    ours = {"cpu": lambda: selective_scan_cpu}
    if device == "cuda":
        ours = {"triton": _triton, "mamba_ssm": _mamba_ssm_kernel}
    found = ours | {REFERENCE: mamba_ssm_reference, MAMBAPY: mambapy_pscan}
    scans: dict[str, Callable] = {LINEAR: linear_reference}
    for name, find in found.items():
        try:
            scans[name] = find()
        except ImportError as missing:
            print(f"without {name}: {missing}")
    for text in extra:
        name, _, place = text.partition("=")
        module, _, function = place.partition(":")
        if not function:
            raise SystemExit(f"--scan {text}: expected NAME=package.module:function")
        scans[name] = getattr(importlib.import_module(module), function)
    return scans


def _triton() -> Callable:
    from .scan_triton import selective_scan_triton

    return selective_scan_triton


def _mamba_ssm_kernel() -> Callable:
    if importlib.util.find_spec("selective_scan_cuda") is None:
        raise ImportError("mamba-ssm is not installed with its CUDA kernel")
    from mamba_ssm.ops.selective_scan_interface import selective_scan_fn

    return selective_scan_fn


def inputs(
    batch: int, channels: int, state: int, length: int, device: str = "cpu"
) -> list[torch.Tensor]:
    """u, delta, A, B, C, D as a trained Mamba block makes them: Δ around 0.1, A = -1 … -state."""
    g = torch.Generator().manual_seed(0)
    u, B, C, raw = (
        torch.randn(*shape, generator=g)
        for shape in ((batch, channels, length), *[(batch, 1, state, length)] * 2,
                      (batch, channels, length))
    )  # fmt: skip
    A = -torch.arange(1.0, state + 1).repeat(channels, 1)
    x = [u, torch.nn.functional.softplus(raw - 2), A, B, C, torch.ones(channels)]
    return [t.to(device) for t in x]


def measure(
    runs: dict[str, Callable[[], object]], rounds: int, seconds: float, device: str = "cpu"
) -> dict[str, dict]:
    """Median time and peak memory of each run: `rounds` turns, about `seconds` each a turn."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    memory: dict[str, float | None] = {}
    for turn in range(rounds):
        for name, run in runs.items():
            stop = time.perf_counter() + seconds
            if turn == 0:
                memory[name], first = peak_memory(run, device)
                if first >= seconds:  # too slow to be run once for memory and again for time
                    times[name].append(first)
                    continue
            while True:
                start = time.perf_counter()
                run()
                end = time.perf_counter()
                times[name].append(end - start)
                if end >= stop:
                    break
    return {
        name: {
            "milliseconds": round(statistics.median(t) * 1e3, 3),
            "fastest": round(min(t) * 1e3, 3),
            "runs": len(t),
            "peak_megabytes": memory[name],
        }
        for name, t in times.items()
    }


def benchmark(scans: dict[str, Callable], cases, rounds: int, seconds: float, device="cpu") -> dict:
    """Everything, as it is written to JSON."""
    for scan in scans.values():
        _forward_backward(scan, inputs(1, 16, 4, 8, device))()  # compile
    threads = torch.get_num_threads()
    rate = exp_rate(threads) if device == "cpu" else None
    result = {
        "date": datetime.date.today().isoformat(),
        "machine": {"processor": processor_name(device), "device": device, "threads": threads},
        "exp_per_second": rate,
        "bytes_per_second": bandwidth(device),
        "start_up": start_up() if "cpu" in scans else None,
        "errors": errors(scans, device),
        "cases": [],
    }
    result["machine"]["torch"] = torch.__version__
    print(error_table(result["errors"]), flush=True)
    if "cpu" in scans and threads > 1:
        scans = scans | {ONE_THREAD: _on_one_thread(scans["cpu"])}
    for shape in cases:
        result["cases"].append(_case(scans, shape, rounds, seconds, result))
        print(table(result["cases"][-1]), flush=True)
    result["targets"] = targets(result)
    print(f"\n{target_table(result['targets'])}")
    return result


def _case(scans: dict[str, Callable], shape, rounds: int, seconds: float, result: dict) -> dict:
    device, rate = result["machine"]["device"], result["exp_per_second"]
    batch, channels, state, length = shape
    x = inputs(*shape, device)
    updates = batch * channels * state * length
    moved = 4 * (3 * x[0].numel() + 2 * x[3].numel())
    floor = max(updates / rate if rate else 0, moved / result["bytes_per_second"]) * 1e3
    case = {"batch": batch, "channels": channels, "state": state, "length": length}
    case |= {"floor_milliseconds": round(floor, 3), "skipped": {}}
    for column, kind in enumerate(("forward", "forward_backward")):
        runs = {}
        for name, scan in scans.items():
            need = WIDE.get(name, (0, 0))[column]
            if need is None:
                case["skipped"][f"{name}, {kind}"] = "its backward is quadratic in the length"
            elif need * updates * 4 > 0.8 * free_memory(device):
                gigabytes = need * updates * 4 / 2**30
                case["skipped"][f"{name}, {kind}"] = f"needs about {gigabytes:.0f} GB"
            else:
                runs[name] = (_forward, _forward_backward)[column](scan, x)
        case[kind] = measure(runs, rounds, seconds, device)
        base, mambapy = (case[kind].get(n) for n in ((REFERENCE, LINEAR)[column], MAMBAPY))
        for row in case[kind].values():
            taken, held = row["milliseconds"], row["peak_megabytes"]
            row["speed_up"] = base and round(base["milliseconds"] / taken, 2)
            row["over_mambapy"] = mambapy and round(mambapy["milliseconds"] / taken, 2)
            if kind == "forward" and floor:
                row["over_floor"] = round(taken / floor, 2)
            if held is not None:
                row["memory_in_outputs"] = round(held * 2**20 / x[0].nbytes, 2)
    return case


def _forward(scan, x):
    def run():
        with torch.no_grad():
            y = scan(*x)
        synchronise(x[0].device.type)
        return y

    return run


def _forward_backward(scan, x):
    weights = torch.ones_like(x[0])

    def run():
        _gradients(scan, x, weights)
        synchronise(x[0].device.type)

    return run


def _gradients(scan, x, weights) -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
    leaves = [t.detach().requires_grad_() for t in x]
    y = scan(*leaves)
    y = y[0] if isinstance(y, tuple) else y
    return y.detach(), torch.autograd.grad(y, leaves, weights)


def _on_one_thread(scan):
    def run(*x):
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            return scan(*x)
        finally:
            torch.set_num_threads(threads)

    return run


def errors(scans: dict[str, Callable], device: str = "cpu") -> dict[str, dict]:
    """How far each scan is from a float64 loop, relative to that one's largest number.

    Returns:
        {scan: {kind: {"values": error of y, "gradients": the largest of any input's gradient}}}
        for each kind of `STRESS`; gradients is None where they would take minutes.
    """
    table: dict[str, dict] = {name: {} for name in scans}
    for kind, (length, factor) in STRESS.items():
        u, delta, *rest = inputs(1, 16, 16, length, device)
        x = [u, delta * factor, *rest]
        weights = torch.randn(u.shape, generator=torch.Generator().manual_seed(1)).to(device)
        exact, exact_grads = _gradients(linear_reference, [t.double() for t in x], weights.double())
        for name, scan in scans.items():
            with_gradients = length <= 256 or WIDE.get(name, (0, 0))[1] is not None
            if with_gradients:
                y, grads = _gradients(scan, x, weights)
                off = max(map(_relative, grads, exact_grads))
            else:
                y, off = _forward(scan, x)(), None
            table[name][kind] = {"values": _relative(y, exact), "gradients": off}
    return table


def _relative(x: torch.Tensor, exact: torch.Tensor) -> float:
    largest = exact.abs().max().clamp_min(1e-30)
    return float(f"{((x - exact).abs().max() / largest).item():.2g}")


FIRST_CALL = """
import time, torch
from hmnet_kernels import selective_scan_cpu
x, A, B = torch.rand(1, 16, 8, requires_grad=True), -torch.rand(16, 16), torch.rand(1, 1, 16, 8)
start = time.perf_counter()
selective_scan_cpu(x, x, A, B, B).sum().backward()
print(time.perf_counter() - start)
"""


def start_up() -> dict[str, float]:
    """Seconds of the cpu scan's first call, forward and backward, in a fresh process: compiling,
    and with the compiled code that the process before has left."""
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {"NUMBA_CACHE_DIR": folder}
        environment["PYTHONPATH"] = os.pathsep.join(p for p in sys.path if p)
        call = partial(subprocess.run, [sys.executable, "-c", FIRST_CALL], env=environment)
        seconds = [float(call(capture_output=True, text=True, check=True).stdout) for _ in range(2)]
    return dict(zip(("compiling", "cached"), (round(s, 2) for s in seconds), strict=True))


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="hmnet_kernels.bench", description=__doc__.split("\n")[0])
    parser.add_argument("--scan", action="append", default=[], metavar="NAME=MODULE:FUNCTION")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="of the scans, only these")
    parser.add_argument("--cases", nargs="+", metavar="BxCxNxL", help="e.g. 2x512x16x1024")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=0.3, help="for each scan in each round")
    parser.add_argument("--out", type=Path, default=Path("figures"), help="folder of the results")
    chosen = parser.parse_args(arguments)
    if chosen.device == "cuda" and not torch.cuda.is_available():
        parser.error("--device cuda: torch sees no CUDA device here")
    torch.set_num_threads(chosen.threads)
    scans = available_scans(chosen.scan, chosen.device)
    if chosen.only:
        unknown = set(chosen.only) - set(scans)
        if unknown:
            parser.error(f"no scan named {', '.join(unknown)}; there are {', '.join(scans)}")
        scans = {name: scans[name] for name in chosen.only}
    cases = [tuple(map(int, c.split("x"))) for c in chosen.cases] if chosen.cases else CASES
    result = benchmark(scans, cases, chosen.rounds, chosen.seconds, chosen.device)
    chosen.out.mkdir(parents=True, exist_ok=True)
    written = chosen.out / ("scan_benchmark" + "_cuda" * (chosen.device == "cuda") + ".json")
    written.write_text(json.dumps(result, indent=1) + "\n")
    try:
        draw(result).savefig(written.with_suffix(".png"), dpi=110)
    except ImportError as missing:
        print(f"no plot: {missing}", file=sys.stderr)
    print(f"\nwritten: {written}")


if __name__ == "__main__":
    main()

"""Times selective scans side by side: `python -m hmnet_kernels.bench`.

Every scan runs in the same process and in turns, so that a slow moment of the machine is
shared; figures are medians, ratios are to mamba-ssm's `selective_scan_ref` (forward) and to
its linear-time rewrite (forward and backward). The floor is what no scan can beat here: the
larger of its exponentials over the fastest exp measured (on a CPU), and its bytes over the
bandwidth.

Other packages' scans are given by name: --scan chunked=package.module:function, called as
function(u, delta, A, B, C, D) -> y or (y, …).
"""

import argparse
import datetime
import importlib
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch

from hmnet_kernels.bench.clock import measure, said
from hmnet_kernels.bench.floor import bandwidth, exp_rate, free_memory, processor_name
from hmnet_kernels.bench.references import (
    MAMBA_SSM_BUILD,
    linear_reference,
    mamba_ssm_reference,
    mambapy_pscan,
)
from hmnet_kernels.bench.report import draw, table
from hmnet_kernels.cpu.scan import selective_scan_cpu

GPU_CASES = ((2, 512, 16, 1024), (1, 2048, 16, 4096), (8, 2048, 16, 4096), (1, 2048, 16, 16384))
CASES = ((2, 512, 16, 1024), (2, 512, 16, 2048), (1, 2048, 16, 4096), (1, 2048, 16, 8192))
REFERENCE, LINEAR, PSCAN = "mamba-ssm reference", "reference, linear time", "mambapy pscan"
WIDE = {REFERENCE: (6, None), LINEAR: (6, 8), PSCAN: (5, 9), "reference": (6, 8)}
# (batch, channels, length, state) arrays held in forward, and with backward; None: not run
# (the reference's backward is quadratic in the length: minutes)


def available_scans(extra: list[str] = (), device: str = "cpu") -> dict[str, Callable]:
    """Scans by name: ours, the references that are installed, and NAME=module:function."""
    found = {REFERENCE: mamba_ssm_reference, PSCAN: mambapy_pscan}
    if device == "cpu":
        found["cpu"] = lambda: selective_scan_cpu
    else:
        found |= {"triton": _triton, "mamba_ssm": _mamba_ssm_kernel}
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
    from hmnet_kernels.gpu.scan import selective_scan_triton

    return selective_scan_triton


def _mamba_ssm_kernel() -> Callable:
    if importlib.util.find_spec("selective_scan_cuda") is None:
        raise ImportError(f"mamba-ssm is not installed with its CUDA kernel; {MAMBA_SSM_BUILD}")
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


def start_seconds() -> dict[str, float]:
    """What the first forward and backward of a process take: compiling, and from the cache."""
    code = (
        "import time, torch, hmnet_kernels; from hmnet_kernels.bench.run import inputs;"
        "x = [t.requires_grad_() for t in inputs(1, 16, 4, 8)]; start = time.perf_counter();"
        "hmnet_kernels.selective_scan_cpu(*x).sum().backward();"
        "print(time.perf_counter() - start)"
    )
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {"NUMBA_CACHE_DIR": folder}
        said = [
            subprocess.run([sys.executable, "-c", code], env=environment, check=True,
                           capture_output=True, text=True).stdout
            for _ in range(2)
        ]  # fmt: skip
    return dict(zip(("compiling", "from cache"), (round(float(s), 2) for s in said), strict=True))


def thread_scaling(shape, rounds: int, seconds: float) -> dict:
    """Milliseconds of our scan with one thread and with all of them, in turns."""
    most, x = torch.get_num_threads(), inputs(*shape)

    def with_threads(count, run):
        def counted():
            torch.set_num_threads(count)
            try:
                return run()
            finally:
                torch.set_num_threads(most)

        return counted

    result = {"most": most}
    for kind, make in (("forward", _forward), ("forward_backward", _forward_backward)):
        run = make(selective_scan_cpu, x)
        rows = measure({n: with_threads(n, run) for n in sorted({1, most})}, rounds, seconds)
        result[kind] = round(rows[1]["milliseconds"] / rows[most]["milliseconds"], 2)
    return result


def benchmark(
    scans: dict[str, Callable], cases, rounds: int, seconds: float, device="cpu",
    save: Callable[[dict], object] = lambda result: None, limit: float = float("inf"),
) -> dict:  # fmt: skip
    """The whole table, as it is written to JSON; `save` is given what there is after each case.

    After `limit` seconds nothing more is begun, and what is missing is told among the skipped.
    """
    end = time.perf_counter() + limit
    for name, scan in list(scans.items()):
        try:
            _forward_backward(scan, inputs(1, 16, 4, 8, device))()  # compile
        except Exception as error:  # one that does not run here leaves the others
            print(f"without {name}: {said(error)}")
            del scans[name]
    threads = torch.get_num_threads()
    on_cpu = device == "cpu"
    rate, speed = exp_rate(threads) if on_cpu else gpu_exp_rate(), bandwidth(device)
    result = {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "machine": {"cpu": processor_name(device), "threads": threads, "torch": torch.__version__},
        "start": start_seconds() if on_cpu else None,
        "threads": thread_scaling(cases[-1], rounds, seconds) if on_cpu else None,
        "exp_per_second": rate,  # None where it is not known
        "bytes_per_second": speed,
        "cases": [],
    }
    for shape in cases:
        case = _case(scans, shape, rounds, seconds, device, rate, speed, end)
        result["cases"].append(case)
        save(result)
        print(table(case), flush=True)
    return result


def _case(scans, shape, rounds, seconds, device, rate, speed, end) -> dict:
    batch, channels, state, length = shape
    updates, size = batch * channels * state * length, 4 * batch * channels * length
    shared = 4 * batch * state * length  # bytes of B or C, as `size` of u
    moved = {"forward": 3 * size + 2 * shared}
    moved["forward_backward"] = moved["forward"] + 5 * size + 4 * shared
    floors = {"bytes": moved["forward"] / speed * 1e3}
    floors["exponentials"] = updates / rate * 1e3 if rate else None
    floor = max(value for value in floors.values() if value is not None)
    case = {"batch": batch, "channels": channels, "state": state, "length": length}
    case |= {"floor_milliseconds": _digits(floor), "skipped": {}}
    case["floors_milliseconds"] = {n: value and _digits(value) for n, value in floors.items()}
    case |= {"forward": {}, "forward_backward": {}}
    try:
        x = inputs(*shape, device)
    except Exception as error:  # more than there is room for: smaller ones are not to be lost
        case["skipped"]["all"] = said(error)
        return case
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
        failed: dict[str, str] = {}
        case[kind] = measure(runs, rounds, seconds, device, failed, end)
        case["skipped"] |= {f"{name}, {kind}": why for name, why in failed.items()}
        others = {"speed_up": (REFERENCE, LINEAR)[column], "speed_up_pscan": PSCAN}
        for row in case[kind].values():
            for ratio, other in others.items():
                base = case[kind].get(other)
                row[ratio] = base and round(base["milliseconds"] / row["milliseconds"], 2)
            row["times_floor"] = round(row["milliseconds"] / floor, 2) if floor else None
            # of what any scan has to read and write, whatever this one does beside it
            row["gigabytes_per_second"] = _digits(moved[kind] / row["milliseconds"] / 1e6)
            if row["peak_megabytes"] is not None:
                row["times_output"] = round(row["peak_megabytes"] * 2**20 / size, 2)
    return case


def gpu_exp_rate() -> float | None:
    """Exponentials a second: 16 a clock of every multiprocessor (CUDA's guide, compute capability
    8 and 9), at the highest clock the driver tells of; None where it tells of none."""
    properties = torch.cuda.get_device_properties("cuda")
    kilohertz = getattr(properties, "clock_rate", None)
    return kilohertz and 16e3 * properties.multi_processor_count * kilohertz


def _digits(x: float) -> float:
    """Four digits that count, so that nothing small becomes 0."""
    return float(f"{x:.4g}")


def _forward(scan, x):
    def run():
        with torch.no_grad():
            return scan(*x)

    return run


def _forward_backward(scan, x):
    weights = torch.ones_like(x[0])

    def run():
        leaves = [t.detach().requires_grad_() for t in x]
        y = scan(*leaves)
        y = y[0] if isinstance(y, tuple) else y
        y.backward(weights)

    return run


def _write(path: Path, result: dict) -> None:
    """All of it or nothing: what was written before stays until this is whole."""
    beside = path.with_suffix(".part")
    beside.write_text(json.dumps(result, indent=1) + "\n")
    beside.replace(path)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="hmnet_kernels.bench", description=__doc__.split("\n")[0])
    parser.add_argument("--scan", action="append", default=[], metavar="NAME=MODULE:FUNCTION")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="of the scans, only these")
    parser.add_argument("--cases", nargs="+", metavar="BxCxNxL", help="e.g. 2x512x16x1024")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=0.3, help="for each scan in each round")
    parser.add_argument("--limit", type=float, default=150, help="seconds of all, on a GPU")
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
    cases = [tuple(map(int, c.split("x"))) for c in chosen.cases] if chosen.cases else None
    cases = cases or (GPU_CASES if chosen.device == "cuda" else CASES)
    chosen.out.mkdir(parents=True, exist_ok=True)
    written = chosen.out / ("scan_benchmark" + "_cuda" * (chosen.device == "cuda") + ".json")
    result = benchmark(
        scans, cases, chosen.rounds, chosen.seconds, chosen.device,
        partial(_write, written), chosen.limit if chosen.device == "cuda" else float("inf"),
    )  # fmt: skip
    try:
        draw(result, written.with_suffix(".png"))
    except ImportError as missing:
        print(f"no plot: {missing}", file=sys.stderr)
    print(f"\nwritten: {written}")


if __name__ == "__main__":
    main()

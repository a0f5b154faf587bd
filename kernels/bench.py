"""Times selective scans side by side: `python -m hmnet_kernels.bench`.

Every scan runs in the same process and in turns, so that a slow moment of the machine is
shared; figures are medians, ratios are to mamba-ssm's `selective_scan_ref` (forward) and to
its linear-time rewrite (forward and backward). The floor is what no scan can beat here: the
larger of its exponentials over the fastest exp measured, and its bytes over the bandwidth.

Other packages' scans are given by name: --scan chunked=package.module:function, called as
function(u, delta, A, B, C, D) -> y or (y, …).
"""

import argparse
import ctypes
import datetime
import importlib
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch

from .references import linear_reference, mamba_ssm_reference, mambapy_pscan
from .scan_cpu import selective_scan_cpu

CASES = ((2, 512, 16, 1024), (2, 512, 16, 2048), (1, 2048, 16, 4096), (1, 2048, 16, 8192))
REFERENCE, LINEAR, PSCAN = "mamba-ssm reference", "reference, linear time", "mambapy pscan"
WIDE = {REFERENCE: (6, None), LINEAR: (6, 8), PSCAN: (5, 9), "reference": (6, 8)}
# (batch, channels, length, state) arrays held in forward, and with backward; None: not run
# (the reference's backward is quadratic in the length: minutes)


def available_scans(extra: list[str] = ()) -> dict[str, Callable]:
    """Scans by name: ours, the references that are installed, and NAME=module:function."""
    scans: dict[str, Callable] = {LINEAR: linear_reference, "cpu": selective_scan_cpu}
    for name, find in ((REFERENCE, mamba_ssm_reference), (PSCAN, mambapy_pscan)):
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


def inputs(batch: int, channels: int, state: int, length: int) -> list[torch.Tensor]:
    """u, delta, A, B, C, D as a trained Mamba block makes them: Δ around 0.1, A = -1 … -state."""
    g = torch.Generator().manual_seed(0)
    u, B, C, raw = (
        torch.randn(*shape, generator=g)
        for shape in ((batch, channels, length), *[(batch, 1, state, length)] * 2,
                      (batch, channels, length))
    )  # fmt: skip
    A = -torch.arange(1.0, state + 1).repeat(channels, 1)
    return [u, torch.nn.functional.softplus(raw - 2), A, B, C, torch.ones(channels)]


def measure(runs: dict[str, Callable[[], object]], rounds: int, seconds: float) -> dict[str, dict]:
    """Median time and peak memory of each run: `rounds` turns, about `seconds` each a turn."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    memory: dict[str, float | None] = {}
    for turn in range(rounds):
        for name, run in runs.items():
            stop = time.perf_counter() + seconds
            if turn == 0:
                memory[name], first = _peak_memory(run)
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


def _peak_memory(run: Callable[[], object]) -> tuple[float | None, float]:
    """Megabytes that a run held at most beyond what was held before it (None where only
    Linux knows), and its seconds."""
    try:
        ctypes.CDLL(None).malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5")  # peak := now
        before = _status("VmRSS")
    except (OSError, AttributeError):
        before = None
    start = time.perf_counter()
    result = run()
    seconds = time.perf_counter() - start
    del result
    return (None if before is None else round((_status("VmHWM") - before) / 1024, 1)), seconds


def _status(field: str) -> int:
    """Kilobytes, from the kernel's account of this process."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1])
    raise OSError(f"no {field} in /proc/self/status")


def exp_rate(threads: int) -> float:
    """Exponentials a second with data in the first-level cache: the best of torch's and ours."""
    from .exp_rate import fill

    values, out = torch.rand(threads, 512).neg(), torch.empty(threads, 512)
    repeats = 20_000

    def ours(thread):
        fill(values[thread].numpy(), out[thread].numpy(), repeats)

    def torchs(thread):
        for _ in range(repeats // 20):
            torch.exp(values[thread], out=out[thread])

    best = 0.0
    with ThreadPoolExecutor(threads) as pool:
        for function, count in ((ours, repeats), (torchs, repeats // 20)):
            for _ in range(5):
                start = time.perf_counter()
                list(pool.map(function, range(threads)))
                best = max(best, threads * 512 * count / (time.perf_counter() - start))
    return best


def bandwidth() -> float:
    """Bytes a second, read and written, of a large copy."""
    a, b = torch.ones(2**26), torch.ones(2**26)
    times = []
    for _ in range(5):
        start = time.perf_counter()
        b.copy_(a)
        times.append(time.perf_counter() - start)
    return 2 * a.nbytes / min(times)


def start_seconds() -> dict[str, float]:
    """What the first forward and backward of a process take: compiling, and from the cache."""
    code = (
        "import time, torch, hmnet_kernels; from hmnet_kernels.bench import inputs;"
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


def benchmark(scans: dict[str, Callable], cases, rounds: int, seconds: float) -> dict:
    """The whole table, as it is written to JSON."""
    for scan in scans.values():
        _forward_backward(scan, inputs(1, 16, 4, 8))()  # compile
    threads = torch.get_num_threads()
    rate, speed = exp_rate(threads), bandwidth()
    result = {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "machine": {"cpu": _cpu_name(), "threads": threads, "torch": torch.__version__},
        "start": start_seconds(),
        "threads": thread_scaling(cases[-1], rounds, seconds),
        "exp_per_second": rate,
        "bytes_per_second": speed,
        "cases": [],
    }
    for shape in cases:
        batch, channels, state, length = shape
        x = inputs(*shape)
        updates = batch * channels * state * length
        moved = 4 * (3 * x[0].numel() + 2 * x[3].numel())
        floor = max(updates / rate, moved / speed) * 1e3
        case = {"batch": batch, "channels": channels, "state": state, "length": length}
        case |= {"floor_milliseconds": round(floor, 3), "skipped": {}}
        for column, kind in enumerate(("forward", "forward_backward")):
            runs = {}
            for name, scan in scans.items():
                need = WIDE.get(name, (0, 0))[column]
                if need is None:
                    case["skipped"][f"{name}, {kind}"] = "its backward is quadratic in the length"
                elif need * updates * 4 > 0.8 * _free_memory():
                    gigabytes = need * updates * 4 / 2**30
                    case["skipped"][f"{name}, {kind}"] = f"needs about {gigabytes:.0f} GB"
                else:
                    runs[name] = (_forward, _forward_backward)[column](scan, x)
            case[kind] = measure(runs, rounds, seconds)
            others = {"speed_up": (REFERENCE, LINEAR)[column], "speed_up_pscan": PSCAN}
            for row in case[kind].values():
                for ratio, other in others.items():
                    base = case[kind].get(other)
                    row[ratio] = base and round(base["milliseconds"] / row["milliseconds"], 2)
                row["times_floor"] = round(row["milliseconds"] / case["floor_milliseconds"], 2)
                if row["peak_megabytes"] is not None:
                    row["times_output"] = round(row["peak_megabytes"] * 2**20 / x[0].nbytes, 2)
        result["cases"].append(case)
        print(_table(case), flush=True)
    return result


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


def _table(case: dict) -> str:
    shape = " x ".join(str(case[k]) for k in ("batch", "channels", "state", "length"))
    lines = [f"\n{shape}: floor of a forward {case['floor_milliseconds']:.1f} ms"]
    for kind in ("forward", "forward_backward"):
        lines.append(f"  {kind:<26}{'ms':>10}{'ratio':>9}{'peak MB':>10}")
        for name, row in sorted(case[kind].items(), key=lambda item: -item[1]["milliseconds"]):
            ratio = "" if row["speed_up"] is None else f"{row['speed_up']:.1f}"
            peak = "" if row["peak_megabytes"] is None else f"{row['peak_megabytes']:.0f}"
            lines.append(f"  {name:<26}{row['milliseconds']:>10.1f}{ratio:>9}{peak:>10}")
    lines += [f"  without {what}: {why}" for what, why in case["skipped"].items()]
    return "\n".join(lines)


def draw(result: dict, path: Path) -> None:
    """One panel a case: milliseconds on a log axis, with the floor."""
    from matplotlib.figure import Figure

    cases = result["cases"]
    figure = Figure(figsize=(3.2 * len(cases) + 1.5, 3.2), layout="constrained")
    panels = figure.subplots(1, len(cases), sharey=True, squeeze=False)[0]
    names = sorted({name for case in cases for name in case["forward"]})
    for panel, case in zip(panels, cases, strict=True):
        for kind, marker, fill in (("forward", "o", "C0"), ("forward_backward", "s", "none")):
            rows = [(case[kind][n]["milliseconds"], n) for n in names if n in case[kind]]
            label = kind.replace("_", " + ")
            panel.scatter(*zip(*rows, strict=True), marker=marker, facecolor=fill, edgecolor="C0",
                          label=label)  # fmt: skip
        panel.axvline(case["floor_milliseconds"], color="C3", ls="--", label="floor, forward")
        panel.set(xscale="log", xlabel="milliseconds")
        shape = (case[k] for k in ("batch", "channels", "state", "length"))
        panel.set_title(" x ".join(map(str, shape)), fontsize=10)
        panel.grid(axis="x", alpha=0.3)
    handles = panels[-1].get_legend_handles_labels()
    figure.legend(*handles, loc="outside lower center", ncols=3, fontsize=8)
    figure.savefig(path, dpi=110)


def _free_memory() -> float:
    try:
        text = Path("/proc/meminfo").read_text()
        return 1024 * int(text.split("MemAvailable:")[1].split()[0])
    except (OSError, IndexError):
        return float("inf")


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="hmnet_kernels.bench", description=__doc__.split("\n")[0])
    parser.add_argument("--scan", action="append", default=[], metavar="NAME=MODULE:FUNCTION")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="of the scans, only these")
    parser.add_argument("--cases", nargs="+", metavar="BxCxNxL", help="e.g. 2x512x16x1024")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=0.3, help="for each scan in each round")
    parser.add_argument("--out", type=Path, default=Path("figures"), help="folder of the results")
    chosen = parser.parse_args(arguments)
    torch.set_num_threads(chosen.threads)
    scans = available_scans(chosen.scan)
    if chosen.only:
        unknown = set(chosen.only) - set(scans)
        if unknown:
            parser.error(f"no scan named {', '.join(unknown)}; there are {', '.join(scans)}")
        scans = {name: scans[name] for name in chosen.only}
    cases = [tuple(map(int, c.split("x"))) for c in chosen.cases] if chosen.cases else CASES
    result = benchmark(scans, cases, chosen.rounds, chosen.seconds)
    chosen.out.mkdir(parents=True, exist_ok=True)
    (chosen.out / "scan_benchmark.json").write_text(json.dumps(result, indent=1) + "\n")
    try:
        draw(result, chosen.out / "scan_benchmark.png")
    except ImportError as missing:
        print(f"no plot: {missing}", file=sys.stderr)
    print(f"\nwritten: {chosen.out / 'scan_benchmark.json'}")


if __name__ == "__main__":
    main()

"""What machine this is, and time and memory on it while it has other things to do as well."""

from __future__ import annotations

import datetime
import json
import os
import platform
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile, record_function


def median_seconds(
    runs: Mapping[str, Callable[[], object]],
    *,
    rounds: int = 5,
    least: float = 0.005,
    clock: Callable[[], float] = time.process_time,
) -> dict[str, float]:
    """Median time of one call of each run; the runs take turns, after one call to warm up.

    The default clock counts processor time: what other programs take in between does not count,
    and with several threads theirs add up. For a GPU use `time.perf_counter` and runs that wait
    for it.

    Args:
        runs: name to a function of no arguments.
        rounds: how many turns each run has.
        least: a turn calls its run again and again until this many seconds are full, and counts
            their mean.
        clock: in seconds.

    Raises:
        ValueError: rounds is less than 1.
    """
    if rounds < 1:
        raise ValueError(f"rounds is {rounds}; expected at least 1")
    for run in runs.values():
        run()
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            calls, start = 0, clock()
            while True:
                run()
                calls += 1
                spent = clock() - start
                if spent >= least:
                    break
            times[name].append(spent / calls)
    return {name: statistics.median(turns) for name, turns in times.items()}


def captured(model: Callable[..., torch.Tensor], *examples: torch.Tensor) -> Callable:
    """A model's forward as one CUDA graph: launched at once, however many kernels it has.

    At batch 1 a network of small kernels waits for its launches, not for its work. What is captured
    is what the examples' shapes, dtypes and the model's weights' places in memory lead to; weights
    may change in place. Without gradients. Our networks check the examples' values, and no longer
    those of later calls.

    Args:
        model: called with tensors, returns one tensor; looks at no value while it is captured.
        examples: CUDA tensors as it will be called with.

    Returns:
        a function of the same arguments that returns a tensor of its own at each call.

    Raises:
        ValueError: examples that are not on a GPU, or on several; at a call, tensors of another
            shape or dtype.
    """
    if not examples or any(not x.is_cuda for x in examples):
        raise ValueError(
            "captured needs example tensors on a CUDA device: graphs are CUDA's; on a CPU call the "
            "model itself"
        )
    devices = {x.device for x in examples}
    if len(devices) > 1:
        raise ValueError(f"captured needs examples on one device, got {sorted(map(str, devices))}")
    with torch.cuda.device(examples[0].device):  # streams and graphs are the current device's
        return _captured(model, examples)


def _captured(model: Callable[..., torch.Tensor], examples: tuple[torch.Tensor, ...]) -> Callable:
    static = [x.detach().clone() for x in examples]
    stream, graph = torch.cuda.Stream(), torch.cuda.CUDAGraph()
    stream.wait_stream(torch.cuda.current_stream())
    caching = torch.is_autocast_cache_enabled()
    # autocast frees the weights it remembers at its end: a graph would read memory that is gone
    torch.set_autocast_cache_enabled(False)
    try:
        with torch.inference_mode():
            with torch.cuda.stream(stream):
                for _ in range(3):  # compiles, and fills what is remembered between calls
                    model(*static)
            torch.cuda.current_stream().wait_stream(stream)
            with torch.cuda.graph(graph):
                result = model(*static)
    finally:
        torch.set_autocast_cache_enabled(caching)

    @torch.inference_mode()
    def replay(*given: torch.Tensor) -> torch.Tensor:
        kinds = [[(tuple(x.shape), x.dtype) for x in some] for some in (given, static)]
        if kinds[0] != kinds[1]:
            raise ValueError(f"captured for {kinds[1]}, called with {kinds[0]}: capture again")
        with torch.cuda.device(static[0].device):
            for place, x in zip(static, given, strict=True):
                place.copy_(x)
            graph.replay()
            return result.clone()

    return replay


@dataclass(frozen=True)
class Timeline:
    """Memory that torch held during a run, over time; 0 s and 0 bytes when it began.

    Tensors that were there before are not in it; those still there at the end are.
    """

    seconds: np.ndarray  # (events,): when memory was taken or given back
    live: np.ndarray  # (events,): bytes held from then on
    spans: tuple[tuple[str, float, float], ...]  # part, begin and end in seconds

    def peak(self, part: str | None = None) -> int:
        """The most bytes held at once, in the whole run or while a part was running."""
        spans = [(a, b) for name, a, b in self.spans if name == part]
        if part is None:
            spans = [(-np.inf, np.inf)]
        inside = [self.live[(self.seconds >= a) & (self.seconds <= b)] for a, b in spans]
        return int(max((x.max() for x in inside if len(x)), default=0))

    def spent(self, part: str) -> float:
        """Seconds in a part, all its calls together."""
        return sum(b - a for name, a, b in self.spans if name == part)


def memory_timeline(run: Callable[[], object], parts: Mapping[str, nn.Module]) -> Timeline:
    """Run once under torch's profiler: what was running when, and how much memory it held.

    Args:
        run: a function of no arguments; torch's allocations on the CPU are followed.
        parts: name to the module whose calls are to be told apart; they must not nest.

    Raises:
        RuntimeError: the profiler recorded nothing.
    """
    begun, hooks = {}, []
    for name, module in parts.items():

        def begin(*_, name=name):
            begun[name] = record_function(f"part:{name}").__enter__()

        def end(*_, name=name):
            begun.pop(name).__exit__(None, None, None)

        hooks += [module.register_forward_pre_hook(begin), module.register_forward_hook(end)]
    try:
        profiler = profile(activities=[ProfilerActivity.CPU], profile_memory=True)
        with profiler as recorded, record_function("part:"):
            run()
    finally:
        for hook in hooks:
            hook.remove()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace.json"
        recorded.export_chrome_trace(str(path))
        events = json.loads(path.read_text())["traceEvents"]
    named = [e for e in events if e.get("ph") == "X" and e["name"].startswith("part:")]
    changes = sorted((e["ts"], e["args"]["Bytes"]) for e in events if e["name"] == "[memory]")
    whole = [e for e in named if e["name"] == "part:"]
    if not whole or not changes:
        raise RuntimeError("torch's profiler recorded nothing; is another one running?")
    start = whole[0]["ts"]
    spans = [(e["name"].removeprefix("part:"), (e["ts"] - start) / 1e6,
              (e["ts"] + e["dur"] - start) / 1e6) for e in named if e not in whole]  # fmt: skip
    times, sizes = (np.array(x) for x in zip(*changes, strict=True))
    in_order = tuple(sorted(spans, key=lambda span: span[1]))
    return Timeline((times - start) / 1e6, np.cumsum(sizes), in_order)


def made_on() -> dict[str, Any]:
    """When, on what machine and with which versions: beside every number that is written down."""

    def version(package: str) -> str:
        try:
            return metadata.version(package)
        except metadata.PackageNotFoundError:
            return "not installed"

    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "python": platform.python_version(),
        "versions": {
            "hmnet-lite": version("hmnet-lite"),
            "torch": str(torch.__version__),  # tells the build, too: 2.13.0+cu130
            "numpy": version("numpy"),
        },
    }


def commit() -> str | None:
    """The commit of the checkout this package runs from, "-dirty" if changed; None outside one."""
    root = Path(__file__).parents[1]
    if not (root / ".git").exists():  # installed, perhaps inside somebody's own repository
        return None
    try:
        answer = subprocess.run(
            ["git", "describe", "--always", "--abbrev=40", "--dirty"],
            cwd=root, capture_output=True, text=True, timeout=10, check=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip() or None


def _processor() -> str:
    try:  # platform.processor() is empty on many Linux systems
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or "unknown"

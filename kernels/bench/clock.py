"""How long runs take: in turns, on a GPU in its own time, and what of it cannot be measured."""

import statistics
import time
from collections.abc import Callable

import torch

from hmnet_kernels.bench.floor import peak_memory

BUSY = 20_000_000  # clocks, about 10 ms: longer than a launch, and what a long one is queued behind


def measure(
    runs: dict[str, Callable[[], object]], rounds: int, seconds: float, device: str = "cpu",
    failed: dict[str, str] | None = None, end: float = float("inf"),
) -> dict[str, dict]:  # fmt: skip
    """Median time and peak memory of each run: `rounds` turns, about `seconds` each a turn.

    A run that fails is left out, and why is told in `failed`, where that is given; so is one that
    had no turn when `time.perf_counter()` passed `end`.
    """
    times: dict[str, list[float]] = {name: [] for name in runs}
    memory: dict[str, float | None] = {}
    for turn in range(rounds):
        for name in list(times):
            if time.perf_counter() > end:
                if not times[name]:
                    del times[name]
                    if failed is not None:
                        failed[name] = "the time was over"
                continue
            try:
                if turn == 0:
                    if device == "cuda":  # what is compiled for these shapes is not their time
                        runs[name]()
                    memory[name], first = peak_memory(runs[name], device)
                    if first >= seconds:  # too slow to be run once for memory and again for time
                        times[name].append(first)
                        continue
                stop = time.perf_counter() + seconds
                while True:
                    times[name].append(clocked(runs[name], device))
                    if time.perf_counter() >= stop:
                        break
            except Exception as error:  # whatever it is, the others are still to be timed
                if failed is None:
                    raise
                del times[name]
                failed[name] = said(error)
    return {
        name: {
            "milliseconds": round(statistics.median(t) * 1e3, 3),
            "fastest": round(min(t) * 1e3, 3),
            "runs": len(t),
            "peak_megabytes": memory[name],
        }
        for name, t in times.items()
    }


def said(error: Exception) -> str:
    """One line of an error."""
    return f"{type(error).__name__}: {(str(error).strip() or 'no message').splitlines()[0]}"


def clocked(run: Callable[[], object], device: str) -> float:
    """Seconds of one call: on a GPU between two events there.

    The GPU is kept busy first, while the call is queued behind: the events then stand side by side
    with its work, and what the processor took to launch it is not in between. (More launches than
    fit in the time it is busy still count, for all alike.)
    """
    if device != "cuda":
        start = time.perf_counter()
        run()
        return time.perf_counter() - start
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize()
    torch.cuda._sleep(BUSY)
    start.record()
    run()
    end.record()
    end.synchronize()
    return start.elapsed_time(end) / 1e3

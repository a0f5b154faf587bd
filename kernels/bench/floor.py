"""What the machine can do at most, and what a run takes of it: the benchmark's yardsticks."""

import ctypes
import platform
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch


def exp_rate(threads: int) -> float:
    """Exponentials a second with data in the first-level cache: the best of torch's and ours."""
    from hmnet_kernels.bench.exp_rate import fill

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


def bandwidth(device: str = "cpu") -> float:
    """Bytes a second, read and written, of a large copy."""
    size = 2**28 if device == "cuda" else 2**26  # there large beside a launch
    a, b = torch.ones(size, device=device), torch.ones(size, device=device)
    times = []
    for _ in range(5):
        synchronise(device)
        start = time.perf_counter()
        b.copy_(a)
        synchronise(device)
        times.append(time.perf_counter() - start)
    return 2 * a.nbytes / min(times)


def synchronise(device: str) -> None:
    """Wait for what a GPU still has to do."""
    if device == "cuda":
        torch.cuda.synchronize()


def peak_memory(run: Callable[[], object], device: str = "cpu") -> tuple[float | None, float]:
    """Megabytes (2^20 bytes) that a run held at most beyond what was held before it, None where
    that cannot be told (on a CPU only Linux knows), and the run's seconds."""
    before = _start_of_peak(device)
    start = time.perf_counter()
    result = run()
    synchronise(device)
    seconds = time.perf_counter() - start
    del result
    if before is None:
        return None, seconds
    peak = torch.cuda.max_memory_allocated() if device == "cuda" else _status("VmHWM")
    return round((peak - before) / 2**20, 1), seconds


def _start_of_peak(device: str) -> int | None:
    """Bytes held now; from here on the peak counts."""
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        return torch.cuda.memory_allocated()
    try:
        ctypes.CDLL(None).malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5")
        return _status("VmRSS")
    except (OSError, AttributeError):
        return None


def _status(field: str) -> int:
    """Bytes, from the kernel's account of this process."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return 1024 * int(line.split()[1])
    raise OSError(f"no {field} in /proc/self/status")


def free_memory(device: str = "cpu") -> float:
    """Bytes that can still be had; infinite where that cannot be told."""
    if device == "cuda":
        torch.cuda.empty_cache()  # what torch keeps for later can be had, too
        return torch.cuda.mem_get_info()[0]
    try:
        text = Path("/proc/meminfo").read_text()
        return 1024 * int(text.split("MemAvailable:")[1].split()[0])
    except (OSError, IndexError):
        return float("inf")


def processor_name(device: str = "cpu") -> str:
    if device == "cuda":
        return torch.cuda.get_device_name()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()

"""Memory and threads for the compiled scans."""

import ctypes
import mmap
import os
import sys
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import torch
from torch import Tensor

_CHUNKS_PER_THREAD = 4  # more than one, so that a thread slowed down by others is helped
_HUGE = 2**21  # bytes from which huge pages are asked for
_WORTH_A_THREAD = 2**17  # state updates that take about as long as waking a thread


def empty(shape) -> Tensor:
    """torch.empty of float32, in huge pages where Linux has them to give: touching fresh memory for
    the first time in pages of 4 KiB can take as long as the scan itself."""
    t = torch.empty(shape, dtype=torch.float32, device="cpu")  # whatever the defaults are
    first, last = t.data_ptr(), t.data_ptr() + t.nbytes
    first += -first % mmap.PAGESIZE
    if sys.platform == "linux" and last - first >= _HUGE:
        advise = ctypes.CDLL(None).madvise
        advise(ctypes.c_void_p(first), ctypes.c_size_t(last - first), mmap.MADV_HUGEPAGE)
    return t


def threads_for(items: int, updates: int) -> int:
    """How many threads to use for so many items, with so many state updates altogether."""
    return max(1, min(torch.get_num_threads(), items, updates // _WORTH_A_THREAD))


def cut(items: int, threads: int, rows: int = 1) -> list[tuple[int, int]]:
    """Items 0..items in (first, stop) parts, enough of them when `rows` times as many are run."""
    count = min(items, -(-threads * _CHUNKS_PER_THREAD // max(rows, 1))) if threads > 1 else 1
    return list(pairwise(items * i // count for i in range(count + 1)))


def cut_rows(items: int, rows: int, threads: int) -> tuple[list[tuple[int, int, int]], int]:
    """(first, stop, part) of every batch row's items, and how many parts a row is cut in.

    What channels share (B, C) has a sum of its own for each part, so that no two threads add to
    the same numbers.
    """
    parts = cut(items, threads, rows)
    tasks = [
        (row * items + first, row * items + stop, part)
        for row in range(rows)
        for part, (first, stop) in enumerate(parts)
    ]
    return tasks, len(parts)


_pool: ThreadPoolExecutor | None = None


def _forget_pool() -> None:  # a forked child inherits the object but not its threads
    global _pool
    _pool = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_pool)


def share(threads: int, run, tasks, *arguments) -> None:
    """run(*task, *arguments) for every task, on this thread and up to threads - 1 others."""
    global _pool
    queue = deque(tasks)

    def drain():
        while queue:
            try:
                task = queue.popleft()
            except IndexError:  # another thread took the last one
                return
            run(*task, *arguments)

    helpers = []
    if threads > 1:
        if _pool is None:
            _pool = ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="hmnet-scan")
        helpers = [_pool.submit(drain) for _ in range(threads - 1)]
    drain()
    for helper in helpers:
        helper.result()

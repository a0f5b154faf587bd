"""Timing for notebooks, on machines that have other things to do as well."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping


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

"""Timing takes turns, warms up, and gives medians of means."""

import pytest

from hmnet_lite.machine import median_seconds


def test_runs_take_turns_and_medians_count():
    now, calls = [0.0], []
    takes = {"slow": iter([50, 3, 9, 4]), "fast": iter([50, *[0.5] * 6])}

    def run(name):
        calls.append(name)
        now[0] += next(takes[name])

    runs = {name: lambda name=name: run(name) for name in takes}
    found = median_seconds(runs, rounds=3, least=1, clock=lambda: now[0])
    assert found == {"slow": 4, "fast": 0.5}  # neither the warm-up nor the slow moment
    assert calls == ["slow", "fast"] + 3 * ["slow", "fast", "fast"]


def test_no_rounds_are_refused():
    with pytest.raises(ValueError, match="rounds is 0; expected at least 1"):
        median_seconds({}, rounds=0)

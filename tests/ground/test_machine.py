"""Timing takes turns, warms up, and gives medians of means; a timeline knows who held memory."""

import pytest
import torch
from torch import nn

from hmnet_lite.machine import median_seconds, memory_timeline


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


class Takes(nn.Module):
    def __init__(self, floats):
        super().__init__()
        self.floats = floats

    def forward(self):
        return torch.ones(self.floats).sum()


def test_the_timeline_knows_who_held_how_much():
    small, large = Takes(100_000), Takes(1_000_000)

    def run():
        kept = torch.ones(50_000)
        small()
        large()
        small()
        return kept.sum()

    timeline = memory_timeline(run, {"small": small, "large": large})
    assert [name for name, *_ in timeline.spans] == ["small", "large", "small"]
    assert all(begin < end for _, begin, end in timeline.spans)
    assert timeline.peak("small") == pytest.approx(4 * 150_000, rel=0.01)
    assert timeline.peak("large") == timeline.peak() == pytest.approx(4 * 1_050_000, rel=0.01)
    assert timeline.live[-1] < 1000 and timeline.peak("nobody") == 0
    spent = [end - begin for name, begin, end in timeline.spans if name == "small"]
    assert len(spent) == 2 and timeline.spent("small") == pytest.approx(sum(spent))
    assert not small._forward_hooks and not small._forward_pre_hooks

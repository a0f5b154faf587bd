"""How the figures of the paper's Tables 6 and 7 are drawn: its numbers beside those kept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from matplotlib.figure import Figure

from hmnet_lite.experiments import paper
from hmnet_lite.workbook.figures import paper as figures
from hmnet_lite.workbook.figures.parts import GAP_LABELS

Numbers = Mapping[str, Any]


def other_draws(numbers: Numbers) -> Figure:
    """Tables 6 and 7: other test seeds, and more test episodes."""
    printed = {"seeds": paper.TEST_SEEDS, "episodes": paper.TEST_EPISODES}
    words = {
        "seeds": "seed of the test (4,000 episodes; ours {episodes})",
        "episodes": "episodes of the test (seed 321)",
    }
    panels: dict[str, Any] = {}
    for what, label in words.items():
        groups: dict[str, Any] = {"paper, COCO-20i": {"miou": printed[what]}}
        for gap, found in numbers[what].items():
            percent = {
                name: {test: 100 * miou for test, miou in tests.items()}
                for name, tests in found["miou"].items()
            }
            points = {
                test: {end: 100 * x for end, x in d.items()}
                for test, d in found["difference"].items()
            }
            title = f"ours, Emoji-20i, {GAP_LABELS[gap]}"
            groups[title] = {"miou": percent, "difference": points}
        panels[label.format(episodes=numbers["from"]["episodes"])] = groups
    return figures.other_draws(panels)

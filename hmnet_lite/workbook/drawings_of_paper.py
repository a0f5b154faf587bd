"""How the figures of the paper's Tables 6, 7 and 9 are drawn: its numbers beside those kept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from matplotlib.figure import Figure

from hmnet_lite.experiments import paper
from hmnet_lite.workbook.figures import paper as figures
from hmnet_lite.workbook.figures.parts import GAP_LABELS
from hmnet_lite.workbook.measured_paper import PER_TEST, exponent

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


def episode_seconds(numbers: Numbers) -> Figure:
    """Table 9: seconds of an episode by the side of the picture."""
    whole = {
        name: {
            "sides": list(seconds),
            "seconds": [x and x / PER_TEST for x in seconds.values()],
            "exponent": exponent(list(seconds), list(seconds.values())),
        }
        for name, seconds in paper.SECONDS.items()
    }
    ours = {
        part: {
            name: {
                "sides": numbers["sides"],
                "seconds": seconds,
                "exponent": numbers["exponents"][part][name],
            }
            for name, seconds in own.items()
        }
        for part, own in numbers["seconds"].items()
    }
    return figures.episode_seconds({
        "paper: COCO-20i, a V100": {"whole": whole},
        "ours: one thread of a processor": ours,
    })  # fmt: skip

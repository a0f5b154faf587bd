"""Which of the paper's claims hold on our networks: a row each, from the kept figures' numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hmnet_lite.workbook import make

GAP = "cross"
HOLDS, FAILS, OPEN = "holds", "does not hold", "open"


@dataclass(frozen=True)
class Claim:
    """One claim and what our networks say to it. Values are in points of a percent.

    Attributes:
        group: what is measured.
        text: the claim.
        paper: where it stands, or the paper's numbers.
        mean: over training seeds and episodes.
        low, high: the 95 % interval of the mean, episodes drawn again.
        seeds: the mean of each training seed.
        expected: 1 if the claim wants the value above zero, -1 below.
    """

    group: str
    text: str
    paper: str
    mean: float
    low: float
    high: float
    seeds: tuple[float, ...]
    expected: int = 1

    @property
    def verdict(self) -> str:
        """Sure only where the whole interval and every seed stand on one side of zero."""
        signed = self.expected * np.array([self.mean, self.low, self.high, *self.seeds])
        return HOLDS if (signed > 0).all() else FAILS if (signed < 0).all() else OPEN


def claims() -> list[Claim]:
    """The claims of Figs. 5 and 7 and of Table 3, at the gap `GAP`.

    Raises:
        FileNotFoundError: a figure's numbers were never kept.
    """
    found = []
    told = make.kept("support_forgetting")["told"]
    for what, group in (
        ("max cosine", "Largest cosine of a support pixel with the state"),
        ("support's share", "The support's share of the state"),
    ):
        for text, key, expected in (
            ("concatenation: falls along the query", "from the first reading to the end", -1),
            ("a recap lifts it", "a recap's lift", 1),
            ("recaps: last low point not below the first", "last low point minus first", 1),
            ("at the end, above concatenation", "last low point minus concatenation", 1),
            ("at the end, above the same weights read once",
             "last low point minus the same weights read once", 1),
        ):  # fmt: skip
            found.append(_of(group, text, "Fig. 5", told[f"{what}: {key}"], expected))
    fused = make.kept("support_similarity")
    at = fused["gaps"].index(GAP)
    for place in ("at the core", "around the block"):
        for text, paper, title, key, expected in (
            ("concatenation: the mean falls", "58.0 → 46.0", "concatenation", "change", -1),
            ("SRM + QIM: the mean does not fall", "58.0 → 59.0", "SRM + QIM", "change", 1),
            ("SRM + QIM: FG is drawn from BG", "not asked", "SRM + QIM", "FG - BG, change", 1),
        ):
            kept = fused["told"][place][title][key].items()
            summary = {name: np.asarray(values, float)[..., at] for name, values in kept}
            group = f"Cosine of the query with the support's FG, {place}"
            found.append(_of(group, text, paper, summary, expected))
    arms = make.kept("by_the_state_alone")[GAP]["against concatenation"]
    for arm, paper in (("SRM recap", "67.5 → 68.1"), ("SRM + QIM", "67.5 → 68.6")):
        if arm in arms:
            mean, low, high = (100 * arms[arm][k] for k in ("mean", "low", "high"))
            text, each = f"{arm}: above concatenation", tuple(100 * x for x in arms[arm]["each"])
            found.append(Claim("mIoU by the state alone", text, paper, mean, low, high, each))
    return found


def table(rows: Sequence[Claim]) -> str:
    """Claims as lines of text: verdict, claim, the paper's, ours with interval and seeds."""
    lines, group = [], None
    for x in rows:
        if x.group != group:
            lines += ["", f"{x.group:<62}{'paper':<13}ours [95 %], each seed"]
            group = x.group
        seeds = " ".join(f"{s:+.1f}" for s in x.seeds)
        ours = f"{x.mean:+.1f} [{x.low:+.1f}, {x.high:+.1f}]"
        lines.append(f"  {x.verdict:<14}{x.text:<46}{x.paper:<13}{ours:<23}{seeds}".rstrip())
    return "\n".join(lines[1:])


def _of(group: str, text: str, paper: str, summary: Mapping[str, Any], expected: int) -> Claim:
    seeds = tuple(float(100 * s) for s in np.atleast_1d(summary["seeds"]))
    low, high = (float(100 * np.asarray(summary[k])) for k in ("low", "high"))
    return Claim(group, text, paper, sum(seeds) / len(seeds), low, high, seeds, expected)

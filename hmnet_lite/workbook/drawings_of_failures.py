"""The figures of failures from the numbers that are kept; see `drawings`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from matplotlib.figure import Figure

from hmnet_lite.experiments.runs import TEST
from hmnet_lite.workbook.figures import failures
from hmnet_lite.workbook.measured_failures import unpacked

Numbers = Mapping[str, Any]


def kinds(numbers: Numbers) -> Figure:
    """How many answers are of which kind."""
    return failures.kinds(numbers["counts"])


def causes(numbers: Numbers) -> Figure:
    """How often an answer fails with a cause and without."""
    return failures.causes(numbers["gaps"])


def best_median_worst(numbers: Numbers) -> Figure:
    """Of each gap the best answer, the one in the middle, and the worst."""
    return _gallery(numbers, {f"{x['gap']}, {x['rank']}": x for x in numbers["shown"]})


def gallery(numbers: Numbers) -> Figure:
    """The best answer of a gap, the one in the middle, the worst, and failures by cause."""
    return _gallery(numbers, {x["title"]: {"gap": numbers["gap"]} | x for x in numbers["shown"]})


def _gallery(numbers: Numbers, shown: Mapping[str, Mapping[str, Any]]) -> Figure:
    protocol = replace(TEST, fold=numbers["from"]["fold"])
    scenes = [replace(protocol, gap=x["gap"]).build()[x["index"]] for x in shown.values()]
    answers = [
        unpacked(x["answer"], scene.query_mask.shape)
        for x, scene in zip(shown.values(), scenes, strict=True)
    ]
    titles = [f"{title}\nIoU {100 * x['iou']:.0f} %" for title, x in shown.items()]
    return failures.gallery(scenes, answers, titles)

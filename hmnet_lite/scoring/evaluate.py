"""From predictions to a table that can be trusted: evaluate, floors, report.

    protocol = Protocol(fold=0, gap="cross")
    scores = evaluate({**FLOORS, "HMNet-lite": predict}, protocol.build())
    report = Report()
    for method, result in scores.items():
        report.add(method, protocol, result, seed=1)
    print(report.table())

A number means little without its floor: a method that marks everything already scores the share of
the image that targets fill, and one that outlines every object without looking at the support
scores far above it. Both are predictors here, so they are measured on the very same episodes.
"""

from __future__ import annotations

import json
import os
import statistics
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np

from hmnet_lite.data.emoji.protocol import GAPS, Protocol
from hmnet_lite.files import write_json
from hmnet_lite.machine import made_on
from hmnet_lite.scoring.metrics import Scores

E = TypeVar("E")  # an episode, or anything else with query_mask and class_id

#: metric to its name in tables and figures
METRICS = {"miou": "mIoU", "fb_iou": "FB-IoU"}


def evaluate(
    predictors: Mapping[str, Callable[[E], Any]], episodes: Iterable[E], *, progress: bool = True
) -> dict[str, Scores]:
    """Score every predictor on the same episodes, in one pass over them.

    Args:
        predictors: name to function from an episode to its (H, W) mask, bool or {0, 1}, a numpy
            array or a torch tensor.
        episodes: anything with ``query_mask`` ((H, W), {0, 1, 255}) and ``class_id``; see `truth`.
        progress: show a bar (on standard error, gone when done).

    Raises:
        ValueError: there is nothing to score or nobody to score it, or a prediction is no mask of
            the episode's size; the message names predictor and episode.
    """
    if not predictors:
        raise ValueError("predictors is empty; expected {name: function of an episode}")
    scores = {name: Scores() for name in predictors}
    if progress:
        from tqdm import tqdm

        episodes = tqdm(episodes, desc="evaluate", unit="episode", leave=False)
    for position, episode in enumerate(episodes):
        for name, predict in predictors.items():
            prediction = predict(episode)
            try:
                scores[name].update(prediction, truth(episode), episode.class_id)
            except (TypeError, ValueError) as error:
                raise type(error)(f"{name!r} on episode {position}: {error}") from error
    if not next(iter(scores.values())).episodes:
        raise ValueError("there were no episodes; expected at least one")
    return scores


def truth(episode: Any) -> np.ndarray:
    """(H, W) of {0, 1, 255} that predictions are scored against, and whose size they must have.

    A photograph's mask at its own size (``query_label``) where the episode has one, else
    ``query_mask``.
    """
    label = getattr(episode, "query_label", None)
    return episode.query_mask if label is None else label


def all_foreground(episode: Any) -> np.ndarray:
    """Floor: everything is foreground. Scores the share of the image that targets fill."""
    return np.ones(np.shape(truth(episode)), dtype=bool)


def every_object(episode: Any) -> np.ndarray:
    """Floor: perfect outlines of every object, target or distractor; the support is not looked at.

    Raises:
        ValueError: the episode does not know its objects (``query_objects`` is None).
    """
    objects = episode.query_objects
    if objects is None:
        raise ValueError(
            "the episode has no query_objects, which this floor outlines; expected (H, W) of 0 "
            "and 1. Mend: leave this floor out for datasets that label the target only"
        )
    return np.asarray(objects) > 0


#: name in every table and figure to predictor
FLOORS: dict[str, Callable[[Any], np.ndarray]] = {
    "all foreground": all_foreground,
    "every object": every_object,
}


@dataclass(frozen=True)
class Row:
    """One method on one set of episodes. ``seed`` is the training run's; None if none was trained.

    IoUs are in [0, 1]; ``class_iou`` is by class id.
    """

    method: str
    gap: str
    seed: int | None
    miou: float
    fb_iou: float
    class_iou: dict[int, float] = field(repr=False)

    def __post_init__(self) -> None:
        if self.gap not in GAPS:
            raise ValueError(f"gap is {self.gap!r}; expected one of {', '.join(GAPS)}")


class Cell(NamedTuple):
    """Mean and sample standard deviation over training seeds; no deviation for a single one."""

    mean: float
    std: float | None
    seeds: int


class Report:
    """Results with all it takes to compare them: protocol, machine, versions and date.

    ``rows`` are in the order they were added. All share one protocol but for its gap, which is the
    row's; mixing others is refused, because a table cannot show it.
    """

    def __init__(self, class_names: Mapping[int, str] | None = None):
        self.rows: list[Row] = []
        self.class_names = dict(class_names or {})
        self.protocol: dict[str, Any] = {}  # all fields but gap, set by the first row
        self.made = made_on()
        self.training: dict[str, Any] = {}  # how the methods were trained, in JSON's own types

    def add(
        self, method: str, protocol: Protocol, scores: Scores, *, seed: int | None = None
    ) -> Row:
        """Add what ``method``, trained with ``seed``, scored under ``protocol``.

        Raises:
            ValueError: other episodes than the protocol says, another protocol than the rows
                before, a row that is already there, or nothing scored.
        """
        if scores.episodes != protocol.episodes:
            raise ValueError(
                f"{method!r} was scored on {scores.episodes} episodes, the protocol says "
                f"{protocol.episodes}. Mend: score all of protocol.build(), or make the shorter "
                f"test a protocol of its own: replace(protocol, episodes={scores.episodes})"
            )
        fields = protocol.to_dict()
        gap = fields.pop("gap")
        for name in self.protocol:
            if fields[name] != self.protocol[name]:
                raise ValueError(
                    f"{method!r} was tested with {name}={fields[name]!r}, the rows before with "
                    f"{self.protocol[name]!r}. Mend: one report for each protocol"
                )
        if any((row.method, row.gap, row.seed) == (method, gap, seed) for row in self.rows):
            raise ValueError(
                f"{method!r} with gap {gap!r} and seed {seed} is already in the report"
            )
        row = Row(method, gap, seed, scores.miou, scores.fb_iou, scores.class_iou)
        self.protocol = fields
        self.rows.append(row)
        return row

    @property
    def methods(self) -> list[str]:
        """In the order they came in."""
        return list(dict.fromkeys(row.method for row in self.rows))

    @property
    def gaps(self) -> list[str]:
        """From narrow to wide."""
        return [gap for gap in GAPS if any(row.gap == gap for row in self.rows)]

    def cell(self, method: str, gap: str, metric: str = "miou") -> Cell | None:
        """``method`` at ``gap`` over its seeds, in [0, 1]; None where it was not tested."""
        if metric not in METRICS:
            raise ValueError(f"metric is {metric!r}; expected one of {', '.join(METRICS)}")
        values = [
            getattr(row, metric) for row in self.rows if (row.method, row.gap) == (method, gap)
        ]
        if not values:
            return None
        std = statistics.stdev(values) if len(values) > 1 else None
        return Cell(statistics.fmean(values), std, len(values))

    def table(self, metric: str = "miou", *, markdown: bool = False) -> str:
        """Methods x gaps in percent, mean ± sample standard deviation over seeds."""
        head = [f"{METRICS.get(metric, metric)} (%)", *self.gaps]
        body = [
            [method, *(_percent(self.cell(method, gap, metric)) for gap in self.gaps)]
            for method in self.methods
        ]
        return lay_out(head, body, markdown)

    def class_table(self, gap: str, *, markdown: bool = False) -> str:
        """Classes x methods at one gap: IoU in percent, mean over seeds, then their mean (mIoU)."""
        if gap not in self.gaps:
            raise ValueError(f"no row has gap {gap!r}; there are {', '.join(self.gaps) or 'none'}")
        rows = [row for row in self.rows if row.gap == gap]
        methods = list(dict.fromkeys(row.method for row in rows))
        body = []
        for class_id in sorted({class_id for row in rows for class_id in row.class_iou}):
            cells = []
            for method in methods:
                values = [
                    row.class_iou[class_id]
                    for row in rows
                    if row.method == method and class_id in row.class_iou
                ]
                mean = Cell(statistics.fmean(values), None, len(values)) if values else None
                cells.append(_percent(mean))
            body.append([self.class_names.get(class_id, f"class {class_id}"), *cells])
        means = (self.cell(method, gap) for method in methods)
        body.append(["mIoU", *(_percent(cell and cell._replace(std=None)) for cell in means)])
        return lay_out([f"IoU (%), {gap}", *methods], body, markdown)

    def to_json(self, path: str | os.PathLike[str]) -> Path:
        """Write it all, whole or not at all.

        Raises:
            OSError: nothing could be written; see :mod:`hmnet_lite.files`.
        """
        value = {
            "made": self.made,
            "protocol": self.protocol,
            "training": self.training,
            "class_names": {str(class_id): name for class_id, name in self.class_names.items()},
            "rows": [asdict(row) for row in self.rows],
        }
        return write_json(path, value)

    @classmethod
    def from_json(cls, path: str | os.PathLike[str]) -> Report:
        """Read back what :meth:`to_json` wrote, with the machine and date of then.

        Raises:
            OSError: there is no such file.
            ValueError: it is not a report.
        """
        report = cls()
        try:
            value = json.loads(Path(path).read_text(encoding="utf-8"))
            report.made = dict(value["made"])
            report.training = dict(value["training"])
            report.class_names = {int(key): name for key, name in value["class_names"].items()}
            for row in value["rows"]:
                class_iou = {int(key): iou for key, iou in row.pop("class_iou").items()}
                report.rows.append(Row(**row, class_iou=class_iou))
            for gap in report.gaps:  # checks every field, gaps included
                fields = Protocol.from_dict({**value["protocol"], "gap": gap}).to_dict()
                report.protocol = {name: fields[name] for name in fields if name != "gap"}
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f"{path} is not a report ({type(error).__name__}: {error}); expected the JSON that "
                "Report.to_json writes. Mend: evaluate again"
            ) from error
        return report


def _percent(cell: Cell | None) -> str:
    if cell is None:
        return "-"
    spread = "" if cell.std is None else f" ± {100 * cell.std:.1f}"
    return f"{100 * cell.mean:.1f}{spread}"


def lay_out(head: list[str], body: list[list[str]], markdown: bool) -> str:
    """First column to the left, the others to the right; no trailing newline."""
    widths = [max(map(len, column)) for column in zip(head, *body, strict=True)]
    lines = []
    for first, *others in (head, *body):
        right = (cell.rjust(w) for cell, w in zip(others, widths[1:], strict=True))
        lines.append([first.ljust(widths[0]), *right])
    rules = ["-" * w for w in widths]
    if markdown:
        rules[1:] = [rule[:-1] + ":" for rule in rules[1:]]
        return "\n".join(f"| {' | '.join(line)} |" for line in (lines[0], rules, *lines[1:]))
    return "\n".join("  ".join(line).rstrip() for line in (lines[0], rules, *lines[1:]))

"""A table that can be compared: scores with their protocol, machine, versions and command."""

from __future__ import annotations

import json
import os
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from hmnet_lite.data.emoji.protocol import GAPS, Protocol
from hmnet_lite.files import write_json
from hmnet_lite.machine import commit, made_on
from hmnet_lite.scoring.intervals import Difference, paired_difference
from hmnet_lite.scoring.metrics import Scores

#: metric to its name in tables and figures
METRICS = {"miou": "mIoU", "fb_iou": "FB-IoU"}


@dataclass(frozen=True)
class Row:
    """One method on one set of episodes. ``seed`` is the training run's; None if none was trained.

    IoUs are in [0, 1]; ``class_iou`` is by class id. ``misled`` is the mIoU with another support at
    the mixer's input, "wrong" (another class's) or "none" (zeros); empty where not tested.
    ``counts`` are each episode's, see `Scores.counts_to_dict`; empty where they were not kept.
    """

    method: str
    gap: str
    seed: int | None
    miou: float
    fb_iou: float
    class_iou: dict[int, float] = field(repr=False)
    misled: dict[str, float] = field(default_factory=dict)
    counts: dict[str, str] = field(default_factory=dict, repr=False)

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

    def __init__(
        self, class_names: Mapping[int, str] | None = None, *, support_annotation: str = "mask"
    ):
        self.rows: list[Row] = []
        self.support_annotation = support_annotation  # "mask", or "box": filled bounding boxes
        self.class_names = dict(class_names or {})
        self.protocol: dict[str, Any] = {}  # all fields but gap, set by the first row
        self.made = {**made_on(), "commit": commit()}
        self.training: dict[str, Any] = {}  # how the methods were trained, in JSON's own types

    def add(
        self,
        method: str,
        protocol: Protocol,
        scores: Scores,
        *,
        seed: int | None = None,
        misled: Mapping[str, float] | None = None,
    ) -> Row:
        """Add what ``method``, trained with ``seed``, scored under ``protocol``.

        ``misled`` is what it scored with another support at its mixer; see `Row`.

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
        row = Row(
            method, gap, seed, scores.miou, scores.fb_iou, scores.class_iou,
            dict(misled or {}), scores.counts_to_dict(),
        )  # fmt: skip
        self.protocol = fields
        self.rows.append(row)
        return row

    def support_use(self, method: str, gap: str, shown: str = "wrong") -> Cell | None:
        """mIoU with the right support at the mixer's input minus that with another one, over seeds.

        Near 0, what the mixer computes from the support is not used. None where not tested.
        """
        rows = [r for r in self.rows if (r.method, r.gap) == (method, gap) and shown in r.misled]
        return _over_seeds([row.miou - row.misled[shown] for row in rows])

    def difference(self, ours: str, theirs: str, gap: str, *, level: float = 0.95) -> Difference:
        """mIoU of one method minus another's at a gap, with its interval over episodes.

        Runs are paired by training seed; a method that was not trained stands against each run.

        Raises:
            ValueError: a method was not tested at the gap, or its counts were not kept.
        """
        runs = []
        for method in (ours, theirs):
            rows = {r.seed: r for r in self.rows if (r.method, r.gap) == (method, gap)}
            if not rows:
                raise ValueError(f"{method!r} was not tested at gap {gap!r}")
            runs.append(rows)
        shared = [seed for seed in runs[0] if seed in runs[1]]
        if not shared and None in (*runs[0], *runs[1]):
            shared = [seed for rows in runs for seed in rows if seed is not None]
        if not shared:
            raise ValueError(f"{ours!r} and {theirs!r} share no training seed at gap {gap!r}")
        pairs = [[rows.get(seed) or rows[None] for seed in shared] for rows in runs]
        kept = [[Scores.from_counts(row.counts) for row in rows] for rows in pairs if rows]
        return paired_difference(*kept, level=level)

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
        return _over_seeds(values)

    def table(
        self, metric: str = "miou", *, markdown: bool = False, support_use: bool = False
    ) -> str:
        """Methods x gaps in percent, mean ± sample standard deviation over seeds.

        With `support_use`, a last column: the points that a wrong support at the mixer costs, and
        none, each from the lowest gap to the highest; a dash where neither was shown.
        """
        shown = " on boxes" if self.support_annotation == "box" else ""
        head = [f"{METRICS.get(metric, metric)} (%){shown}", *self.gaps]
        body = [
            [method, *(_percent(self.cell(method, gap, metric)) for gap in self.gaps)]
            for method in self.methods
        ]
        if support_use:
            head.append("support use")
            for line in body:
                found = [self.support_span(line[0], shown) for shown in ("wrong", "none")]
                line.append(" / ".join(told or "-" for told in found) if any(found) else "-")
        return lay_out(head, body, markdown)

    def support_span(self, method: str, shown: str = "wrong") -> str:
        """Support use in points from the lowest gap to the highest; "" where not tested."""
        cells = [self.support_use(method, gap, shown) for gap in self.gaps]
        return span([cell.mean for cell in cells if cell])

    def support_table(self, *, markdown: bool = False) -> str:
        """Networks x gaps: points that a wrong support at the mixer costs, and none."""
        body = []
        for method in self.methods:
            for shown in ("wrong", "none"):
                cells = [self.support_use(method, gap, shown) for gap in self.gaps]
                if any(cells):
                    label = {"wrong": "wrong class", "none": "no support"}[shown]
                    body.append([f"{method}, {label}", *map(_percent, cells)])
        return lay_out(["support use (mIoU)", *self.gaps], body, markdown) if body else ""

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
            "support_annotation": self.support_annotation,
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
            report.support_annotation = value.get("support_annotation", "mask")
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


def _over_seeds(values: list[float]) -> Cell | None:
    if not values:
        return None
    std = statistics.stdev(values) if len(values) > 1 else None
    return Cell(statistics.fmean(values), std, len(values))


def _percent(cell: Cell | None) -> str:
    if cell is None:
        return "-"
    spread = "" if cell.std is None else f" ± {100 * cell.std:.1f}"
    return f"{100 * cell.mean:.1f}{spread}"


def span(values: Sequence[float]) -> str:
    """Shares in [-1, 1] as points from the lowest to the highest: "3.9 to 9.5", "0.0"; "" of none.

    A value that rounds to nothing has no sign.
    """
    points = [f"{round(100 * value, 1) + 0.0:.1f}" for value in sorted(values)]
    return " to ".join(dict.fromkeys((points[0], points[-1]))) if points else ""


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

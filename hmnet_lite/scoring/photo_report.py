"""Scores on photographs: broken files skipped or fatal as asked, and a report that can be compared.

    episodes = Readable(protocol.build(root), on_bad="skip")
    scores = evaluate({"all foreground": all_foreground, "mine": predict}, episodes)
    report = PhotoReport(protocol, episodes, scores)
    print(report.table())

A report is of one protocol, so whatever stands in one table was asked the same. It keeps the exact
pixel sums, so reports of several folds or machines can be put together without rounding.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hmnet_lite.data.episode import Episode
from hmnet_lite.data.photos.pictures import BadImage
from hmnet_lite.data.photos.protocol import PhotoProtocol
from hmnet_lite.data.photos.sampler import PhotoEpisodes
from hmnet_lite.files import write_json
from hmnet_lite.machine import commit, made_on
from hmnet_lite.scoring.metrics import Scores
from hmnet_lite.scoring.report import lay_out

ON_BAD = ("stop", "skip")


class Readable:
    """The episodes of a data set whose files can be used.

    Args:
        episodes: the data set.
        on_bad: "stop": the first broken file ends it. "skip": the episode is left out, and
            `skipped` says which one and why.

    Raises:
        BadImage: while iterating, with on_bad="stop"; names the file and the episode.
    """

    def __init__(self, episodes: PhotoEpisodes, on_bad: str = "stop"):
        if on_bad not in ON_BAD:
            raise ValueError(f"on_bad is {on_bad!r}; expected one of {', '.join(ON_BAD)}")
        self.episodes, self.on_bad = episodes, on_bad
        self.skipped: list[dict[str, Any]] = []  # episode, file and reason, of the last iteration

    def __len__(self) -> int:
        return len(self.episodes)

    def __iter__(self) -> Iterator[Episode]:
        self.skipped = []
        for index in range(len(self)):
            try:
                episode = self.episodes[index]
            except BadImage as error:
                if self.on_bad == "stop":
                    raise BadImage(
                        error.path,
                        f"{error.reason}; it is needed by episode {index} of {len(self)}. "
                        "(--on-bad-image skip leaves such episodes out and counts them)",
                    ) from error
                name = "/".join(error.path.parts[-2:])
                self.skipped.append({"episode": index, "file": name, "reason": error.reason})
                continue
            yield episode


class PhotoReport:
    """What methods scored under one protocol, with all it takes to compare it.

    Attributes:
        protocol: see `PhotoProtocol`.
        scores: method to its sums.
        class_names: id to name of the classes tested.
        data: what the files were (`PhotoEpisodes.facts`).
        skipped: episodes left out for a broken file.
        made: machine, versions, date.
        checkpoint: what is known of the network that was tested.

    Raises:
        ValueError: a method was scored on another number of episodes than the protocol says
            (skipped ones counted), or on none.
    """

    def __init__(
        self,
        protocol: PhotoProtocol,
        episodes: Readable,
        scores: Mapping[str, Scores],
        checkpoint: Mapping[str, Any] | None = None,
    ):
        self.protocol, self.scores = protocol, dict(scores)
        self.class_names = dict(episodes.episodes.classes)
        self.data, self.skipped = episodes.episodes.facts, list(episodes.skipped)
        self.checkpoint = dict(checkpoint or {})
        self.made = {**made_on(), "commit": commit()}
        self._check()

    def _check(self) -> None:
        for method, scores in self.scores.items():
            if scores.episodes + len(self.skipped) != self.protocol.episodes:
                raise ValueError(
                    f"{method!r} was scored on {scores.episodes} episodes and "
                    f"{len(self.skipped)} were skipped, the protocol says "
                    f"{self.protocol.episodes}. Mend: score all of protocol.build()"
                )

    def table(self, *, markdown: bool = False) -> str:
        """Classes × methods, IoU in percent; then mIoU and FB-IoU."""
        body = []
        for class_id, name in sorted(self.class_names.items()):
            ious = [scores.class_iou.get(class_id) for scores in self.scores.values()]
            if any(iou is not None for iou in ious):
                body.append([name, *("-" if iou is None else f"{100 * iou:.1f}" for iou in ious)])
        for name, metric in (("mIoU", "miou"), ("FB-IoU", "fb_iou")):
            values = [getattr(scores, metric) for scores in self.scores.values()]
            body.append([name, *(f"{100 * value:.1f}" for value in values)])
        return lay_out([f"IoU (%), {self.title}", *self.scores], body, markdown)

    @property
    def title(self) -> str:
        """Data set, fold and shots in a few words."""
        p = self.protocol
        fold = "" if p.fold is None else f" fold {p.fold}"
        return f"{p.dataset}{fold}, {p.shots}-shot"

    def notes(self) -> list[str]:
        """What a reader of the table must know: one sentence each."""
        lines = []
        missing = [
            name
            for class_id, name in sorted(self.class_names.items())
            if not any(class_id in scores.class_iou for scores in self.scores.values())
        ]
        if missing:
            lines.append(
                f"{len(missing)} of {len(self.class_names)} classes had no episode "
                f"({', '.join(missing[:10])}{', ...' * (len(missing) > 10)}), so mIoU is the mean "
                "of the others"
            )
        seen = self.checkpoint.get("trained_on_tested", [])
        if seen:
            lines.append(
                f"{len(seen)} of {len(self.class_names)} classes tested have the name of one the "
                f"network was trained on, so this is no few-shot score: {', '.join(seen[:10])}"
                f"{', ...' * (len(seen) > 10)}"
            )
        left_out = self.data.get("left_out", [])
        if left_out:
            files = sorted({bad["file"] for bad in left_out})
            lines.append(
                f"{len(files)} files cannot be used and were left out, so episodes are drawn from "
                f"the rest: {', '.join(files[:5])}{', ...' * (len(files) > 5)}"
            )
        if self.skipped:
            files = sorted({skip["file"] for skip in self.skipped})
            lines.append(
                f"{len(self.skipped)} of {self.protocol.episodes} episodes were skipped for "
                f"{len(files)} broken files: {', '.join(files[:5])}{', ...' * (len(files) > 5)}"
            )
        return lines

    def to_json(self, path: str | os.PathLike[str]) -> Path:
        """Write it all, whole or not at all.

        Raises:
            OSError: nothing could be written; see :mod:`hmnet_lite.files`.
        """
        return write_json(
            path,
            {
                "made": self.made,
                "protocol": self.protocol.to_dict(),
                "data": self.data,
                "checkpoint": self.checkpoint,
                "class_names": {str(i): name for i, name in self.class_names.items()},
                "skipped": self.skipped,
                "methods": {
                    method: {
                        "miou": scores.miou,
                        "fb_iou": scores.fb_iou,
                        "class_iou": {str(i): iou for i, iou in scores.class_iou.items()},
                        "sums": scores.to_dict(),
                        "counts": scores.counts_to_dict(),
                    }
                    for method, scores in self.scores.items()
                },
            },
        )

    @classmethod
    def from_json(cls, path: str | os.PathLike[str]) -> PhotoReport:
        """Read back what :meth:`to_json` wrote; the scores come from the sums.

        Raises:
            OSError: there is no such file.
            ValueError: it is not such a report.
        """
        report = cls.__new__(cls)
        try:
            value = json.loads(Path(path).read_text(encoding="utf-8"))
            report.protocol = PhotoProtocol.from_dict(value["protocol"])
            report.class_names = {int(i): name for i, name in value["class_names"].items()}
            report.scores = {
                method: (
                    Scores.from_counts(row["counts"])
                    if row.get("counts", {}).get("class_id")  # older reports have none
                    else Scores.from_dict(row["sums"])
                )
                for method, row in value["methods"].items()
            }
            report.data, report.skipped = dict(value["data"]), list(value["skipped"])
            report.checkpoint, report.made = dict(value["checkpoint"]), dict(value["made"])
            report._check()
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f"{path} is not a report on photographs ({type(error).__name__}: {error}); "
                "expected the JSON that PhotoReport.to_json writes. Mend: evaluate again"
            ) from error
        return report

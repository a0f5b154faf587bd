"""The paper's tables beside ours, row by row; what we have not run says so.

Numbers of the paper: Xu et al., "Hybrid Mamba for Few-Shot Segmentation", NeurIPS 2024, mIoU in
percent, one shot; PASCAL-5i in Tables 3, 4, 5 and 8, COCO-20i in 6, 7 and 9. Ours are of Emoji-20i:
another benchmark, another backbone, a mixer of a hundredth of the size. Rows can be compared with
rows, numbers with numbers cannot.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hmnet_lite.experiments.results import Result, gaps_of, mean
from hmnet_lite.scoring.metrics import Scores
from hmnet_lite.scoring.report import lay_out

NOT_MEASURED = "not measured"


@dataclass(frozen=True)
class PaperTable:
    """One of the paper's tables.

    Attributes:
        title: its number and what it asks.
        rows: the paper's row to (its mIoU in percent or None where it has no such row, the arm
            that is ours or None).
        against: the row that gains are counted from.
        note: what differs, beyond the benchmark.
    """

    title: str
    rows: Mapping[str, tuple[float | None, str | None]]
    against: str
    note: str = ""


TABLES = {
    3: PaperTable(
        "Table 3, what each part adds",
        {
            "base": (65.2, "network-base"),
            "+ self blocks": (67.4, "network-self-blocks"),
            "+ SRM basic": (67.5, "network-srm-basic"),
            "+ SRM recap": (68.1, "network-srm-recap"),
            "+ QIM, own parameters": (67.8, "network-qim-own"),
            "+ QIM, shared": (68.1, "network-qim-shared"),
            "+ SRM recap + QIM": (68.6, "network-srm-qim"),
            "+ gradient through H_S": (None, "network-srm-qim-gradient"),
            "+ BAM ensemble": (70.4, None),
        },
        "base",
    ),
    4: PaperTable(
        "Table 4, how many blocks",
        {
            "2 blocks": (None, "state-both"),
            "4 blocks": (67.8, "state-depth-4"),
            "6 blocks": (68.2, "state-depth-6"),
            "8 blocks": (68.6, None),
            "10 blocks": (67.5, None),
        },
        "4 blocks",
        "ours with the support by the state alone",
    ),
    8: PaperTable(
        "Table 8, ways to fuse",
        {
            "prototypes (BAM)": (65.2, "network-base"),
            "cross-attention (CyCTR)": (65.4, None),
            "cross-attention (SCCAN)": (66.8, "network-attention"),
            "HMNet, as printed": (68.8, "network-srm-qim"),
            "HMNet, mean of its folds": (68.6, None),
        },
        "prototypes (BAM)",
        "ours have the same decoder and steps, and attention the same size",
    ),
}

#: Table 5: mIoU on PASCAL-5i by what outlines the support
OUTLINES = {"mask": 70.4, "box": 69.2}
#: Table 6: mIoU over COCO-20i's folds by the seed that draws 4,000 test episodes
TEST_SEEDS = {
    "HDMNet": {0: 49.3, 1: 49.8, 2: 49.5, 3: 49.9, 321: 49.6},
    "HMNet": {0: 51.8, 1: 52.5, 2: 52.3, 3: 52.6, 321: 52.1},
}
#: Table 7: mIoU over COCO-20i's folds by the number of test episodes
TEST_EPISODES = {
    "HDMNet": {4_000: 49.6, 10_000: 49.1, 20_000: 49.3, 40_000: 48.9},
    "HMNet": {4_000: 52.1, 10_000: 51.7, 20_000: 51.8, 40_000: 51.4},
}
#: Table 9: seconds for 4,000 COCO episodes by the side of the picture in pixels; None: no memory
SECONDS = {
    "HDMNet": {473: 415.4, 633: 676.5, 793: 1113.4, 953: 1713.7, 1113: None},
    "HMNet": {473: 402.4, 633: 576.9, 793: 768.9, 953: 1125.5, 1113: 1440.6},
}


def beside(table: PaperTable, results: Mapping[str, Sequence[Result]]) -> str:
    """The paper's rows and ours: mIoU in percent, the gain over `table.against` in brackets.

    Args:
        table: one of `TABLES`.
        results: arm to its results; those of fold 0 count.
    """
    gaps = gaps_of(results)
    ours = {
        row: [r for r in results.get(arm or "", ()) if r.run.fold == 0]
        for row, (_, arm) in table.rows.items()
    }
    base = table.rows[table.against][0]
    body = []
    for row, (paper, _) in table.rows.items():
        cells = [
            _gained(mean(ours[row], gap), mean(ours[table.against], gap)) for gap in gaps
        ] if ours[row] else [NOT_MEASURED, *[""] * (len(gaps) - 1)]  # fmt: skip
        theirs = "-" if paper is None else f"{paper:.1f} ({paper - base:+.1f})"
        body.append([row, theirs, *cells, str(len(ours[row]))])
    title = table.title + (f"; {table.note}" if table.note else "")
    head = ["", "paper", *(f"ours, {gap}" for gap in gaps), "seeds"]
    return f"{title}\n{lay_out(head, body, markdown=False)}"


def _gained(value: float | None, base: float | None) -> str:
    if value is None:
        return "-"
    return f"{100 * value:.1f}" + ("" if base is None else f" ({100 * (value - base):+.1f})")


def part(scores: Scores, stop: int, start: int = 0) -> Scores:
    """The scores of the test episodes from `start` to `stop`, as if no others had been tested."""
    columns = {name: text.split() for name, text in scores.counts_to_dict().items()}
    picked = {name: v[start:stop] if len(v) > 1 else v for name, v in columns.items()}
    return Scores.from_counts({name: " ".join(v) for name, v in picked.items()})

"""The numbers of notebook 11's figures: files that `hmnet evaluate` wrote, and costs by a clock."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from hmnet_lite.analysis.fusion_costs import FUSIONS, step_costs
from hmnet_lite.experiments.results import gaps_of, load
from hmnet_lite.files import write_json
from hmnet_lite.scoring.intervals import paired_oiou
from hmnet_lite.scoring.packing import unpack
from hmnet_lite.training.zoo import READER
from hmnet_lite.workbook.figures.twister import SPLIT_LABELS

FOLDER = Path(__file__).resolve().parents[2] / "figures" / "referring"
SIDES = (256, 384, 512, 768, 1024)
ARM = "arm-"  # begins the report of a network trained for a comparison: arm-NAME-seedN.json
MINE = "twister"  # the paper's own
ARMS = (
    MINE, "norm", "norm-wide", "attention", "in-context", "srm", "qim", "srm-qim",  # fusions
    "spatial-only", "channel-only", "parallel", "spatial-channel", "permuted", "no-global",
    "no-local",
)  # fmt: skip
REGIMES = ("read", "long")  # end an arm's name where it was trained in another way: NAME-long
#: label → the arm of words, the arm of pictures
TASKS = {
    "tokens before the map": ("in-context", "state-cross"),
    "tokens before each patch (SRM)": ("srm", "state-srm"),
    "each pixel meets their state (QIM)": ("qim", "state-qim"),
    "SRM + QIM": ("srm-qim", "state-both"),
    "attention": ("attention", "state-attention"),
    "twister": (MINE, "state-twister"),
}


def words_scores() -> dict[str, Any]:
    """oIoU of the shipped network and of the floors: split → method → kind of sentence."""
    report = _report(FOLDER / f"{READER}.json")
    return {
        split: {
            method: {kind: score["oIoU"] for kind, score in rows[method].items()}
            for method in rows
            if isinstance(rows[method], dict)
        }
        for split, rows in report["splits"].items()
    }


def words_costs() -> dict[str, Any]:
    """Seconds and memory of a training step of every fusion, at every side. A minute or two."""
    found = {name: [step_costs(name, side) for side in SIDES] for name in FUSIONS}
    return {
        "sides": SIDES,
        "costs": {
            name: {
                "seconds": [c.seconds for c in costs],
                "megabytes": [c.megabytes for c in costs],
                "parameters": costs[0].parameters,
            }
            for name, costs in found.items()
        },
    }


def words_arms() -> dict[str, Any]:
    """oIoU of networks that were trained alike and differ in one switch.

    Arm → split → one number a seed, in percent; parameters, steps, seeds; and against the twister
    trained in the same way, where both have a seed's counts by sentence: split → mean difference,
    ends of its interval over sentences, spread over seeds, pairs of runs.

    Any number of files arm-NAME-seedN.json in figures/referring counts: add them, and run this.
    """
    reports = {
        path.stem.removeprefix(ARM).rpartition("-seed")[::2]: _report(path)
        for path in FOLDER.glob(f"{ARM}*.json")
    }
    found: dict[str, dict[str, Any]] = {}
    for name, seed in sorted(reports, key=_place):
        report = reports[name, seed]
        own = found.setdefault(name, {split: [] for split in SPLIT_LABELS} | {"seeds": []})
        for split in SPLIT_LABELS:
            own[split].append(report["splits"][split]["model"]["all"]["oIoU"])
        own["seeds"].append(int(seed))
        facts = report["training"]
        own["parameters"], own["steps"] = facts["trained_parameters"], facts["steps"]
    for name, own in found.items():
        arm, regime = _parts(name)
        if arm == MINE:
            continue
        against = f"{MINE}-{regime}" if regime else MINE
        seeds = [str(seed) for seed in own["seeds"] if (against, str(seed)) in reports]
        own["against"] = {
            split: difference
            for split in SPLIT_LABELS
            if (difference := _difference(
                [(reports[name, seed], reports[against, seed]) for seed in seeds], split))
        }  # fmt: skip
    return found


def keep(report: Path) -> Path:
    """Copy the report of an arm to where `words_arms` looks: what the network scored, no floors.

    Raises:
        ValueError: its name is not arm-NAME-seedN.json, or it is no report on sentences.
    """
    if not re.fullmatch(rf"{ARM}[a-z0-9-]+-seed\d+\.json", report.name):
        raise ValueError(f"{report.name}: expected a name such as {ARM}norm-seed1.json")
    found = _report(report)
    if found.get("dataset") != "emoji-ref":
        raise ValueError(f"{report} is no report on sentences; expected what hmnet evaluate wrote")
    found["splits"] = {
        split: {key: rows[key] for key in ("model", "fingerprint", "counts") if key in rows}
        for split, rows in found["splits"].items()
    }
    words = found["made"]["command"].split()  # of no one machine's folders
    found["made"]["command"] = " ".join(Path(w).name if "/" in w else w for w in words)
    return write_json(FOLDER / report.name, found)


def both_tasks() -> dict[str, dict[str, dict[str, list[float]]]]:
    """One fusion, two tasks: label → "words" → split, and "pictures" → gap → a number a seed.

    Words are heard by ReMamber-lite (oIoU); a support by HMNet-lite where the state is its only way
    (mIoU); in percent.
    """
    arms, runs = words_arms(), load()
    table: dict[str, dict[str, dict[str, list[float]]]] = {}
    for label, (words, state) in TASKS.items():
        results = [r for r in runs.get(state, ()) if r.run.fold == 0]
        table[label] = {
            "words": {split: arms[words][split] for split in SPLIT_LABELS if words in arms},
            "pictures": {
                gap: values
                for gap in gaps_of(runs)
                if (values := [100 * m for r in results if (m := r.miou(gap)) is not None])
            },
        }
    return table


def _parts(name: str) -> tuple[str, str]:
    """An arm and the regime in which it was trained, "" for the usual one."""
    arm, _, regime = name.rpartition("-")
    return (arm, regime) if regime in REGIMES else (name, "")


def _place(name: tuple[str, str]) -> tuple[int, int, str, int]:
    """Where an arm stands: those of other regimes last, otherwise as in `ARMS`, by seed."""
    arm, regime = _parts(name[0])
    known = ARMS.index(arm) if arm in ARMS else len(ARMS)
    return ("", *REGIMES).index(regime), known, arm, int(name[1])


def _difference(pairs: list[tuple[Any, Any]], split: str) -> dict[str, Any] | None:
    """Of reports that all keep their sentences' counts; None where there is no such pair."""
    counts = [
        [unpack(report["splits"][split]["counts"], (-1, 2)) for report in pair]
        for pair in pairs
        if all("counts" in report["splits"][split] for report in pair)
    ]
    if not counts:
        return None
    d = paired_oiou(*zip(*counts, strict=True))
    return {"mean": 100 * d.mean, "low": 100 * d.low, "high": 100 * d.high,
            "spread": d.spread and 100 * d.spread, "runs": d.runs}  # fmt: skip


def _report(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text("utf-8"))

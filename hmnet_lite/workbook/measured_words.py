"""The numbers of notebook 11's figures: files that `hmnet evaluate` wrote, and costs by a clock."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hmnet_lite.analysis.fusion_costs import FUSIONS, step_costs
from hmnet_lite.training.zoo import READER
from hmnet_lite.workbook.figures.twister import SPLIT_LABELS

FOLDER = Path(__file__).resolve().parents[2] / "figures" / "referring"
SIDES = (256, 384, 512, 768, 1024)
ARM = "arm-"  # begins the report of a network trained for a comparison: arm-NAME-seedN.json


def words_scores() -> dict[str, Any]:
    """oIoU of the shipped network and of the floors: split → method → kind of sentence."""
    report = _report(FOLDER / f"{READER}.json")
    return {
        split: {
            method: {kind: score["oIoU"] for kind, score in rows[method].items()}
            for method in rows
            if method != "fingerprint"
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
    """oIoU of networks that were trained alike and differ in one switch: arm → split → seeds."""
    arms: dict[str, Any] = {}
    named = {
        path.stem.removeprefix(ARM).rpartition("-seed"): path
        for path in FOLDER.glob(f"{ARM}*.json")
    }
    named["twister-long", "-seed", "0"] = FOLDER / f"{READER}.json"  # the network that ships
    for (name, _, _), path in sorted(named.items()):
        own = arms.setdefault(name, {split: [] for split in SPLIT_LABELS})
        report = _report(path)
        for split in SPLIT_LABELS:
            own[split].append(report["splits"][split]["model"]["all"]["oIoU"])
        facts = report["training"]
        own["parameters"], own["steps"] = facts["trained_parameters"], facts["steps"]
    return arms


def _report(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text("utf-8"))

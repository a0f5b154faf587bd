"""Ways to hear a sentence: any number of reports, paired where they keep their counts."""

import json

import numpy as np
import pytest

from hmnet_lite.scoring.packing import pack
from hmnet_lite.scoring.referring import ReferringScores
from hmnet_lite.workbook import measured_words
from hmnet_lite.workbook.figures.twister import SPLIT_LABELS


def report(gain: float, seed: int) -> dict:
    """Of a network that finds a share `gain` of forty objects."""
    rng = np.random.default_rng(seed)
    rows = [(int(gain * size), int(size)) for size in rng.integers(100, 900, 40)]
    scores = ReferringScores(["name"] * 40, rows)
    split = {"model": {"all": scores.to_dict()}, "counts": pack(rows)}
    facts = {"trained_parameters": 7, "steps": 2000}
    return {"splits": dict.fromkeys(SPLIT_LABELS, split), "training": facts}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(measured_words, "FOLDER", tmp_path)
    return tmp_path


def test_arms_have_as_many_seeds_as_there_are_files_and_differences_are_paired(folder):
    for name, gains in {"twister": (0.5, 0.6), "norm": (0.6, 0.6, 0.9), "zeal": (0.2,)}.items():
        for seed, gain in enumerate(gains):
            (folder / f"arm-{name}-seed{seed}.json").write_text(json.dumps(report(gain, 3)))
    arms = measured_words.words_arms()
    assert list(arms) == ["twister", "norm", "zeal"]
    assert arms["norm"]["seeds"] == [0, 1, 2] and len(arms["norm"]["novel"]) == 3
    found = arms["norm"]["against"]["seen"]  # seeds 0 and 1, which both have
    assert found["runs"] == 2 and found["mean"] == pytest.approx(5, abs=0.2)
    assert found["spread"] == pytest.approx(100 * 0.1 / 2**0.5, abs=0.3)
    assert found["low"] <= found["mean"] <= found["high"]
    assert arms["zeal"]["against"]["novel"]["spread"] is None
    assert "against" not in arms["twister"]


def test_an_arm_of_another_regime_stands_last_and_against_its_own_twister(folder):
    gains = {"norm-long": 0.9, "twister-long": 0.8, "norm-read": 0.5, "twister-read": 0.7,
             "twister": 0.5, "spatial-only": 0.4}  # fmt: skip
    for name, gain in gains.items():
        (folder / f"arm-{name}-seed0.json").write_text(json.dumps(report(gain, 3)))
    arms = measured_words.words_arms()
    order = ["twister", "spatial-only", "twister-read", "norm-read", "twister-long", "norm-long"]
    assert list(arms) == order
    means = {name: own["against"]["seen"]["mean"] for name, own in arms.items() if "against" in own}
    assert means == pytest.approx({"spatial-only": -10, "norm-read": -20, "norm-long": 10}, abs=0.3)


def test_reports_without_counts_have_scores_and_no_difference(folder):
    for name in ("twister", "norm"):
        old = report(0.5, 1)
        old["splits"] = {k: {"model": v["model"]} for k, v in old["splits"].items()}
        (folder / f"arm-{name}-seed0.json").write_text(json.dumps(old))
    assert measured_words.words_arms()["norm"]["against"] == {}


def test_a_report_is_kept_without_floors_and_folders(folder, tmp_path):
    whole = report(0.5, 0) | {"dataset": "emoji-ref"}
    whole["splits"]["seen"] = whole["splits"]["seen"] | {"every object": {}}
    whole["made"] = {"command": "hmnet evaluate a/b/arm-norm-seed4.safetensors --out c/x.json"}
    given = tmp_path / "elsewhere" / "arm-norm-seed4.json"
    given.parent.mkdir()
    given.write_text(json.dumps(whole))
    kept = json.loads(measured_words.keep(given).read_text())
    assert kept["made"]["command"] == "hmnet evaluate arm-norm-seed4.safetensors --out x.json"
    assert kept["splits"]["seen"].keys() == {"model", "counts"}
    assert measured_words.words_arms()["norm"]["seeds"] == [4]
    with pytest.raises(ValueError, match=r"net.json: expected a name such as arm-norm-seed1.json"):
        measured_words.keep(tmp_path / "net.json")
    given.write_text("{}")
    with pytest.raises(ValueError, match="is no report on sentences"):
        measured_words.keep(given)


def test_one_fusion_in_both_tasks_stands_in_one_row():
    table = measured_words.both_tasks()
    both = table["tokens before the map"]
    assert set(both["words"]) == set(SPLIT_LABELS) and "cross" in both["pictures"]
    for row in table.values():
        values = [v for task in row.values() for seeds in task.values() for v in seeds]
        assert all(0 < value < 100 for value in values)

"""evaluate, the floors, and reports that say what they were measured on."""

import dataclasses
import json
import os
import statistics
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from hmnet_lite import files
from hmnet_lite.data.emoji.protocol import Protocol
from hmnet_lite.scoring.evaluate import FLOORS, all_foreground, evaluate, every_object
from hmnet_lite.scoring.metrics import Scores
from hmnet_lite.scoring.report import Report


def episode(class_id=0, rows=1, objects=True):
    """8 x 8: the target fills ``rows`` rows from the top, a distractor the last row."""
    mask = np.zeros((8, 8), np.uint8)
    mask[:rows] = 1
    seen = mask.copy()
    seen[-1] = 1
    return SimpleNamespace(
        query_mask=mask, class_id=class_id, query_objects=seen if objects else None
    )


EPISODES = [episode(0, 1), episode(0, 3), episode(5, 2)]


def perfect(e):
    return e.query_mask == 1


def test_all_predictors_see_the_same_episodes_in_one_pass():
    seen = []
    once = (seen.append(e) or e for e in EPISODES)
    scores = evaluate({"right": perfect, **FLOORS}, once, progress=False)
    assert seen == EPISODES
    assert list(scores) == ["right", "all foreground", "every object"]
    assert scores["right"].miou == scores["right"].fb_iou == 1
    # class 0: 4 rows of 16; class 5: 2 of 8
    assert scores["all foreground"].class_iou == {0: 4 / 16, 5: 2 / 8}
    # one row too many in each
    assert scores["every object"].class_iou == {0: 4 / 6, 5: 2 / 3}


def test_progress_bar_goes_to_standard_error_and_changes_nothing(capfd):
    quiet = evaluate({"right": perfect}, EPISODES, progress=False)
    assert capfd.readouterr().err == ""
    assert evaluate({"right": perfect}, EPISODES) == quiet
    told = capfd.readouterr()
    assert "evaluate" in told.err and "3" in told.err
    assert told.out == ""


def test_predictors_may_return_tensors():
    scores = evaluate({"t": lambda e: torch.from_numpy(e.query_mask) == 1}, EPISODES)
    assert scores["t"].miou == 1


def test_a_wrong_prediction_names_the_predictor_and_the_episode():
    def late_mistake(e):
        return np.zeros((4, 4), bool) if e.class_id == 5 else perfect(e)

    with pytest.raises(ValueError, match=r"'mine' on episode 2: prediction has shape \(4, 4\)"):
        evaluate({"right": perfect, "mine": late_mistake}, EPISODES, progress=False)
    with pytest.raises(ValueError, match="'mine' on episode 0: prediction has dtype float32"):
        evaluate({"mine": lambda e: torch.rand(8, 8)}, EPISODES, progress=False)


def test_nothing_to_do_is_an_error():
    with pytest.raises(ValueError, match="predictors is empty"):
        evaluate({}, EPISODES)
    with pytest.raises(ValueError, match="no episodes"):
        evaluate({"right": perfect}, [], progress=False)


def test_floors_are_masks_and_say_what_they_need():
    assert all_foreground(EPISODES[0]).dtype == every_object(EPISODES[0]).dtype == bool
    with pytest.raises(ValueError, match=r"no query_objects.*leave this floor out"):
        every_object(episode(objects=False))


def scored(miou, classes=(0, 1), episodes=10):
    """Scores with the given IoU (per cent) in each class, background all right."""
    each = [episodes // len(classes), miou, 100, 100, 100]
    return Scores.from_dict({str(c): each for c in classes})


PROTOCOL = Protocol(episodes=10)


@pytest.fixture
def report():
    report = Report({0: "monkey", 1: "owl"})
    for gap, floor, values in (("cross", 8, (41, 44, 50)), ("same", 9, (60, 61, 65))):
        protocol = dataclasses.replace(PROTOCOL, gap=gap)
        report.add("all foreground", protocol, scored(floor))
        for seed, value in enumerate(values):
            report.add("HMNet-lite", protocol, scored(value), seed=seed)
    return report


def test_cells_are_mean_and_sample_deviation(report):
    cell = report.cell("HMNet-lite", "cross")
    assert cell.mean == pytest.approx(0.45)
    assert cell.std == pytest.approx(statistics.stdev([0.41, 0.44, 0.50]))
    assert cell.seeds == 3
    assert report.cell("all foreground", "cross") == (0.08, None, 1)
    assert report.cell("HMNet-lite", "sibling") is None
    assert report.cell("HMNet-lite", "cross", "fb_iou").mean == pytest.approx((0.45 + 1) / 2)
    with pytest.raises(ValueError, match="expected one of miou, fb_iou"):
        report.cell("HMNet-lite", "cross", "dice")


def test_table_text(report):
    assert report.table() == (
        "mIoU (%)              same       cross\n"
        "--------------  ----------  ----------\n"
        "all foreground         9.0         8.0\n"
        "HMNet-lite      62.0 ± 2.6  45.0 ± 4.6"
    )


def test_table_markdown(report):
    report.add("prior mask", PROTOCOL, scored(30))
    assert report.table("fb_iou", markdown=True) == (
        "| FB-IoU (%)     |       same |      cross |\n"
        "| -------------- | ---------: | ---------: |\n"
        "| all foreground |       54.5 |       54.0 |\n"
        "| HMNet-lite     | 81.0 ± 1.3 | 72.5 ± 2.3 |\n"
        "| prior mask     |          - |       65.0 |"
    )


def test_class_table(report):
    report.add("prior mask", PROTOCOL, scored(30, classes=(1, 7)))
    assert report.class_table("cross") == (
        "IoU (%), cross  all foreground  HMNet-lite  prior mask\n"
        "--------------  --------------  ----------  ----------\n"
        "monkey                     8.0        45.0           -\n"
        "owl                        8.0        45.0        30.0\n"
        "class 7                      -           -        30.0\n"
        "mIoU                       8.0        45.0        30.0"
    )
    with pytest.raises(ValueError, match="no row has gap 'sibling'; there are same, cross"):
        report.class_table("sibling")


def test_an_empty_report_has_an_empty_table():
    assert Report().table() == "mIoU (%)\n--------"
    with pytest.raises(ValueError, match="there are none"):
        Report().class_table("same")


def test_json_round_trip_keeps_everything(report, tmp_path):
    path = report.to_json(tmp_path / "results" / "report.json")
    back = Report.from_json(path)
    assert back.rows == report.rows
    assert back.table() == report.table() and back.class_table("same") == report.class_table("same")
    assert (back.protocol, back.made, back.class_names) == (
        report.protocol,
        report.made,
        report.class_names,
    )
    back.add("late", dataclasses.replace(PROTOCOL, gap="held_out"), scored(12))
    assert back.gaps == ["same", "cross", "held_out"]


def test_json_says_where_when_and_under_which_protocol(report, tmp_path):
    value = json.loads(report.to_json(tmp_path / "report.json").read_text(encoding="utf-8"))
    expected = PROTOCOL.to_dict()
    del expected["gap"]
    assert value["protocol"] == expected
    assert value["made"]["versions"]["torch"] == torch.__version__
    assert value["made"]["date"].endswith("+00:00")
    assert value["made"]["cores"] == os.cpu_count()
    assert {row["gap"] for row in value["rows"]} == {"same", "cross"}


def test_a_full_disk_keeps_the_old_report(report, tmp_path, monkeypatch):
    path = report.to_json(tmp_path / "report.json")
    old = path.read_bytes()
    report.add("late", PROTOCOL, scored(12))

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(OSError, match="no room to write it"):
        report.to_json(path)
    assert path.read_bytes() == old and os.listdir(tmp_path) == ["report.json"]


def test_add_refuses_what_a_table_cannot_show(report):
    with pytest.raises(ValueError, match=r"scored on 9 episodes, the protocol says 10.*episodes=9"):
        report.add("mine", PROTOCOL, scored(50, classes=(0, 1, 2), episodes=9))
    with pytest.raises(ValueError, match="already in the report"):
        report.add("HMNet-lite", PROTOCOL, scored(50), seed=1)
    with pytest.raises(ValueError, match=r"tested with fold=2, the rows before with 0.*one report"):
        report.add("mine", Protocol(episodes=10, fold=2), scored(50))
    empty = Scores.from_dict({"0": [10, 0, 0, 5, 5]})
    with pytest.raises(ValueError, match="no mIoU after 10 episodes"):
        report.add("mine", PROTOCOL, empty)
    assert len(report.rows) == 8


@pytest.mark.parametrize("damage", ["{", "[]", '{"rows": []}', None])
def test_from_json_tells_what_is_no_report(report, tmp_path, damage):
    path = report.to_json(tmp_path / "report.json")
    if damage is None:
        damage = path.read_text(encoding="utf-8").replace('"cross"', '"wide"')
    path.write_text(damage, encoding="utf-8")
    with pytest.raises(ValueError, match=r"report\.json is not a report .*Mend: evaluate again"):
        Report.from_json(path)


def test_reports_keep_how_networks_were_trained(tmp_path):
    report = Report({1: "monkey"})
    report.training = {"episodes": 5, "runs": [{"seed": 0, "steps": 3}]}
    scores = Scores()
    scores.update(np.ones((2, 2), bool), np.ones((2, 2), np.uint8), 1)
    report.add("x", Protocol(episodes=1), scores)
    assert Report.from_json(report.to_json(tmp_path / "r.json")).training == report.training
    assert json.loads((tmp_path / "r.json").read_text())["training"]["episodes"] == 5

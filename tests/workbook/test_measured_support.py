"""Support use of what ships: read from files, measured on few episodes, told in a table."""

from dataclasses import replace

import pytest

from hmnet_lite.experiments.runs import TEST
from hmnet_lite.scoring.evaluate import evaluate
from hmnet_lite.scoring.predict import segment_episode
from hmnet_lite.training import zoo
from hmnet_lite.workbook import measured_support


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.setenv("HMNET_LITE_CACHE", str(tmp_path))


def test_what_files_hold_is_read_from_them():
    names = ("hmnet-state-both-fold0-seed1", "hmnet-lite-fold2", "without-mamba-fold0")
    found = measured_support.support_use(names)
    state, fold2, without = found.values()
    assert state["from"] == "figures/experiments/state-both-fold0-seed1.json"
    there = "figures/experiments/network-srm-qim-fold2-seed0.json"
    assert (fold2["from"], fold2["fold"], fold2["episodes"]) == (there, 2, 300)
    lost, low, high = state["gaps"]["cross"]["minus wrong"]
    assert 0.15 < low < lost < high < 0.3
    cross = fold2["gaps"]["cross"]
    assert max(map(abs, cross["minus wrong"])) < 0.005, "it is deaf"
    assert cross["minus none"] == [cross["right"] - cross["none"]]
    assert set(without["gaps"]["same"]) == {"right"}, "it has no mixer that could be misled"


def test_a_network_is_measured_where_no_file_has_it():
    found = measured_support.support_use(["hmnet-lite-all"], gaps=["same"], episodes=2)
    told = found["hmnet-lite-all"]
    assert (told["from"], told["episodes"], told["knows the classes"]) == ("measured", 2, True)
    lost, low, high = told["gaps"]["same"]["minus wrong"]
    assert low <= lost <= high and abs(lost) < 0.005, "it does not listen"


@pytest.mark.slow
def test_a_diffews_misled_everywhere_answers_as_to_the_pictures():
    found = measured_support.support_use(["diffews-fold0"], gaps=["same"], drawn=2)
    same = found["diffews-fold0"]["gaps"]["same"]
    network = zoo.load("diffews-fold0", device="cpu")
    first, second = replace(TEST, fold=0, gap="same", episodes=2).build()
    other = {first.index: second, second.index: first}

    def misled(episode):
        shown = {x: getattr(other[episode.index], x) for x in ("support_images", "support_masks")}
        return segment_episode(network, replace(episode, **shown))

    asked = {"right": lambda e: segment_episode(network, e), "everywhere": misled}
    for shown, scores in evaluate(asked, (first, second), progress=False).items():
        assert same[shown] == pytest.approx(scores.miou, abs=0.01), shown


def test_the_table_has_a_row_a_network_and_a_cell_a_gap():
    def gaps(wrong, none, **more):
        return {"gaps": {"same": {"minus wrong": [wrong, 0, 1], "minus none": [none]} | more}}

    networks = {
        "a-seed0": gaps(0.1, 0.2), "a-seed1": gaps(0.3, 0.4), "b": {"gaps": {"same": {}}},
        "d": gaps(-0.0001, 0.01, **{"minus everywhere": [0.5]}), "hmnet-lite-fold0": gaps(0, 0),
    }  # fmt: skip
    head, _, *rows = measured_support.table(networks).splitlines()
    cells = [[cell.strip() for cell in row.split("|")[1:-1]] for row in rows]
    assert head.split("|")[2].strip() == "same"
    assert cells == [
        ["`a`, 2 seeds", "20.0 / 30.0", "-", "-", "-"],
        ["`d`", "0.0 / 1.0", "-", "-", "-"],
        ["`d`, its first guess misled, too", "50.0", "-", "-", "-"],
    ]

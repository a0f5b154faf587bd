"""The analysis' numbers: a few episodes are measured again and compared with what is kept."""

import json

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest

from hmnet_lite.workbook import make, measured
from tests.workbook.near import assert_near

CHECKED = [name for name, recipe in make.FIGURES.items() if recipe.check]


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


@pytest.mark.parametrize("name", CHECKED)
def test_a_few_episodes_give_the_numbers_that_are_kept(name):
    """To a hundredth of the largest in their list, or 0.002: other processors round otherwise."""
    recipe = make.FIGURES[name]
    facts = json.loads((make.FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    numbers = make.plain(recipe.check())
    kept = facts["numbers"] if recipe.check is recipe.compute else facts["check"]
    assert_near(numbers, kept, name, relative=0.01, absolute=0.002)
    assert make.figure(name, numbers).axes, "a few episodes can be drawn as well"


@pytest.mark.parametrize("name", CHECKED)
def test_kept_numbers_name_their_networks_and_their_command(name):
    facts = json.loads((make.FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    assert facts["command"] == f"python -m hmnet_lite.workbook.make {name}"
    came = facts["numbers"]["from"]
    assert came["networks"] == measured.sources(*came["networks"])["networks"], "the shipped files"
    if "episodes" in came:
        assert came["episodes"] >= 200


def test_one_pixel_s_attention_has_one_own_pixel_in_qim():
    own = np.array(make.kept("implicit_attention")["rows"]["QIM"][2][1])
    assert np.count_nonzero(own) == 1, "QIM hears no other query pixel"


def test_rolled_out_rows_are_shares():
    for pairs in make.kept("rolled_out")["rows"].values():
        for maps in pairs:
            assert np.sum(maps) == pytest.approx(1, abs=1e-3)


def test_a_network_that_is_not_shipped_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr("hmnet_lite.training.zoo.models_folder", lambda: tmp_path)
    measured.network.cache_clear()
    with pytest.raises(ValueError, match=r"there is no model 'hmnet-state-cross-fold0-seed0'"):
        measured.network(measured.state_network("cross"))
    assert measured.shipped_seeds() == (0,)

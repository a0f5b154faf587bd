"""Figures by name: numbers are kept, computed again, and drawn; pictures have no date in them."""

import json
import re

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest
from PIL import Image

from hmnet_lite.workbook import make
from hmnet_lite.workbook.figures.parts import png
from tests.workbook.near import assert_near

COMPUTED = [name for name, recipe in make.FIGURES.items() if recipe.compute and not recipe.long]
NOTEBOOKS = make.FOLDER.parent / "notebooks"


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


@pytest.mark.parametrize("name", COMPUTED)
def test_numbers_that_are_kept_are_those_computed_now(name):
    assert_near(make.plain(make.FIGURES[name].compute()), make.kept(name), name)


@pytest.mark.parametrize("name", make.FIGURES)
def test_every_figure_is_kept_and_drawn(name):
    picture = Image.open(make.FOLDER / f"{name}.png")
    drawn = make.figure(name)
    assert drawn.axes
    wide, high = drawn.get_size_inches()
    assert picture.width / picture.height == pytest.approx(wide / high, rel=0.01)
    assert "Creation Time" not in picture.info and "Software" not in picture.info


def test_the_same_numbers_give_the_same_file():
    assert png(make.figure("scan_costs")) == png(make.figure("scan_costs"))


@pytest.mark.parametrize("name", [name for name in make.FIGURES if name not in COMPUTED])
def test_a_figure_s_notebook_draws_it_and_its_file_says_what_machine_made_it(name):
    facts = json.loads((make.FOLDER / f"{name}.json").read_text())
    assert facts["notebook"] == make.FIGURES[name].notebook
    assert {"date", "processor", "threads", "versions"} <= facts["made"].keys()
    assert facts["command"] == make.command(name)
    text = (NOTEBOOKS / f"{facts['notebook']}.ipynb").read_text()
    assert re.search(rf'figure\(\\"{name}\\"', text)


def test_no_notebook_writes_into_figures():
    for path in NOTEBOOKS.rglob("*.ipynb"):
        assert not re.search(r"save\([^)]*figures/", path.read_text()), path.name


def test_what_a_notebook_shows_can_be_kept(tmp_path):
    field = np.array([[1.0, 0.5], [0.123456, 0.0]])
    make.figure("receptive_fields", {"one direction": field})
    assert "receptive_fields" in make.keep(tmp_path)
    assert make.kept("receptive_fields", tmp_path) == {"one direction": [[1.0, 0.5], [0.1235, 0.0]]}
    assert (tmp_path / "receptive_fields.png").read_bytes()[:4] == b"\x89PNG"


def test_numbers_become_plain():
    given = {"a": np.float32(1 / 3), 4: (np.int64(7), True, None, "x"), "b": np.arange(2)}
    assert make.plain(given) == {"a": 0.3333, "4": [7, True, None, "x"], "b": [0, 1]}
    with pytest.raises(TypeError, match="object is no number that a file can hold"):
        make.plain({"a": object()})


def test_unknown_names_and_missing_numbers_are_told(tmp_path, capsys):
    with pytest.raises(ValueError, match="no figure is called 'nope'; expected one of readme"):
        make.figure("nope")
    with pytest.raises(FileNotFoundError, match=r"notebooks\.py keep notebooks/04_cross_mamba"):
        make.kept("recap", tmp_path)
    with pytest.raises(FileNotFoundError, match=r"workbook\.make support_similarity$"):
        make.kept("support_similarity", tmp_path)
    assert make.main(["nope"]) == 1
    assert "no figure is called" in capsys.readouterr().err

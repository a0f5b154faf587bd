"""Colours: of each thing its own, in one place, alike in figures and in live pictures."""

import re
from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from hmnet_lite.workbook import figures, widgets
from hmnet_lite.workbook.figures import palette
from hmnet_lite.workbook.figures.palette import CYCLE

HEX = re.compile(r"#[0-9A-Fa-f]{6}\b|#[0-9A-Fa-f]{3}\b")
FIGURES, WIDGETS = (Path(package.__path__[0]) for package in (figures, widgets))
METHODS = ("HMNet-lite", "without Mamba", "concatenation", "SRM", "QIM", "prior mask", "attention",
           "ReMamber", "DiffewS", "DiffewS from scratch")  # fmt: skip


def lightness(colour):
    """CIE L*, 0 to 100."""
    rgb = np.array(to_rgb(colour))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return 116 * np.cbrt(linear @ [0.2126, 0.7152, 0.0722]) - 16


def test_neighbouring_colours_differ_in_lightness_and_are_not_repeated():
    assert len(set(CYCLE)) == len(CYCLE)
    steps = np.abs(np.diff([lightness(colour) for colour in CYCLE]))
    assert steps.min() > 8


def test_a_method_keeps_its_colour_whatever_stands_beside_it():
    alone = palette.colours(["without Mamba"])["without Mamba"]
    beside = palette.colours(["new", "HMNet-lite", "without Mamba", "other"])
    assert beside["without Mamba"] == alone and len(set(beside.values())) == 4
    assert palette.colours(["Euler, Δ = 1"]) == {
        "Euler, Δ = 1": palette.colours(["Euler"])["Euler"]
    }
    many = palette.colours(map(str, range(9)))
    assert list(many.values())[:7] == list(CYCLE)


def test_no_two_methods_have_one_colour():
    alone = [palette.colours([name])[name] for name in METHODS]
    assert len(set(alone)) == len(METHODS)
    assert palette.colours(["SRM + QIM"])["SRM + QIM"] == alone[0]


def test_parts_of_an_episode_keep_theirs_on_curves():
    names = ["query FG with query FG", "query FG with support FG", "query FG with query BG"]
    expected = [palette.QUERY, palette.SUPPORT, palette.BG]
    assert list(palette.colours(names).values()) == expected


@pytest.mark.parametrize(
    "path", [*FIGURES.glob("*.py"), *WIDGETS.glob("*.py"), *WIDGETS.glob("*.js")],
    ids=lambda path: path.name,
)  # fmt: skip
def test_no_other_module_names_a_colour_of_its_own(path):
    if path.name != "palette.py":  # casings of lines in live pictures are black and white
        code = re.sub(r"(?m)^\s*(//|/\*\*).*$", "", path.read_text(encoding="utf-8"))
        assert set(HEX.findall(code)) <= {"#000000", "#ffffff"}


def test_live_pictures_have_the_figures_colours():
    css = (WIDGETS / "live.css").read_text(encoding="utf-8")
    light, _, dark = css.partition(".live[data-dark]")
    written = dict(re.findall(r"--live-(\w+): (#\w+);", light))
    names = {"support": "SUPPORT", "query": "QUERY", "mark": "OWN", "hit": "HIT",
             "false": "FALSE_ALARM", "rest": "REST", "negative": "NEGATIVE"}  # fmt: skip
    assert written == {name: getattr(palette, own).lower() for name, own in names.items()}
    in_the_dark = dict(re.findall(r"--live-(\w+): (#\w+);", dark.partition("}")[0]))
    assert in_the_dark["support"] == in_the_dark["hit"] == palette.SKY.lower()
    assert set(HEX.findall(dark.partition("}")[2])) <= {"#000", "#fff"}

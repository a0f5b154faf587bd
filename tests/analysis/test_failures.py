"""Every kind of wrong answer is told from the others."""

import math

import numpy as np
import pytest
import torch

from hmnet_lite.analysis.failures import CAUSES, KINDS, Circumstances, circumstances, kind_of

TARGET = np.zeros((10, 10), np.uint8)
TARGET[:2] = 1
OBJECTS = TARGET.copy()
OBJECTS[5:8] = 1


def marked(**rows):
    mask = np.zeros((10, 10), bool)
    for start, stop in rows.values():
        mask[start:stop] = True
    return mask


ANSWERS = {
    "found": marked(whole=(0, 3)),
    "nothing marked": marked(),
    "another object": marked(some=(0, 1), other=(5, 7)),
    "background": marked(some=(1, 2), beside=(2, 5)),
    "rough": marked(some=(0, 1), other=(5, 6), beside=(2, 3)),
}


@pytest.mark.parametrize("kind", KINDS)
def test_kinds(kind):
    assert kind_of(ANSWERS[kind], TARGET, OBJECTS) == kind


def test_ignored_pixels_count_nowhere():
    target = TARGET.copy()
    target[5:] = 255
    everything = np.ones((10, 10), bool)
    assert kind_of(everything, target, OBJECTS) == "background"
    target[2:] = 255
    assert kind_of(everything, target, OBJECTS) == "found"


#: three cells of a query, each the direction its features point in; the support's target is the
#: first cell of its picture
EAST, NORTH, BETWEEN = (1.0, 0.0), (0.0, 1.0), (0.8, 0.6)


def scene(*cells):
    """(2, 1, cells) features, the vectors of the cells."""
    return torch.tensor(cells).T[:, None]


def looked_at(target, other, *, labels=((1, 2, 0),), hidden=0.0):
    """The circumstances of a target and another object beside a support that points east."""
    query = scene(target, other, EAST)
    return circumstances(
        query, np.array(labels), scene(EAST, NORTH, NORTH), np.array([[1, 0, 255]]), hidden
    )


def test_a_look_alike_is_nearer_to_the_support_than_the_target():
    assert looked_at(EAST, BETWEEN).lead == pytest.approx(1 - 0.8)
    beside = looked_at(NORTH, BETWEEN)
    assert beside.lead == pytest.approx(0 - 0.8) and beside.causes == ("look-alike",)
    alone = looked_at(NORTH, BETWEEN, labels=((1, 0, 0),))  # the background is no look-alike
    assert alone.lead == math.inf and alone.causes == ()
    assert alone.size == pytest.approx(1 / 3)


def test_cells_weigh_as_much_as_they_show():
    """A target that fills a cell and half of the next: their features, two to one."""
    labels = np.array([[1, 1, 1, 0, 2, 2]])
    found = circumstances(
        scene(EAST, NORTH, NORTH), labels, scene(EAST), np.ones((1, 2), np.uint8), 0.0
    )
    assert found.lead == pytest.approx(2 / math.sqrt(5) - 0)


@pytest.mark.parametrize(
    ("given", "causes"),
    [
        ((0.1, 0.25, 0.04), ()),
        ((-0.1, 0.0, 0.5), ("look-alike",)),
        ((0.1, 0.26, 0.5), ("hidden",)),
        ((0.1, 0.0, 0.039), ("small",)),
        ((-0.1, 0.9, 0.01), tuple(CAUSES)),
    ],
)
def test_causes(given, causes):
    assert Circumstances(*given).causes == causes

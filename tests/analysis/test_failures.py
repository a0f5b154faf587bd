"""Every kind of wrong answer is told from the others."""

import numpy as np
import pytest

from hmnet_lite.analysis.failures import KINDS, kind_of

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

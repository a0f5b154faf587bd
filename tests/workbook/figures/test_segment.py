"""What is found in the photograph of coins, computed anew by the shipped network."""

import numpy as np
import pytest

from hmnet_lite.workbook import make, measured
from hmnet_lite.workbook.figures.segment import from_runs, runs


def test_the_coins_are_found_as_the_kept_numbers_say():
    kept = make.kept("coins")
    now = make.plain(measured.coins(kept["window"], [measured.FULL]))["answers"][measured.FULL]
    assert now["iou"] == pytest.approx(kept["answers"][measured.FULL]["iou"], abs=0.02)
    size = (303, 384)
    one, other = (from_runs(a["found"], size) for a in (now, kept["answers"][measured.FULL]))
    assert (one & other).sum() / (one | other).sum() > 0.98


def test_runs_come_back():
    for mask in (np.eye(5, 7, dtype=bool), ~np.eye(5, 7, dtype=bool), np.ones((2, 3), bool)):
        assert np.array_equal(from_runs(runs(mask), mask.shape), mask)

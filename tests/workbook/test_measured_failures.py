"""The failures' numbers: masks come back as they were, episodes are ranked by their IoU."""

from types import SimpleNamespace

import numpy as np
import pytest

from hmnet_lite.analysis.failures import Circumstances
from hmnet_lite.workbook import measured_failures
from hmnet_lite.workbook.make import plain


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Five episodes of one target row each; the answer to episode i marks i rows too many."""
    target = np.zeros((6, 6), np.uint8)
    target[0] = 1
    episode = SimpleNamespace(query_mask=target, query_objects=target)
    beside = [
        Circumstances(*x) for x in ((-1, 0, 1), (1, 0, 1), (1, 0.5, 0), (-1, 0, 0), (1, 0, 1))
    ]
    monkeypatch.setattr(measured_failures, "surroundings", lambda gap: beside)
    masks = [np.arange(6)[:, None] <= np.full(6, i) for i in (2, 0, 3, 1, 4)]
    monkeypatch.setattr(measured_failures, "features", lambda gap: [episode] * 5)
    monkeypatch.setattr(measured_failures, "answers", lambda name, gap: masks)
    monkeypatch.setattr(measured_failures, "came", lambda *names: {"networks": list(names)})
    return masks


def test_masks_come_back():
    mask = np.random.default_rng(0).random((7, 5)) > 0.5
    back = measured_failures.unpacked(measured_failures.packed(mask), (7, 5))
    assert back.dtype == bool and np.array_equal(back, mask)


def test_best_median_and_worst(small):
    shown = plain(measured_failures.best_median_worst(gaps=("same",)))["shown"]
    assert [x["rank"] for x in shown] == ["best", "median", "worst"]
    assert [x["index"] for x in shown] == [1, 0, 4]
    assert [x["iou"] for x in shown] == pytest.approx([1, 1 / 3, 1 / 5], abs=1e-3)
    assert np.array_equal(measured_failures.unpacked(shown[1]["answer"], (6, 6)), small[0])


def test_kinds_are_counted():
    counts = measured_failures.failure_kinds()["counts"]
    assert set(counts) == set(measured_failures.NETWORKS)
    kinds = counts["HMNet-lite"]["cross"]
    assert kinds["found"] == 2 and kinds["background"] == 3 and sum(kinds.values()) == 5


def test_failures_are_counted_with_each_cause_and_without():
    """IoUs are 1/3, 1, 1/4, 1/2 and 1/5; the third is hidden and small, the last has no cause."""
    found = plain(measured_failures.failure_causes())
    cross = found["gaps"]["cross"]
    assert [cross["look-alike"][side]["failed"] for side in ("with", "without")] == [1, 2]
    assert [cross["look-alike"][side]["episodes"] for side in ("with", "without")] == [2, 3]
    assert [cross["small"][side]["failed"] for side in ("with", "without")] == [1, 2]
    for sides in cross.values():
        for x in sides.values():
            assert 0 <= x["low"] <= x["failed"] / x["episodes"] <= x["high"] <= 1
    blamed = {"look-alike": 1, "hidden": 1, "small": 0, "none of these": 1}
    assert found["first"]["cross"] == blamed


def test_the_gallery_has_no_episode_twice():
    shown = plain(measured_failures.failures_gallery())["shown"]
    assert [(x["title"], x["index"]) for x in shown] == [
        ("best", 1), ("median", 0), ("worst", 4), ("hidden", 2)
    ]  # fmt: skip

"""The checks of notebook 09: the right answer passes, each likely slip is named."""

import numpy as np

from hmnet_lite.workbook.exercises import experiments as exercises

RIGHT = np.array([[1, 30, 40], [1, 5, 20], [2, 8, 10]])
WRONG = np.array([[1, 20, 50], [1, 0, 20], [2, 1, 15]])


def miou(table):
    kinds = np.unique(table[:, 0])
    sums = [table[table[:, 0] == kind, 1:].sum(0) for kind in kinds]
    return np.mean([i / u for i, u in sums])


def per_episode(right, wrong):
    return np.mean(right[:, 1] / right[:, 2]) - np.mean(wrong[:, 1] / wrong[:, 2])


def pooled(right, wrong):
    return right[:, 1].sum() / right[:, 2].sum() - wrong[:, 1].sum() / wrong[:, 2].sum()


def test_support_use():
    def check(function):
        return exercises.support_use(function, RIGHT, WRONG)

    assert check(lambda r, w: miou(r) - miou(w))
    assert "other way round" in check(lambda r, w: miou(w) - miou(r)).message
    assert "averages episodes" in check(per_episode).message
    assert "sums over all classes" in check(pooled).message
    assert "expected" in check(lambda r, w: 0.5).message
    assert check(lambda r, w: ...).right is None


def test_enough_seeds():
    check = exercises.enough_seeds
    assert check(16, 2.0, 1.0)
    assert "one standard error" in check(9, 3.0, 1.0).message
    assert "square it" in check(6, 3.0, 1.0).message
    assert "round up" in check(35, 3.0, 1.0).message
    assert check(..., 2.0, 1.0).right is None


def test_paired():
    rng = np.random.default_rng(0)
    hard = rng.normal(size=50)
    ours, theirs = (hard + 0.2 * rng.normal(size=50) for _ in range(2))
    root = np.sqrt(50)
    one, two = ours.std(ddof=1) / root, theirs.std(ddof=1) / root
    apart, pairs = np.hypot(one, two), (ours - theirs).std(ddof=1) / root

    def check(*answer):
        return exercises.paired(lambda *_: answer, ours, theirs)

    assert check(apart, pairs) and "worth" in check(apart, pairs).message
    assert "other way round" in check(pairs, apart).message
    assert "of one episode" in check(apart * root, pairs * root).message
    assert "as squares" in check(one + two, pairs).message
    assert "do not subtract" in check(apart, abs(one - two)).message
    assert "expected" in check(1.0, 2.0).message and "expected" in check(1.0).message
    assert exercises.paired(lambda *_: ..., ours, theirs).right is None

"""Paired intervals: exact where they can be, wide where the data is, and refused where they lie."""

import numpy as np
import pytest

from hmnet_lite.scoring.intervals import over_folds, paired_difference, paired_oiou
from hmnet_lite.scoring.metrics import Scores


def scores(rows):
    """From (class id, intersection, union) by episode."""
    columns = (" ".join(str(row[i]) for row in rows) for i in range(3))
    values = dict(zip(("class_id", "intersection", "union"), columns, strict=True))
    return Scores.from_counts({**values, "pixels": "10000"})


def drawn(shift, seed=0, episodes=200, noise=0.2):
    """Episodes of four classes whose IoU is 0.5 + shift and a noise that both methods share."""
    rng = np.random.default_rng(seed)
    iou = np.clip(0.5 + rng.normal(0, noise, episodes) + shift, 0, 1)
    return scores([(i % 4, round(1000 * x), 1000) for i, x in enumerate(iou)])


def test_the_difference_is_that_of_the_miou_and_lies_in_its_interval():
    ours, theirs = drawn(0.05), drawn(0.0, seed=1)
    found = paired_difference(ours, theirs)
    assert found.mean == ours.miou - theirs.miou and found.spread is None
    assert found.low < found.mean < found.high and found.level == 0.95
    back = paired_difference(theirs, ours)
    assert (back.low, back.high) == pytest.approx((-found.high, -found.low))
    assert found == paired_difference(ours, theirs)  # the same draws
    assert str(found).startswith(f"{100 * found.mean:+.1f} (95% interval over episodes: ")


def test_pairing_takes_out_what_both_methods_share():
    paired = paired_difference(drawn(0.05), drawn(0.0))
    apart = paired_difference(drawn(0.05), drawn(0.0, seed=1))
    assert paired.high - paired.low < 0.2 * (apart.high - apart.low)


def test_the_interval_has_the_width_of_the_standard_error():
    ours = drawn(0.0, noise=0.1, episodes=400)
    theirs = scores([(i % 4, 500, 1000) for i in range(400)])
    found = paired_difference(ours, theirs, samples=4000)
    iou = ours.counts[:, 1] / 1000
    classes = ours.counts[:, 0]
    variance = sum(iou[classes == c].var() / (classes == c).sum() for c in range(4)) / 16
    assert found.high - found.low == pytest.approx(2 * 1.96 * variance**0.5, rel=0.06)


def test_training_runs_are_paired_and_their_spread_told():
    ours = [drawn(0.10), drawn(0.04)]
    theirs = [drawn(0.0), drawn(0.02)]
    found = paired_difference(ours, theirs)
    pairs = [a.miou - b.miou for a, b in zip(ours, theirs, strict=True)]
    assert found.mean == pytest.approx(np.mean(pairs))
    assert found.spread == pytest.approx(np.std(pairs, ddof=1)) and found.runs == 2
    assert "over 2 runs" in str(found)


def test_errors_of_folds_are_added_in_squares():
    """As if the episodes of all folds had been drawn again together, each fold for itself."""
    folds = [(drawn(0.1, seed=s), drawn(0.0, seed=s + 9)) for s in range(4)]
    found = over_folds([paired_difference(*fold) for fold in folds])
    assert found.mean == pytest.approx(np.mean([a.miou - b.miou for a, b in folds]))
    assert found.runs == 4 and found.low < found.mean < found.high
    alone = paired_difference(*folds[0])
    assert found.high - found.low == pytest.approx((alone.high - alone.low) / 2, rel=0.1)
    with pytest.raises(ValueError, match="one level"):
        over_folds([])
    with pytest.raises(ValueError, match=r"levels \[0.9, 0.95\]"):
        over_folds([alone, paired_difference(*folds[0], level=0.9)])


def test_what_cannot_be_compared_is_refused():
    sums = Scores.from_dict({"1": [1, 2, 3, 4, 5]})
    with pytest.raises(ValueError, match="the scores kept no counts by episode"):
        paired_difference(sums, sums)
    with pytest.raises(ValueError, match="are of other episodes"):
        paired_difference(scores([(1, 2, 3)]), scores([(2, 2, 3)]))
    with pytest.raises(ValueError, match="2 and 1 training runs"):
        paired_difference([drawn(0), drawn(0)], drawn(0))
    with pytest.raises(ValueError, match="level is 95"):
        paired_difference(drawn(0), drawn(0), level=95)


def test_overall_iou_is_paired_sentence_by_sentence():
    rng = np.random.default_rng(0)
    union = rng.integers(100, 900, 300)
    share = rng.uniform(0.2, 0.8, 300)
    rows = [np.stack([((share + more) * union).astype(int), union], 1) for more in (0, 0.1, 0.12)]
    found = paired_oiou(rows[1:], rows[:1] * 2)
    oious = [table[:, 0].sum() / table[:, 1].sum() for table in rows]
    assert found.mean == pytest.approx((oious[1] + oious[2]) / 2 - oious[0]) and found.runs == 2
    assert found.spread == pytest.approx((oious[2] - oious[1]) / 2**0.5)
    assert found.low < found.mean < found.high < found.low + 0.01  # what both share is gone
    for ours, theirs, says in (([], [], "0 and 0 training runs"), (rows[:1], [rows[0][1:]], "299")):
        with pytest.raises(ValueError, match=says):
            paired_oiou(ours, theirs)

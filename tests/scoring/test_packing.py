"""Tables of counts as text: nothing is lost, and what is no such text is refused."""

import json

import numpy as np
import pytest

from hmnet_lite.scoring.metrics import Scores
from hmnet_lite.scoring.packing import pack, pack_scores, unpack, unpack_scores


@pytest.mark.parametrize("rows", [[(0, 70_000), (3, 9), (2**32 - 1, 2**24)], []])
def test_a_table_is_one_line_and_comes_back(rows):
    text = pack(rows)
    assert text.isascii() and "\n" not in text and json.dumps(text) == f'"{text}"'
    assert unpack(text, (-1, 2)).tolist() == [list(row) for row in rows]


@pytest.mark.parametrize("table", [[-1], [2**32]])
def test_what_four_bytes_cannot_hold_is_refused(table):
    with pytest.raises(ValueError, match=rf"counts from {table[0]} .* expected them in \[0, 2"):
        pack(table)


def test_tests_keep_each_episodes_counts():
    tests, rng = [Scores(), Scores()], np.random.default_rng(0)
    for class_id in (3, 3, 79):
        truth = rng.integers(0, 2, (256, 256))
        for scores in tests:
            scores.update(rng.integers(0, 2, (256, 256)), truth, class_id)
    for scores in tests:
        scores.update(np.ones((256, 256), int), np.ones((256, 256), int), 79)  # 2¹⁶ pixels
    text = pack_scores(tests)
    for back, scores in zip(unpack_scores(text, 2), tests, strict=True):
        assert np.array_equal(back.counts, scores.counts)
    with pytest.raises(ValueError, match="reshape"):
        unpack_scores(text, 3)

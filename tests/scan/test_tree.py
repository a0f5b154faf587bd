"""The joins of the tree scan: every prefix once, with as few joins and rounds as told."""

import pytest

from hmnet_lite.scan.tree import tree_joins


@pytest.mark.parametrize("length", [1, 2, 8, 64])
def test_a_tree_joins_what_is_there_and_finishes_every_prefix(length):
    known = {(t, t) for t in range(1, length + 1)}
    rounds = tree_joins(length)
    for joins in rounds:
        made = set()
        for left, right in joins:
            assert {left, right} <= known and left[1] + 1 == right[0]  # of earlier rounds
            made.add((left[0], right[1]))
        assert not made & known and len(made) == len(joins)  # nothing twice
        known |= made
    assert {(1, t) for t in range(1, length + 1)} <= known
    log = length.bit_length() - 1
    assert sum(map(len, rounds)) == 2 * length - 2 - log
    assert len(rounds) == max(2 * log - 1, 0)


@pytest.mark.parametrize("length", [0, 3, 12])
def test_a_tree_needs_a_power_of_two(length):
    with pytest.raises(ValueError, match=f"length is {length}; expected a power of two"):
        tree_joins(length)

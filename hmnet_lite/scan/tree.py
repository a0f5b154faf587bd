"""The joins of an associative scan: an odd-even tree over time (Blelloch, 1990)."""

from __future__ import annotations

Span = tuple[int, int]  # steps first to last, both counted from 1


def tree_joins(length: int) -> list[list[tuple[Span, Span]]]:
    """The joins of an odd-even tree scan, round by round; those of a round need not wait.

    Args:
        length: of the sequence, a power of two.

    Returns:
        rounds of (left, right) spans; a join makes the span from left's first to right's last.

    Raises:
        ValueError: length is not a power of two.
    """
    if length < 1 or length & (length - 1):
        raise ValueError(f"length is {length}; expected a power of two: 1, 2, 4, 8, …")
    spans = [(t, t) for t in range(1, length + 1)]
    up, levels = [], []
    while len(spans) > 1:  # neighbours become pairs, pairs become fours, …
        levels.append(spans)
        up.append(list(zip(spans[::2], spans[1::2], strict=True)))
        spans = [(a[0], b[1]) for a, b in up[-1]]
    down = [  # back again: what ends between two finished prefixes joins the one on its left
        [((1, span[0] - 1), span) for span in level[2::2]] for level in reversed(levels)
    ]
    return [joins for joins in up + down if joins]

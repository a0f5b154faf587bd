"""Tables of counts as one short line of text, for JSON.

The lowest bytes of counts of pixels are nearly noise and the highest nearly constant, so each plane
of bytes is compressed apart: a third less than all at once, a fourth of the digits.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Iterable, Sequence

import numpy as np

from hmnet_lite.scoring.metrics import Scores

_COLUMNS = ("class_id", "intersection", "union", "pixels")


def pack(table: np.ndarray) -> str:
    """Integers in [0, 2³²), of any shape, as letters of base 85 and spaces; nothing is lost.

    Raises:
        ValueError: a value is outside.
    """
    table = np.asarray(table)
    if table.size and not 0 <= table.min() <= table.max() < 1 << 32:
        raise ValueError(f"counts from {table.min()} to {table.max()}; expected them in [0, 2³²)")
    planes = table.astype("<u4").reshape(-1, 1).view(np.uint8).T
    return " ".join(
        base64.b85encode(zlib.compress(plane.tobytes(), 9)).decode() for plane in planes
    )


def unpack(text: str, shape: Sequence[int]) -> np.ndarray:
    """Inverse of `pack`, int64; one length of the shape may be -1.

    Raises:
        ValueError, zlib.error: it is not what `pack` writes, or not of that shape.
    """
    planes = [zlib.decompress(base64.b85decode(plane)) for plane in text.split(" ")]
    table = np.stack([np.frombuffer(plane, np.uint8) for plane in planes], axis=-1)
    return table.copy().view("<u4").reshape(shape).astype(np.int64)


def pack_scores(scores: Iterable[Scores]) -> str:
    """The counts of each episode of some tests, all of as many episodes."""
    tests = []
    for each in scores:
        columns = each.counts_to_dict()
        rows = [np.array(columns[name].split(), dtype=np.int64) for name in _COLUMNS]
        tests.append([np.broadcast_to(row, rows[0].shape) for row in rows])
    return pack(np.array(tests))


def unpack_scores(text: str, tests: int) -> list[Scores]:
    """Inverse of `pack_scores`.

    Raises:
        ValueError, zlib.error: it is not what `pack_scores` writes, or of another number of tests.
    """
    table = unpack(text, (tests, len(_COLUMNS), -1))
    lines = ([" ".join(map(str, row)) for row in test] for test in table.tolist())
    return [Scores.from_counts(dict(zip(_COLUMNS, rows, strict=True))) for rows in lines]

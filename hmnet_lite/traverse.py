"""From a 2-D map to the sequences a scan reads, and back.

A scan reads a line; a picture is a plane. Four traversals (VMamba's cross-scan) let every pixel
be reached from every side:

    0 rows      →  left to right, top to bottom         2 = 0 read backwards
    1 columns   ↓  top to bottom, left to right         3 = 1 read backwards

Hybrid Mamba walks the query patch by patch, so that the support can be recapped in between. With
`ratio` α the map is cut in α × α patches; patches and the pixels inside them follow the same
direction (0: both row by row, 1: both column by column). `ratio=1` is the whole map as one patch.
"""

from __future__ import annotations

import torch
from einops import rearrange
from torch import Tensor

DIRECTIONS = 4
_ROWS = "b c (p h) (q w) -> b c (p q h w)"
_COLUMNS = "b c (p h) (q w) -> b c (q p w h)"


def to_sequences(x: Tensor, ratio: int = 1) -> Tensor:
    """(batch, channels, height, width) → (batch, directions, channels, length).

    Raises:
        ValueError: the sides are not multiples of the ratio.
    """
    check_ratio(*x.shape[-2:], ratio)
    rows, columns = (rearrange(x, way, p=ratio, q=ratio) for way in (_ROWS, _COLUMNS))
    return torch.stack([rows, columns, rows.flip(-1), columns.flip(-1)], dim=1)


def from_sequences(y: Tensor, height: int, width: int, ratio: int = 1) -> list[Tensor]:
    """Put each direction's outputs back in place; the reverse of `to_sequences`.

    (batch, directions, channels, length) → a map (batch, channels, height, width) a direction.
    """
    sides = dict(p=ratio, q=ratio, h=height // ratio, w=width // ratio)
    rows, columns = (" -> ".join(reversed(way.split(" -> "))) for way in (_ROWS, _COLUMNS))
    down, right, up, left = y.unbind(1)
    lines = ((down, rows), (right, columns), (up.flip(-1), rows), (left.flip(-1), columns))
    return [rearrange(line, way, **sides) for line, way in lines]


def reading_order(height: int, width: int, ratio: int = 1) -> Tensor:
    """Which pixel each direction reads when: (directions, length) of row · width + column."""
    pixel = torch.arange(height * width).view(1, 1, height, width)
    return to_sequences(pixel, ratio)[0, :, 0]


def check_ratio(height: int, width: int, ratio: int) -> None:
    """Raise a ValueError unless both sides are multiples of the ratio."""
    if ratio < 1 or height % ratio or width % ratio:
        raise ValueError(
            f"a {height} × {width} map cannot be cut into {ratio} × {ratio} equal patches; "
            "resize it to a multiple of the recap ratio, or use a ratio that divides both sides"
        )

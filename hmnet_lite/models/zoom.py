"""Zoom in on what a mask marks, so that all of a support's map is about the class."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

MARGIN = 0.15  # of the box's side, on both sides together


def zoom(maps: Tensor, shares: Tensor) -> tuple[Tensor, Tensor]:
    """Cut out the box of the class and enlarge it to the whole map (bilinear).

    Args:
        maps: (batch, channels, height, width).
        shares: (batch, height, width) in [0, 1], the share of each cell that the class covers.
            Where it is zero everywhere, nothing is cut.

    Returns:
        both, cut and enlarged: (batch, channels, height, width), (batch, height, width).
    """
    inside = shares > 0
    sides = [_extent(inside.any(axis)) for axis in (2, 1)]  # rows, columns: (centre, half)
    (y, half_y), (x, half_x) = sides
    turn = maps.new_zeros(len(maps), 2, 3)
    turn[:, 0, 0], turn[:, 0, 2] = half_x, x
    turn[:, 1, 1], turn[:, 1, 2] = half_y, y
    grid = F.affine_grid(turn, (len(maps), 1, *maps.shape[-2:]), align_corners=False)
    together = torch.cat([maps, shares[:, None].to(maps.dtype)], dim=1)
    cut = F.grid_sample(together, grid, mode="bilinear", padding_mode="border", align_corners=False)
    return cut[:, :-1], cut[:, -1].to(shares.dtype)


def _extent(marked: Tensor) -> tuple[Tensor, Tensor]:
    """(batch, cells) bool → centre and half length of the run in [-1, 1] coordinates, (batch,)."""
    count = marked.shape[1]
    cells = torch.arange(count, device=marked.device)
    first = torch.where(marked, cells, count).amin(1)
    end = torch.where(marked, cells, -1).amax(1) + 1
    nothing = end <= first
    first, end = first.masked_fill(nothing, 0), end.masked_fill(nothing, count)
    margin = torch.where(nothing, 1.0, 1.0 + MARGIN)
    return (first + end) / count - 1, (end - first) / count * margin

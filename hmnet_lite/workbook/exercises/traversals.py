"""Checks of the exercises on pictures as sequences (notebook 03)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from hmnet_lite.maps import reading_order, to_sequences
from hmnet_lite.workbook.exercises.parts import call, exercise


@exercise
def snake(function: Callable[[int, int], object]) -> str:
    """The order that reads rows in turns from left to right and from right to left."""
    for height, width in ((3, 4), (4, 4), (2, 5), (1, 3)):
        given = np.asarray(call(function, height, width)).ravel()
        size = f"{height} × {width}"
        if sorted(given.tolist()) != list(range(height * width)):
            raise AssertionError(
                f"On a {size} map it reads {given.tolist()}; expected each of 0 to "
                f"{height * width - 1} once (a cell's number is row · width + column)."
            )
        rows, columns = np.divmod(given, width)
        jumps = abs(np.diff(rows)) + abs(np.diff(columns))
        if (jumps > 1).any():
            at = int(np.argmax(jumps > 1))
            raise AssertionError(
                f"On a {size} map it jumps from cell {given[at]} to cell {given[at + 1]}, which do "
                "not touch. Turn every other row round."
            )
        if (np.diff(rows) < 0).any() or given[0] != 0:
            raise AssertionError("No jumps, but begin at cell 0 and finish a row before the next.")
        if (rows != np.repeat(np.arange(height), width)).any():
            raise AssertionError("No jumps, but it is not row by row.")
    return "Each cell once, and each step goes to a cell that touches the last."


@exercise
def put_back(function: Callable) -> str:
    """A line of outputs, put back in place by the order in which it was read."""
    height, width = 3, 5
    picture = torch.randn(1, 2, height, width, generator=torch.Generator().manual_seed(1))
    for direction, order in enumerate(reading_order(height, width)):
        line = to_sequences(picture)[0, direction]  # (channels, length)
        given = call(function, line, order, height, width)
        if tuple(given.shape) != (2, height, width):
            raise AssertionError(
                f"It returns the shape {tuple(given.shape)}; expected (channels, height, width) = "
                f"(2, {height}, {width})."
            )
        if torch.equal(given, picture[0]):
            continue
        if torch.equal(given, line[:, order].view(2, height, width)):
            raise AssertionError(
                f"Direction {direction} is wrong: line[:, order] reads by the order once more. The "
                "cell order[t] gets what stands at t, not the other way round."
            )
        raise AssertionError(
            f"Direction {direction} comes out wrong: the cell order[t] should get line[:, t]."
        )
    return "All four directions find back to their places."

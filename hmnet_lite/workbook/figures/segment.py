"""A photograph and what was found in it from one outlined example."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from hmnet_lite.workbook.figures.palette import FOUND
from hmnet_lite.workbook.figures.parts import outline, picture


def example_and_answer(support: np.ndarray, mask: np.ndarray, query: np.ndarray,
                       found: np.ndarray) -> Figure:  # fmt: skip
    """The outlined example beside the picture with its mask laid over it.

    Args:
        support: (h, w, 3) uint8.
        mask: (h, w) bool, the example.
        query: (H, W, 3) uint8.
        found: (H, W) bool.
    """
    figure = Figure(figsize=(8.4, 5.1), layout="constrained")
    small, large = figure.subplots(1, 2, width_ratios=(1, 3.4))
    picture(small, support, "one coin, outlined")
    outline(small, mask)
    picture(large, query, "found in the photograph")
    tint = np.zeros((*found.shape, 4))
    tint[found] = (*to_rgb(FOUND), 0.55)
    large.imshow(tint, interpolation="nearest")
    return figure


def runs(mask: np.ndarray) -> list[int]:
    """Lengths of the runs of a (H, W) bool mask, row after row, beginning with False: for JSON."""
    flat = np.concatenate([[False], mask.ravel(), [not mask.ravel()[-1]]])
    edges = np.flatnonzero(flat[1:] != flat[:-1])
    return np.diff(edges, prepend=0).tolist()


def from_runs(lengths: list[int], size: tuple[int, int]) -> np.ndarray:
    """Inverse of `runs`: (H, W) bool."""
    values: list[Any] = [np.full(n, i % 2 == 1) for i, n in enumerate(lengths)]
    return np.concatenate(values).reshape(size)

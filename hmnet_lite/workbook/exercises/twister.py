"""Checks of the exercises on segmentation by words (notebook 11)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from hmnet_lite.workbook.exercises.parts import call, exercise


@exercise
def overall_iou(function: Callable) -> str:
    """oIoU: (found, truth), two lists of (H, W) bool → one number."""
    rng = np.random.default_rng(0)
    truth = [np.zeros((20, 20), bool) for _ in range(3)]
    for mask, side in zip(truth, (4, 9, 18), strict=True):
        mask[:side, :side] = True
    found = [
        mask & (rng.random(mask.shape) < keep)
        for mask, keep in zip(truth, (1, 0.5, 0.8), strict=True)
    ]
    found[0][:, :10] = True
    given = float(call(function, found, truth))
    both = [np.sum(a & b) for a, b in zip(found, truth, strict=True)]
    either = [np.sum(a | b) for a, b in zip(found, truth, strict=True)]
    if abs(given - sum(both) / sum(either)) < 1e-6:
        return "All intersections over all unions: a large object counts for more than a small one."
    if abs(given - np.mean(np.divide(both, either))) < 1e-6:
        raise AssertionError(
            "That is mIoU, the mean over sentences. For oIoU add up the intersections, add up the "
            "unions, and divide once."
        )
    if abs(given - sum(both) / sum(mask.sum() for mask in truth)) < 1e-6:
        raise AssertionError("You divide by the truth alone: false alarms cost nothing that way.")
    raise AssertionError(f"It gives {given:.4f}; expected {sum(both) / sum(either):.4f}.")


@exercise
def channel_tokens(function: Callable) -> str:
    """The channel scan's sequence: (batch, channels, h, w), a side → (batch, channels, side²)."""
    cube = torch.randn(2, 6, 8, 8, generator=torch.Generator().manual_seed(0))
    given = torch.as_tensor(call(function, cube, 4))
    expected = cube.unflatten(2, (4, 2)).unflatten(4, (4, 2)).mean((3, 5)).flatten(2)
    if given.shape == (2, 64, 6):
        raise AssertionError(
            "Your sequence runs over pixels. Here the channels are the steps, and a channel's "
            "small map is what is read in one step: (batch, channels, side²)."
        )
    if given.shape != expected.shape:
        raise AssertionError(
            f"It gives the shape {tuple(given.shape)}; expected {tuple(expected.shape)}: a step "
            "for each channel, side² numbers in it."
        )
    if torch.allclose(given, expected, atol=1e-5):
        return "48 channels a part and three parts make 144 steps, however large the picture is."
    if torch.allclose(given, cube[..., ::2, ::2].flatten(2), atol=1e-5):
        raise AssertionError("You pick every second pixel; pooling takes the mean of all of them.")
    raise AssertionError("The shape is right, the numbers are not the means of 2 × 2 pixels.")


@exercise
def growth(answer: float) -> str:
    """By what factor what the twister keeps for its backward grows from 256 to 1024 pixels."""
    if not isinstance(answer, (int, float)):
        raise AssertionError("A number is expected: how many times as much.")
    if 12 <= answer <= 16.5:
        return (
            "Sixteen times the pixels, so about sixteen times as much; less by what does not grow, "
            "the channel scan."
        )
    if 3.5 <= answer <= 4.5:
        raise AssertionError("The side grows fourfold, the pixels with its square.")
    if answer > 100:
        raise AssertionError(
            "That would be growth with the square of the pixels, as when every pixel looks at "
            "every other. Here pixels look at twenty words, or are scanned."
        )
    raise AssertionError("How many times as many pixels are there, and what is kept for each?")

"""Checks of the exercises on diffusion (notebook 12): numbers against the package's own."""

from __future__ import annotations

from collections.abc import Callable

import torch

from hmnet_lite.models.diffews.fusion import Together, fuse
from hmnet_lite.models.diffews.masks import margin
from hmnet_lite.workbook.exercises.parts import call, exercise


@exercise
def noisy(function: Callable) -> str:
    """Noise at one time: (clean, noise, kept) → √kept · clean + √(1 − kept) · noise."""
    generator = torch.Generator().manual_seed(0)
    clean, noise = torch.randn(2, 4, 3, 3, generator=generator)
    kept = torch.tensor(0.36)
    given = torch.as_tensor(call(function, clean, noise, kept))
    expected = 0.6 * clean + 0.8 * noise
    if given.shape == expected.shape and torch.allclose(given, expected, atol=1e-5):
        return "The squares of the two weights sum to one: what varies by one goes on doing so."
    if given.shape == expected.shape:
        if torch.allclose(given, 0.36 * clean + 0.64 * noise, atol=1e-5):
            raise AssertionError(
                "Weighed so, the sum varies less than its parts: 0.36² + 0.64² is 0.54. The "
                "weights are square roots."
            )
        if torch.allclose(given, 0.8 * clean + 0.6 * noise, atol=1e-5):
            raise AssertionError("`kept` is the clean part's share of the variance.")
    raise AssertionError("The sum differs from √kept · clean + √(1 − kept) · noise.")


@exercise
def fused(function: Callable) -> str:
    """A query's output: (q, own k, own v, support k, support v) → (pixels, d), one head."""
    generator = torch.Generator().manual_seed(1)
    q, k, v = (torch.randn(2, 1, 6, 4, generator=generator) for _ in range(3))
    given = torch.as_tensor(call(function, q[0, 0], k[0, 0], v[0, 0], k[1, 0], v[1, 0]))
    expected = fuse(q, k, v, Together(1))[0, 0]
    if given.shape != expected.shape:
        raise AssertionError(
            f"It gives the shape {tuple(given.shape)}; expected one output for each of the "
            f"query's pixels, {tuple(expected.shape)}."
        )
    if torch.allclose(given, expected, atol=1e-5):
        return "One softmax over both: the support has to be louder than the query's own pixels."
    own, other = (torch.softmax(q[0, 0] @ k[i, 0].T / 2, dim=-1) @ v[i, 0] for i in (0, 1))
    if torch.allclose(given, own, atol=1e-5):
        raise AssertionError("That is self-attention; nobody hears the support.")
    if torch.allclose(given, other, atol=1e-5):
        raise AssertionError("That is attention to the support alone; its own keys are missing.")
    if any(torch.allclose(given, share * (own + other), atol=1e-5) for share in (0.5, 1.0)):
        raise AssertionError(
            "You take two softmaxes and add. Put keys and values together first: then the two "
            "compete for one unit of attention."
        )
    raise AssertionError("It differs; is the product divided by √d, with d = 4 here?")


@exercise
def foreground(function: Callable) -> str:
    """Which pixels are found: brightness (h, w) and level → (h, w) bool, relative threshold."""
    light = torch.tensor([[0.02, 0.1, 0.3], [0.05, 0.2, 0.4], [0.0, 0.11, 0.01]])
    given = torch.as_tensor(call(function, light, 0.25))
    expected = margin(light[None], "relative", 0.25)[0] > 0
    if given.shape != expected.shape or given.dtype != torch.bool:
        raise AssertionError(f"Expected a mask of truth values, {tuple(expected.shape)}.")
    if torch.equal(given, expected):
        return "A picture that came out dark has a mask, too."
    if torch.equal(given, light > 0.25):
        raise AssertionError("That is the absolute threshold: of a dark picture little is left.")
    raise AssertionError("The threshold is `level` times the brightest pixel.")

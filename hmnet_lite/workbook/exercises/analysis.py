"""Checks of the exercises on the analysis (notebook 08): loops and scans decide."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch.nn.functional import cosine_similarity, normalize

from hmnet_lite.analysis.attention import implicit_attention
from hmnet_lite.workbook.exercises.parts import call, exercise


@exercise
def mean_cosine(function: Callable) -> str:
    """The mean cosine of all pairs of (n, channels) and (m, channels), without making the pairs."""
    generator = torch.Generator().manual_seed(0)
    query, support = (torch.rand(n, 5, generator=generator) + 0.1 for n in (6, 4))
    query[0] *= 50  # one pixel is loud: a cosine must not notice
    given = float(call(function, query, support))
    expected = float(cosine_similarity(query[:, None], support[None], dim=-1).mean())
    if abs(given - expected) < 1e-5:
        return f"24 pairs, one by one, give {expected:.4f} as well."
    centres = float(cosine_similarity(query.mean(0), support.mean(0), dim=0))
    if abs(given - centres) < 1e-5:
        raise AssertionError(
            "That is the cosine of the two means, in which a loud pixel counts for many. Make "
            "every pixel a unit vector before you average."
        )
    units = (normalize(x, dim=1).mean(0) for x in (query, support))
    if abs(given - float(cosine_similarity(*units, dim=0))) < 1e-5:
        raise AssertionError(
            "Nearly: the means of unit vectors are shorter than 1, and that is part of the answer. "
            "Multiply them as they are."
        )
    raise AssertionError(f"It gives {given:.4f}; all pairs, one by one, give {expected:.4f}.")


@exercise
def readings(function: Callable) -> str:
    """How often a support pixel is in the memory just after reading j: (P, Q, j) → the factor F_j.

    One state entry; a reading keeps P of what it meets and a query patch keeps Q.
    """
    for P, Q in ((0.5, 0.5), (0.9, 0.8), (0.2, 1.0)):
        for j in (1, 2, 3, 6):
            given = float(call(function, P, Q, j))
            expected = _weight_after(P, Q, j)
            if abs(given - expected) < 1e-4:
                continue
            if abs(given - _weight_after(P, Q, j + 1)) < 1e-4:
                raise AssertionError("One reading too many: F_1 = 1, the support was read once.")
            if abs(given - (P * Q) ** (j - 1)) < 1e-4:
                raise AssertionError(
                    "That is what is left of the first reading alone. Every later one adds a 1."
                )
            raise AssertionError(
                f"For P = {P}, Q = {Q} it gives F_{j} = {given:.4f}; the scan gives "
                f"{expected:.4f}. A patch and a recap make of F: P · Q · F + 1."
            )
    return "The scan's own matrix, divided by that of a single reading, has your factor."


def _weight_after(P: float, Q: float, j: int) -> float:
    """From the implicit attention of one channel with one entry: reading j against reading 1."""
    one = torch.ones(1, 1, 1, dtype=torch.float64)

    def scan(steps: int, keep: float):  # A = -1: a step of size Δ keeps exp(-Δ)
        line = one.expand(1, 1, steps)
        delta = -torch.tensor(keep, dtype=torch.float64).log() * line
        return line, delta, -one[0], line[None], line[None], one[0, 0]

    found = implicit_attention(scan(1, P), scan(j, Q), segment=1).support[0, 0, :, 0]
    return float(found[j - 1] / found[0])

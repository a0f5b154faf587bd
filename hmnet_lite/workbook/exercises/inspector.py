"""Checks of the exercises on the inspector (notebook 10): the numbers of a look decide."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch

from hmnet_lite.analysis.writers import Written
from hmnet_lite.scoring.metrics import mask_iou
from hmnet_lite.workbook.exercises.parts import Unanswered, call, exercise

POINTS = 15  # of IoU by which a prediction may be off


@exercise
def support_share(function: Callable) -> str:
    """The support's share of every output: (support, query) of a `Written` → (outputs,)."""
    generator = torch.Generator().manual_seed(0)
    support, query = (torch.randn(4, 6, 5, n, generator=generator) for n in (3, 5))
    written = Written(support, query, torch.zeros(6, 5))
    given = torch.as_tensor(call(function, support, query))
    expected = _share(*(x.sum((0, 3)).norm(dim=0) for x in (written.support, written.query)))
    if given.shape != expected.shape:
        raise AssertionError(
            f"It gives the shape {tuple(given.shape)}; expected one number an output, "
            f"{tuple(expected.shape)}: channels disappear in the norm, the rest in sums."
        )
    if torch.allclose(given, expected, atol=1e-5):
        return "Summed first, then measured: writers may cancel, and only what is left is heard."
    loud = _share(*(x.norm(dim=1).sum((0, 2)) for x in (support, query)))
    if torch.allclose(given, loud, atol=1e-5):
        raise AssertionError(
            "You measure every contribution and then add the sizes. Two that cancel are not heard "
            "at all: add over directions and pixels first, then take the norm over channels."
        )
    one = _share(*(x[0].sum(-1).norm(dim=0) for x in (support, query)))
    if torch.allclose(given, one, atol=1e-5):
        raise AssertionError("That is direction 0 alone; the block adds up all of them.")
    raise AssertionError("The shares differ from those of the sums' norms over channels.")


@exercise
def prediction(
    guess: Mapping[str, float], answers: Mapping[str, Mapping], truth: np.ndarray
) -> str:
    """How many points of IoU each network loses when its mixer is shown nothing.

    Args:
        guess: network to points, 0 to 100; dots where nothing is predicted yet.
        answers: network to the answers of `swapped_supports` for one episode, (1, H, W) each.
        truth: (H, W) of {0, 1, 255}.
    """
    if any(value is ... for value in guess.values()):
        raise Unanswered("there are dots left among the predictions")
    lost = {
        name: 100 * (_iou(own["right"], truth) - _iou(own["none"], truth))
        for name, own in answers.items()
    }
    found = ", ".join(f"{name}: {points:.0f}" for name, points in lost.items())
    for name, points in lost.items():
        if name not in guess:
            raise AssertionError(f"There is no prediction for {name!r}; expected one a network.")
        if abs(float(guess[name]) - points) > POINTS:
            way = "less" if points < float(guess[name]) else "more"
            raise AssertionError(
                f"{name!r} loses {way} than {float(guess[name]):.0f} points. Ask by which ways "
                "the support can reach its answer, and which of them the swap closes."
            )
    return f"Lost when the mixer is shown nothing, in points of IoU: {found}."


def _share(support: torch.Tensor, query: torch.Tensor) -> torch.Tensor:
    return support / (support + query)


def _iou(probability: torch.Tensor, truth: np.ndarray) -> float:
    return mask_iou(probability[0].numpy() > 0.5, truth) or 0.0

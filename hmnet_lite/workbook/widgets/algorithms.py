"""The live picture of notebook 02: a scan, step by step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from hmnet_lite.workbook.widgets.parts import jpeg, live_picture


def state_stepper(
    u: np.ndarray, steps: Mapping[str, np.ndarray], A: np.ndarray, *, start: int = 1
) -> Any:
    """Step through the scan of one channel and watch Δ, the decay and the state.

    Controls: how Δ is chosen, and the step.

    Args:
        u: (length,) input; every step writes it with B = 1.
        steps: name to (length,) step sizes Δ.
        A: (state,), negative.
        start: step shown first, 1 to length.
    """
    import ipywidgets
    import torch

    from hmnet_lite.scan.selective import selective_scan
    from hmnet_lite.workbook.figures.algorithms import state_film

    def scan(delta: np.ndarray) -> np.ndarray:
        line = torch.tensor(np.stack([u, delta]), dtype=torch.float64)[:, None, None]
        ones = torch.ones(1, 1, 1, len(u), dtype=torch.float64)
        *_, states = selective_scan(
            line[0].expand(1, len(A), -1), line[1].expand(1, len(A), -1),
            torch.tensor(A, dtype=torch.float64)[:, None], ones, ones, return_states=True,
        )  # fmt: skip
        return states[0, :, :, 0].T.numpy()  # one channel's entries, as channels of one entry each

    states = {name: scan(delta) for name, delta in steps.items()}

    def draw(name: str, step: int) -> bytes:
        return jpeg(state_film(u, steps[name], A, states[name], step=step))

    wide = {"style": {"description_width": "60px"}, "layout": {"width": "520px"}}
    return live_picture(
        draw,
        name=ipywidgets.Dropdown(options=list(steps), description="Δ", **wide),
        step=ipywidgets.IntSlider(value=start, min=1, max=len(u), description="step", **wide),
    )

"""The live picture of notebook 01: sampling rules."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from hmnet_lite.workbook.widgets.parts import jpeg, live_picture


def discretisation_explorer(
    systems: Mapping[str, tuple[np.ndarray, np.ndarray]],
    inflow: Callable[[np.ndarray], np.ndarray],
    steps: Sequence[float],
    *,
    duration: float,
    ylabel: str = "first entry of the state h",
) -> Any:
    """Zero-order hold against Euler and Mamba's mixture of them, for any step.

    Controls: the system and the step Δ.

    Args:
        systems: name to (A, B), (state, state) and (state,).
        inflow: the input at the times of an array; constant within every step of every length.
        steps: the lengths to choose from; each divides `duration`.
        duration: in the unit of time of A.
        ylabel: what the first entry of the state is.
    """
    import ipywidgets

    from hmnet_lite.scan.discretise import discretise, recurrence
    from hmnet_lite.workbook.figures.scan import sampled_curves

    rules = {"ZOH": "zoh", "Euler": "euler", "Mamba (exp, ΔB)": "mamba"}

    def states(system: str, delta: float, rule: str) -> tuple[np.ndarray, np.ndarray]:
        count = round(duration / delta)
        inputs = inflow((np.arange(count) + 0.5) * delta)
        with np.errstate(over="ignore", invalid="ignore"):  # Euler may run away
            values = recurrence(*discretise(*systems[system], delta, rule), inputs)[:, 0]
        return np.arange(count + 1) * delta, values

    def draw(system: str, delta: float) -> bytes:
        time, exact = states(system, min(steps) / 8, "zoh")
        samples = {name: states(system, delta, rule) for name, rule in rules.items()}
        return jpeg(sampled_curves(time, exact, inflow(time), samples, ylabel=ylabel))

    wide = {"style": {"description_width": "70px"}, "layout": {"width": "420px"}}
    return live_picture(
        draw,
        system=ipywidgets.Dropdown(options=list(systems), description="system", **wide),
        delta=ipywidgets.SelectionSlider(
            options=[(f"{delta:g}", delta) for delta in sorted(steps)],
            value=sorted(steps)[len(steps) // 2],
            description="step Δ",
            **wide,
        ),
    )

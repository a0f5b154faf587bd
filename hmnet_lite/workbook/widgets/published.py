"""The live picture of notebook 06: whom the ensemble believes."""

from __future__ import annotations

from typing import Any

import numpy as np

from hmnet_lite.workbook.widgets.parts import jpeg, live_picture


def ensemble_explorer(
    image: np.ndarray, mask: np.ndarray, foreground: np.ndarray, base: np.ndarray
) -> Any:
    """Turn the ensemble's weights and watch whom it believes.

    Controls: the base learner's weight w₁, the background's weight w₀, the style distance ψ̄. The
    style merge is v = (1, 1), so that ψ̄ counts as it is.

    Args:
        image: (H, W, 3) uint8 query. mask: (H, W) of {0, 1, 255}.
        foreground: (H, W) probability of the few-shot answer.
        base: (H, W) probability of any base class.
    """
    import ipywidgets
    import torch

    from hmnet_lite.models.hmnet.base_learner import Ensemble
    from hmnet_lite.workbook.figures.published import evidence_row

    ensemble = Ensemble()
    p = torch.tensor(foreground, dtype=torch.float32)
    logits = torch.stack([1 - p, p]).clamp_min(1e-6).log()[None]  # softmax gives p back
    seen = torch.tensor(base, dtype=torch.float32)[None, None]
    ensemble.style_merge.weight.data.fill_(1)

    def draw(base_weight: float, keep: float, style: float) -> bytes:
        weights = torch.tensor([keep, base_weight]).view(1, 2, 1, 1)
        ensemble.base_merge.weight.data.copy_(weights)
        with torch.no_grad():
            scores = ensemble(logits, torch.full((1, 1), style), seen)[0]
        # both scores are linear in p: this is the p at which they would be equal
        needed = (keep + (keep - 1) * style + base_weight * base) / (1 + keep)
        maps = {
            "few-shot answer": foreground,
            "base learner": base,
            "needed": np.clip(needed, 0, 1),
        }
        answer = (scores[1] > scores[0]).numpy()
        return jpeg(evidence_row(image, mask, maps, answer=answer))

    wide = {"style": {"description_width": "170px"}, "layout": {"width": "520px"}}
    return live_picture(
        draw,
        base_weight=ipywidgets.FloatSlider(
            value=0.0, min=-1, max=1, step=0.05, description="base learner's weight w₁", **wide
        ),
        keep=ipywidgets.FloatSlider(
            value=1.0, min=0.5, max=1.5, step=0.05, description="background's weight w₀", **wide
        ),
        style=ipywidgets.FloatSlider(
            value=0.5, min=0, max=1, step=0.05, description="style distance ψ̄", **wide
        ),
    )

"""What a wrong mask shows: nothing, another object, background, the target badly outlined."""

from __future__ import annotations

import numpy as np

from hmnet_lite.data.episode import IGNORE

ENOUGH = 0.5  # IoU from which a target counts as found
LITTLE = 0.1  # of the target's area: whoever marks less has marked nothing
#: kind to what it means, in the order they are asked
KINDS = {
    "found": "IoU of 0.5 or more",
    "nothing marked": "less than a tenth of the target's area",
    "another object": "more of other objects than of the target",
    "background": "more of the background than of the target",
    "rough": "mostly the target, badly outlined",
}


def kind_of(found: np.ndarray, target: np.ndarray, objects: np.ndarray) -> str:
    """The kind of one answer, a key of `KINDS`; the first that fits.

    Args:
        found: (H, W) bool, what was marked.
        target: (H, W) of {0, 1, 255}; ignored pixels count nowhere.
        objects: (H, W) of {0, 1}: every object, the target among them.
    """
    known = target != IGNORE
    found, truth, other = found & known, target == 1, (objects == 1) & (target == 0)
    hit = (found & truth).sum()
    if hit >= ENOUGH * (found | truth).sum():
        return "found"
    if found.sum() < LITTLE * truth.sum():
        return "nothing marked"
    if (found & other).sum() > hit:
        return "another object"
    return "background" if (found & ~truth & ~other).sum() > hit else "rough"

"""What a wrong mask shows, and what of the picture may be to blame.

It shows nothing, another object, background, or the target badly outlined (`KINDS`). To blame may
be an object that looks more like the support, one that hides the target, or little to see of it
(`CAUSES`); none of them shows that it was.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

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
HIDDEN, SMALL = 0.25, 0.04  # shares: of the target, of the picture
#: what may be to blame, to when it is there, in the order they are asked
CAUSES = {
    "look-alike": "an object of the query is nearer to the support than the target is, by the "
    "cosine of their mean frozen features",
    "hidden": f"others hide more than {HIDDEN:.0%} of the target".replace("%", " %"),
    "small": f"the target fills less than {SMALL:.0%} of the picture".replace("%", " %"),
}


@dataclass(frozen=True)
class Circumstances:
    """What may make one episode hard.

    Attributes:
        lead: cosine of target and support less the highest of another object and the support; in
            [-2, 2], or infinite where there is no other.
        hidden: share of the target that other objects cover, in [0, 1].
        size: share of the picture that shows the target, in [0, 1].
    """

    lead: float
    hidden: float
    size: float

    @property
    def causes(self) -> tuple[str, ...]:
        """Which of `CAUSES` are there."""
        there = self.lead < 0, self.hidden > HIDDEN, self.size < SMALL
        return tuple(cause for cause, is_there in zip(CAUSES, there, strict=True) if is_there)


def circumstances(
    query: Tensor, labels: np.ndarray, support: Tensor, mask: np.ndarray, hidden: float
) -> Circumstances:
    """Those of one episode.

    Args:
        query, support: (channels, h, w) frozen deep features of both pictures.
        labels: (H, W) of the query's objects: 0 background, 1 the target, others above.
        mask: (H, W) of {0, 1, 255}, the support's target.
        hidden: share of the query's target that others cover.
    """
    wanted = _mean(support, mask == 1)
    near = {
        label: F.cosine_similarity(_mean(query, labels == label), wanted, dim=0).item()
        for label in np.unique(labels).tolist()
        if label
    }
    target = near.pop(1)
    lead = target - max(near.values(), default=float("-inf"))
    return Circumstances(lead, hidden, float((labels == 1).mean()))


def _mean(features: Tensor, where: np.ndarray) -> Tensor:
    """(channels, h, w), (H, W) bool → (channels,), each cell by the share that is meant."""
    share = torch.from_numpy(where).to(features.dtype)[None]
    share = F.adaptive_avg_pool2d(share, features.shape[-2:])[0]
    return (features * share).sum((1, 2)) / share.sum()


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

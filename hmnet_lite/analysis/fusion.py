"""Ways in which support information can be fused into the query, in one space: a block's own.

All are computed from what one hybrid block was given, with that block's weights, so that their
results can be compared, averaged and drawn in one basis. What the block itself does not do (an SRM
network read by concatenation, say) is a "what if", and so are the two that know no weights at all:
the prototype and cross attention.
"""

from __future__ import annotations

import torch
from einops import einsum, rearrange
from torch import Tensor

from hmnet_lite.analysis.look import HybridLook
from hmnet_lite.mamba.hybrid import read_support
from hmnet_lite.maps import from_sequences
from hmnet_lite.scan.selective import selective_scan

FUSIONS = (
    "before",
    "prototype",
    "cross attention",
    "concatenation",
    "SRM",
    "QIM",
    "SRM + QIM",
)


@torch.no_grad()
def fusions(seen: HybridLook, support_class: Tensor, *, ratio: int | None = None) -> dict:
    """The query's map before fusion, and after each of `FUSIONS`.

    Args:
        seen: a hybrid block of a `look`.
        support_class: (batch, height, width), the share of the support's cells that the class
            covers, as a `look` gives it.
        ratio: α of SRM and QIM; the block's configured one by default.

    Returns:
        name → (batch, channels, height, width); channels of the block's core, 2 · dim. QIM is
        left out where the block has none.
    """
    ratio = ratio or seen.block.config.recap_ratio
    query, support = seen.record["scan_in_query"], seen.record["scan_in_support"]
    out = {"before": query}
    out["prototype"] = query + class_mean(support, support_class)[..., None, None]
    out["cross attention"] = query + attend(query, support, support_class)
    out["concatenation"] = read(seen, 1)
    out["SRM"] = read(seen, ratio)
    if seen.block.config.qim != "off":
        out["QIM"] = met(seen, ratio)
        out["SRM + QIM"] = out["SRM"] + out["QIM"]
    return out


def class_mean(features: Tensor, share: Tensor) -> Tensor:
    """(batch, channels, h, w) and (batch, h, w) → the mean weighted by the share, (b, channels)."""
    total = einsum(features, share, "b c h w, b h w -> b c")
    return total / share.sum((1, 2)).clamp_min(1e-6)[:, None]


def attend(query: Tensor, support: Tensor, support_class: Tensor) -> Tensor:
    """Cross attention without weights: every query pixel takes a mean of the support's FG.

    softmax(q · s / √channels) over support pixels, those without any of the class left out. Shapes
    as in `fusions`; the same is returned.
    """
    q, s = (rearrange(x, "b c h w -> b (h w) c") for x in (query, support))
    scores = q @ s.mT / q.shape[-1] ** 0.5 + support_class.flatten(1)[:, None].log()
    mixed = scores.softmax(-1).nan_to_num() @ s
    return rearrange(mixed, "b (h w) c -> b c h w", h=query.shape[2])


def read(seen: HybridLook, ratio: int) -> Tensor:
    """What the block's scan gives at recap ratio α; 1 is concatenation. (b, 2·dim, h, w)."""
    support, query, patch = seen.scans(ratio)
    _, P, H_S = read_support(*support)
    y = selective_scan(*query, recap=(P, H_S, patch))
    lines = rearrange(y, "b (k c) l -> b k c l", k=seen.block.ssm.directions)
    return sum(from_sequences(lines, *seen.size, ratio))


@torch.no_grad()
def met(seen: HybridLook, ratio: int) -> Tensor:
    """What QIM gives at α, (b, 2·dim, h, w): as recorded, or anew for another support state."""
    support, _, _ = seen.scans(ratio)
    _, _, H_S = read_support(*support)
    return seen.block.intercept(seen.record["scan_in_query"], H_S)

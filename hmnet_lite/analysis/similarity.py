"""How alike query features and the support's FG features are, before fusion and after (Fig. 7).

The paper reports "the average cosine similarity between query features and support FG features":
58.0 % before fusion, 46.0 % after cross Mamba by concatenation, 59.0 % with QIM, and takes the last
as a sign that query pixels have taken up more of the support. It does not say where in the block
the features are taken, so here are both places: at the core (`stages`: what the scan is given and
what it gives) and around the whole block (`around`: gate, projection, residual and MLP included).
Query FG and BG are told apart: a fusion that helps to *segment* raises FG above BG, and the mean
over all query pixels cannot say whether it did.

What a mean cosine rewards most is a part that all pixels have in common, whatever it means:
`centred` takes it out. The controls know nothing and are fused by no network: see `controls`.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from einops import einsum, rearrange
from torch import Tensor

from hmnet_lite.analysis.fusion import class_mean, met
from hmnet_lite.analysis.look import HybridLook, Look

PARTS = ("all", "FG", "BG")


def mean_cosine(query: Tensor, share: Tensor, support: Tensor, support_share: Tensor) -> Tensor:
    """The mean cosine of all pairs (query pixel, support pixel), weighted by both shares.

    A mean over pairs of cosines is the product of the means of the unit vectors: exact, no pairs.

    Args:
        query, support: (batch, channels, height, width).
        share, support_share: (batch, height, width), weights of the pixels, ≥ 0.

    Returns:
        (batch,), in [-1, 1]; nan where a share is zero everywhere.
    """
    means = []
    for features, weight in ((query, share), (support, support_share)):
        total = einsum(F.normalize(features, dim=1), weight, "b c h w, b h w -> b c")
        means.append(total / weight.sum((1, 2))[:, None])
    return (means[0] * means[1]).sum(1)


@torch.no_grad()
def similarity(features: dict[str, Tensor], support: Tensor, seen: Look) -> dict[str, Tensor]:
    """`mean_cosine` of each of several query maps with the support's FG.

    Args:
        features: name → (batch, channels, height, width), as `stages` or `fusions` give.
        support: (batch, channels, height, width), what they are compared with.
        seen: the look they come from, for its masks.

    Returns:
        name → (batch, 3): query pixels of `PARTS`; those that nobody labelled count in "all" alone.
    """
    shares = (torch.ones_like(seen.query_class), seen.query_class, seen.query_other)
    return {
        name: torch.stack(
            [mean_cosine(x, share, support, seen.support_class) for share in shares], dim=1
        )
        for name, x in features.items()
    }


def stages(hybrid: HybridLook) -> dict[str, Tensor]:
    """The query along a hybrid block's core as it ran, (batch, 2 · dim, height, width) each.

    "before" the core; after its scan, "SRM" (recap), "concatenation" (basic) or "self scan" (off);
    where it has QIM also "QIM" alone, and "sum", what the core gives. The last is always that.
    """
    record, config = hybrid.record, hybrid.block.config
    scan = {"recap": "SRM", "basic": "concatenation", "off": "self scan"}[config.srm]
    out = {"before": record["scan_in_query"], scan: record["srm_query"]}
    if config.qim != "off":
        out["QIM"] = met(hybrid, hybrid.block.patch_ratio)
        out["sum"] = out[scan] + out["QIM"]
    return out


def around(hybrid: HybridLook, seen: Look) -> tuple[dict[str, Tensor], Tensor]:
    """The query before and after the whole block, and the support that went into it.

    Returns:
        {"before", "after"} → (batch, dim, height, width), and the support, likewise.
    """
    if hybrid.index:
        before = seen.blocks[hybrid.index - 1].record
        query, support = (rearrange(before[k], "b h w c -> b c h w") for k in ("query", "support"))
    else:
        query, support = seen.network["query_in"], seen.network["support_in"]
    after = rearrange(hybrid.record["query"], "b h w c -> b c h w")
    return {"before": query, "after": after}, support


def centred(features: Tensor) -> Tensor:
    """Unit-length features minus their mean over each map's pixels; (b, c, h, w) to the same."""
    unit = F.normalize(features, dim=1)
    return unit - unit.mean((2, 3), keepdim=True)


def in_common(features: Tensor) -> Tensor:
    """How much alike a map's pixels are: the mean cosine of all their pairs, (batch,) in [0, 1]."""
    return F.normalize(features, dim=1).mean((2, 3)).square().sum(1)


def controls(hybrid: HybridLook, seen: Look, *, seed: int = 0) -> dict[str, Tensor]:
    """Query maps that rise in similarity and know nothing of where the class is.

    "+ mean": to every query pixel the mean FG feature of the support is added, scaled to that
    pixel's length. "noise + mean": likewise, the query replaced by Gaussian noise of its lengths.

    Returns:
        name → (batch, 2 · dim, height, width).
    """
    query, support = hybrid.record["scan_in_query"], hybrid.record["scan_in_support"]
    mean = F.normalize(class_mean(support, seen.support_class), dim=1)[..., None, None]
    length = query.norm(dim=1, keepdim=True)
    noise = torch.randn(query.shape, generator=torch.Generator().manual_seed(seed))
    noise = F.normalize(noise.to(query), dim=1) * length
    return {"+ mean": query + length * mean, "noise + mean": noise + length * mean}

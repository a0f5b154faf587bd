"""Support forgetting: what is left of the support in the state after each patch that is read.

Two measures, on the same states.

**The paper's** (Fig. 5): "the hidden states after scanning each support or query patch", and "the
maximum [cosine] similarity between support pixels and the hidden states". A state and a pixel do
not live in one space: the state of a direction is (channels, state) numbers, a pixel (channels).
The paper does not say how it compares them. We let each support pixel stand for what it alone
would write, B_s Δ_s u_s, which is (channels, state) as well: the state after a support of that one
pixel *is* this vector, so the similarity is 1 just when the memory holds nothing but that pixel.

**Ours**: the scan is linear in its state, so h = h^support + h^query exactly, and the support's
share is ‖h^support‖ / (‖h^support‖ + ‖h^query‖), over all entries, or by channel or state index.

No state inside a patch is ever held: a patch is the affine map h ← Q ⊙ h + w, as a recap is, with w
what it writes into an empty state. So every scan backend will do, and maps of any size.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import torch
from einops import einsum, rearrange
from torch import Tensor

from hmnet_lite.analysis.look import HybridLook, Scan
from hmnet_lite.mamba.hybrid import read_support
from hmnet_lite.scan.selective import selective_scan

By = Literal["direction", "channel", "index"]


@dataclass(frozen=True, eq=False)
class Readings:
    """States after each reading of a patch, split into their writers.

    Channels are those of one direction, and directions have an axis of their own.
    """

    support: Tensor  # h^support, (batch, directions, channels, readings, state)
    query: Tensor  # h^query, likewise
    of_support: Tensor  # (readings,) bool: a support patch was read, not a query patch
    at: Tensor  # (readings,) how many query steps had been read
    written: tuple[Tensor, Tensor]  # the pixels' Δ u and B, (batch, directions, any, pixels)

    @cached_property
    def whole(self) -> Tensor:
        """The states themselves."""
        return self.support + self.query

    def share(self, by: By = "direction") -> Tensor:
        """The support's share of the state, in [0, 1]: by norms over all but `by`.

        Returns:
            (batch, directions, readings); with "channel" or "index" (of the state) one more axis
            before the readings.
        """
        over = {"direction": (2, 4), "channel": (4,), "index": (2,)}[by]
        support, query = (x.norm(dim=over) for x in (self.support, self.query))
        share = support / (support + query).clamp_min(1e-12)
        return share.mT if by == "index" else share

    def max_cosine(self, counted: Tensor | None = None) -> Tensor:
        """The paper's measure: the largest cosine of the state with a pixel's own writing.

        Args:
            counted: (batch, directions, pixels) of bool, which support pixels count, in each
                direction's order; all by default.

        Returns:
            (batch, directions, readings), in [-1, 1].
        """
        drive, B = self.written
        rotated = einsum(self.whole, B, "b k c r n, b k n p -> b k r p c")
        dots = einsum(rotated, drive, "b k r p c, b k c p -> b k r p")
        sizes = drive.norm(dim=2) * B.norm(dim=2)  # of a product of two vectors
        cosine = dots / (self.whole.norm(dim=(2, 4))[..., None] * sizes[:, :, None]).clamp_min(
            1e-12
        )
        if counted is not None:
            cosine = cosine.masked_fill(~counted[:, :, None], -1.0)
        return cosine.amax(-1)


@torch.no_grad()
def read_patches(
    support_scan: Scan, query_scan: Scan, patch: int, *, recap: bool, backend: str = "auto"
) -> Readings:
    """The state after the support, and after each query patch and each further reading of it.

    Args:
        support_scan, query_scan: (u, delta, A, B, C, D) of one or more directions.
        patch: query steps between two looks; it divides the query's length.
        recap: the support is read again before every patch (SRM), not once (concatenation).
        backend: as in `selective_scan`.

    Raises:
        ValueError: the patch does not divide the query, or channels and batch do not agree.
    """
    u, delta, A, B, C, _ = query_scan
    if support_scan[0].shape[:2] != u.shape[:2]:
        raise ValueError(
            f"the support scan is {tuple(support_scan[0].shape)} and the query scan "
            f"{tuple(u.shape)}; batch and channels must agree: take both from one block"
        )
    if patch < 1 or u.shape[-1] % patch:
        raise ValueError(
            f"patch={patch} and the query has {u.shape[-1]} steps; expected a divisor of them"
        )
    batch, directions, patches = len(u), B.shape[1], u.shape[-1] // patch
    _, P, H_S = read_support(*support_scan, backend=backend)
    # all patches at once, each from an empty state: w; and what each keeps: Q
    cut = [rearrange(x, "... (r l) -> r ... l", l=patch).flatten(0, 1) for x in (u, delta, B, C)]
    w = selective_scan(*cut[:2], A, *cut[2:], return_last_state=True, backend=backend)[1]
    Q = torch.exp(cut[1].sum(-1, keepdim=True) * A)
    w, Q = (rearrange(x, "(r b) c n -> r b c n", b=batch) for x in (w, Q))

    support, query = H_S, torch.zeros_like(H_S)
    states, kinds, at = [(support, query)], [True], [0]
    for i in range(patches):
        if recap and i:
            support, query = P * support + H_S, P * query
            states.append((support, query))
            kinds.append(True)
            at.append(i * patch)
        support, query = Q[i] * support, Q[i] * query + w[i]
        states.append((support, query))
        kinds.append(False)
        at.append((i + 1) * patch)
    parts = (torch.stack(x, dim=2) for x in zip(*states, strict=True))
    split = [rearrange(x, "b (k c) r n -> b k c r n", k=directions) for x in parts]
    u_s, delta_s, _, B_s = support_scan[:4]
    drive = rearrange(u_s * delta_s, "b (k c) p -> b k c p", k=directions)
    return Readings(*split, torch.tensor(kinds), torch.tensor(at), (drive, B_s))


def forgetting(seen: HybridLook, ratio: int | None = None, *, looks: int = 4, backend="auto"):
    """`read_patches` of a recorded hybrid block.

    Args:
        seen: a hybrid block of a `look`.
        ratio: α: SRM at this ratio; 1 reads the support once, whole (concatenation). By default
            as the block does.
        looks: without recaps, looks² is how often the query's scan is looked at.

    Raises:
        ValueError: the ratio does not fit the map; looks² does not divide its pixels.
    """
    support, query, patch = seen.scans(ratio)
    recap = (ratio or seen.block.patch_ratio) > 1
    patch = patch if recap else patch // looks**2
    return read_patches(support, query, patch, recap=recap, backend=backend)

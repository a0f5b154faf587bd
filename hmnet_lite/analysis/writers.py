"""Who wrote each output of a hybrid block: every query pixel's sum, taken apart pixel by pixel.

`split.heard` asks for one output; here are all of them at once, as a reader who clicks wants them.
What a pixel has written is followed through the scan like a state of its own, so every weight is
exact, and none is computed twice.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from einops import einsum, rearrange
from torch import Tensor

from hmnet_lite.analysis.attention import intercepted
from hmnet_lite.analysis.look import HybridLook
from hmnet_lite.maps import patch_size, reading_order, resize


@dataclass(frozen=True, eq=False)
class Written:
    """Contributions to every output of one path, for one episode.

    Summed over directions, support pixels and query pixels, plus the skip, they are the path's
    output. Pixels are numbered row by row.
    """

    support: Tensor  # (directions, channels, outputs, support pixels)
    query: Tensor  # (directions, channels, outputs, query pixels)
    skip: Tensor  # D u, (channels, outputs), of all directions

    def output(self) -> Tensor:
        """What all of it adds up to: (channels, outputs)."""
        return self.support.sum((0, 3)) + self.query.sum((0, 3)) + self.skip


@torch.no_grad()
def written_by_srm(seen: HybridLook, episode: int = 0) -> Written:
    """Take the scan of the query apart, recaps included.

    Args:
        seen: a hybrid block of a `look`.
        episode: which of its batch.

    Raises:
        ValueError: the query's map cannot be cut into patches of one size.
    """
    ratio, (height, width) = seen.block.patch_ratio, seen.size
    if height % ratio or width % ratio:
        raise ValueError(
            f"the query map is {height} × {width} and the recap ratio {ratio}; this view of it "
            "needs patches of one size: choose a map whose sides are multiples of the ratio"
        )
    support_scan, query_scan, segment = seen.scans()
    u_s, delta_s, A, B_s = _of(support_scan, episode)[:4]
    u, delta, _, B, C, D = _of(query_scan, episode)
    groups, length = len(B), u.shape[-1]
    per_group = len(u) // groups

    after = delta_s.flip(-1).cumsum(-1).flip(-1) - delta_s  # Σ Δ still to come in one reading
    B, B_s = (x.repeat_interleave(per_group, dim=0) for x in (B, B_s))  # (k c, n, l)
    reading = torch.exp(after[:, None] * A[..., None]) * (delta_s * u_s)[:, None] * B_s
    if seen.block.config.srm == "off":
        reading = torch.zeros_like(reading)
    recap_keep = torch.exp(delta_s.sum(-1)[:, None] * A)[..., None]  # P
    writing = (delta * u)[:, None] * B

    of_support, of_query = torch.zeros_like(reading), torch.zeros_like(writing)
    support = u.new_zeros(length, *u_s.shape)
    query = u.new_zeros(length, *u.shape)
    for t in range(length):
        if t % segment == 0:
            of_support.mul_(recap_keep).add_(reading)
            of_query[..., :t].mul_(recap_keep)
        keep = torch.exp(delta[:, t, None] * A)[..., None]
        of_support.mul_(keep)
        of_query[..., :t].mul_(keep)
        of_query[..., t] = writing[..., t]
        read = C[:, :, t].repeat_interleave(per_group, dim=0)  # (k c, n)
        support[t] = einsum(read, of_support, "c n, c n s -> c s")
        query[t, :, : t + 1] = einsum(read, of_query[..., : t + 1], "c n, c n r -> c r")

    order = reading_order(height, width, ratio)[:groups].to(u.device)
    order_s = reading_order(*seen.support_size())[:groups].to(u.device)
    support, query = (rearrange(x, "t (k c) s -> k c t s", k=groups) for x in (support, query))
    skip = rearrange(D[:, None] * u, "(k c) t -> k c t", k=groups)
    lines = [
        (_place(_place(s, o, 1), o_s, 2), _place(_place(q, o, 1), o, 2), _place(d, o, 1))
        for s, q, d, o, o_s in zip(support, query, skip, order, order_s, strict=True)
    ]
    support, query, skip = (torch.stack(x) for x in zip(*lines, strict=True))
    return Written(support, query, skip.sum(0))


@torch.no_grad()
def written_by_qim(seen: HybridLook, episode: int = 0) -> Written:
    """Take QIM's output apart, brought to full size as the block brings it: a blend of samples.

    Query pixels are those of the small map on which QIM works.

    Raises:
        ValueError: the block has no QIM, or one that meets each direction's state.
    """
    parts = intercepted(seen)
    small = patch_size(*seen.size, seen.block.intercept_ratio)
    support, own, skip = (x[episode] for x in (parts.support, parts.own, parts.skip))

    def enlarge(x: Tensor) -> Tensor:  # (any, small outputs) → (any, outputs); linear
        return resize(x.unflatten(-1, small)[None].contiguous(), *seen.size)[0].flatten(1)

    blend = enlarge(torch.eye(small[0] * small[1], dtype=own.dtype, device=own.device))
    support = torch.stack([enlarge(x.mT) for x in support]).mT  # (c, outputs, s)
    query = blend.T[None] * own[:, None]  # (c, outputs, small pixels)
    return Written(support[None], query[None], enlarge(skip))


def _of(scan: tuple[Tensor, ...], episode: int) -> tuple[Tensor, ...]:
    """One episode of a scan's arguments."""
    u, delta, A, B, C, D = scan
    return u[episode], delta[episode], A, B[episode], C[episode], D


def _place(x: Tensor, order: Tensor, axis: int) -> Tensor:
    """From the order of reading to the order of the map, along one axis."""
    return torch.empty_like(x).index_copy_(axis, order, x)

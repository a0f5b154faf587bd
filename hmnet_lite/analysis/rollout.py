"""Implicit attention through all blocks: which pixels of both pictures reach an output.

**One block, exactly.** For given Δ, A, B and C a block's core is linear in its inputs, so what
every pixel of either map puts into every output of the core is known exactly, shrinking, enlarging,
recaps, all directions, QIM and skip included (`core_map`).

**Through all blocks, approximately.** Blocks are not linear, so their maps cannot be multiplied as
they are. A rollout (Abnar & Zuidema, "Quantifying Attention Flow in Transformers", 2020) multiplies
what is left when four things are let go:

1. a contribution is a vector of channels with signs; only its size counts (`sizes`), so what
   cancels out counts as heard;
2. what goes round the core (the residual) gets a fixed share of every pixel, one half by default,
   whatever its size;
3. gate, projections, norms and MLP work on one pixel and are taken as the identity;
4. so is the 3×3 convolution before the core, though it mixes neighbours: maps are sharper here than
   in the network.

Rows sum to one: a row is a share of attention, no derivative, and no proof of use. Maps are pixels
× pixels for every channel: meant for small maps, 16 × 16 as in HMNet-lite.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from einops import einsum
from torch import Tensor

from hmnet_lite.analysis.attention import implicit_attention
from hmnet_lite.analysis.look import BlockLook, HybridLook
from hmnet_lite.analysis.split import one_direction
from hmnet_lite.maps import patch_size, reading_order, resize


@dataclass(frozen=True, eq=False)
class CoreMap:
    """What each pixel puts into each output of one block's core, (channels, outputs, pixels).

    Pixels are numbered row by row, those of the support first, then the query's. Summed over its
    pixels a row is what the core gives there.
    """

    query: Tensor  # of the query's outputs
    support: Tensor | None  # of the support's outputs; None where nobody computes them


@torch.no_grad()
def core_map(seen: BlockLook, episode: int = 0) -> CoreMap:
    """Take one block's core apart.

    Args:
        seen: a block of a `look`, self or hybrid.
        episode: which of its batch.

    Raises:
        ValueError: the query's map cannot be cut into patches of one size; QIM meets each
            direction's state.
    """
    if isinstance(seen, HybridLook):
        return _hybrid(seen, episode)
    lines = {kind: _of(seen.record.get(f"{kind}_scan"), episode) for kind in ("query", "support")}
    query, support = (line and _scanned(line, seen.size) for line in lines.values())
    silent = torch.zeros_like(query)  # a self block's query hears no support
    own = None if support is None else torch.cat([support, torch.zeros_like(support)], dim=2)
    return CoreMap(torch.cat([silent, query], dim=2), own)


def sizes(contributions: Tensor) -> Tensor:
    """(channels, outputs, pixels) → (outputs, pixels): norms over channels, rows that sum to one.

    A row that nobody has put anything into stays zero.
    """
    norms = contributions.norm(dim=0)
    return norms / norms.sum(1, keepdim=True).clamp_min(1e-30)


@torch.no_grad()
def rollout(blocks: Sequence[BlockLook], episode: int = 0, *, residual: float = 0.5) -> Tensor:
    """From which pixels each query pixel comes, through all of these blocks.

    Args:
        blocks: of a `look`, in order; all of them for the whole mixer.
        episode: which of their batch.
        residual: share of a pixel that goes round each core, in [0, 1]. With one block and 0 the
            result is `sizes` of its `core_map`.

    Returns:
        (query pixels, support pixels + query pixels), ≥ 0, rows sum to one.

    Raises:
        ValueError: no blocks, a share beyond [0, 1], or a map that cannot be cut evenly.
    """
    if not blocks or not 0 <= residual <= 1:
        raise ValueError(
            f"{len(blocks)} blocks and residual={residual}; expected at least one block of a "
            "`look` and a share between 0 and 1"
        )
    so_far: Tensor | None = None  # (support + query pixels)², of the first block's inputs
    for seen in blocks:
        parts = core_map(seen, episode)
        pixels = parts.query.shape[1]
        itself = torch.eye(2 * pixels, dtype=parts.query.dtype, device=parts.query.device)
        rows = itself.clone()  # what no core reads stays what it is
        rows[pixels:] = sizes(parts.query)
        if parts.support is not None:
            rows[:pixels] = sizes(parts.support)
        rows = residual * itself + (1 - residual) * rows
        rows = rows / rows.sum(1, keepdim=True)
        so_far = rows if so_far is None else rows @ so_far
    assert so_far is not None  # there is a block
    return so_far[so_far.shape[0] // 2 :]


def _hybrid(seen: HybridLook, episode: int) -> CoreMap:
    config, (height, width), ratio = seen.block.config, seen.size, seen.block.patch_ratio
    if height % ratio or width % ratio:
        raise ValueError(
            f"the query map is {height} × {width} and the recap ratio {ratio}; this view of it "
            "needs patches of one size: choose a map whose sides are multiples of the ratio"
        )
    small = seen.support_size()
    support_scan, query_scan, patch = seen.scans()
    support_line, query_line = _of(support_scan, episode), _of(query_scan, episode)
    shown = seen.record["scan_in_support"][episode].flatten(1)  # (c, support pixels)
    asked = seen.record["scan_in_query"][episode].flatten(1)
    down = _resizing((height, width), small, shown)  # (small pixels, pixels)

    by_support, query = _crossed(support_line, query_line, small, (height, width), ratio, patch)
    if config.srm == "off":
        by_support = torch.zeros_like(by_support)
    support = einsum(by_support, down, shown, "c o s, s p, c p -> c o p")
    own = None
    if not seen.block.unread:
        # weights, not contributions: the support's own pixels stand behind its small map
        weights = _scanned(support_line, small, weights=True)
        up = _resizing(small, (height, width), shown)
        own = einsum(up, weights, down, shown, "o t, c t s, s p, c p -> c o p")
        own = torch.cat([own, torch.zeros_like(own)], dim=2)
    if config.qim != "off":
        met, itself = _intercepted(seen, episode)
        tiny = patch_size(height, width, seen.block.intercept_ratio)
        up = _resizing(tiny, (height, width), shown)
        shrink = _resizing((height, width), tiny, shown)
        support = support + einsum(up, met, down, shown, "o t, c t s, s p, c p -> c o p")
        query = query + einsum(up, itself, shrink, asked, "o t, c t, t p, c p -> c o p")
    return CoreMap(torch.cat([support, query], dim=2), own)


def _crossed(support_scan, query_scan, small, size, ratio, patch) -> tuple[Tensor, Tensor]:
    """Weights of the small support's pixels, and contributions of the query's, D u included."""
    order = reading_order(*size, ratio).to(query_scan[0].device)
    order_s = reading_order(*small).to(order.device)
    whole: list[Tensor] = []
    for k in range(query_scan[3].shape[1]):
        lines = [one_direction(scan, k) for scan in (support_scan, query_scan)]
        found = implicit_attention(*lines, segment=patch if ratio > 1 else 0)
        u, D = lines[1][0][0], lines[1][5]
        query = found.query[0] * u[:, None] + torch.diag_embed(D[:, None] * u)
        parts = (
            _place(_place(found.support[0], order[k], 1), order_s[k], 2),
            _place(_place(query, order[k], 1), order[k], 2),
        )
        whole = [*parts] if not whole else [x + y for x, y in zip(whole, parts, strict=True)]
    return whole[0], whole[1]


def _scanned(scan, size, *, weights: bool = False) -> Tensor:
    """A map that reads itself: (channels, outputs, pixels), contributions or weights; D included.

    The same as crossing with a support that has written nothing.
    """
    u, delta, A, B, C, D = scan
    nothing = (torch.zeros_like(u[..., :1]), delta[..., :1], A, B[..., :1], C[..., :1], D)
    given = (torch.ones_like(u) if weights else u, delta, A, B, C, D)
    return _crossed(nothing, given, (1, 1), size, 1, u.shape[-1])[1]


def _intercepted(seen: HybridLook, episode: int) -> tuple[Tensor, Tensor]:
    """QIM's weights: of the small support's pixels, and of the pixel itself with its skip."""
    u, delta, A, B, C, D = _of(seen.intercept_scan(), episode)
    line = _of(seen.scans()[0], episode)
    K, small = seen.block.ssm.directions, seen.support_size()
    order = reading_order(*small).to(u.device)
    left = 0  # of one reading: (channels, state, small support pixels), the mean of directions
    for k in range(K):
        _, delta_s, A_s, B_s, *_ = one_direction(line, k)
        after = delta_s.flip(-1).cumsum(-1).flip(-1) - delta_s
        kept = torch.exp(after[0][:, None] * A_s[..., None]) * (delta_s[0][:, None] * B_s[0, 0])
        left = left + _place(kept, order[k], 2) / K
    read = torch.exp(delta[0][..., None] * A[:, None]) * C[0, 0].T  # (c, t, n)
    itself = (B[0, 0] * C[0, 0]).sum(0) * delta[0] + D[:, None]
    return einsum(read, left, "c t n, c n s -> c t s"), itself


def _of(scan, episode: int):
    """One episode of a scan's arguments, which may not have been computed yet, as a batch."""
    if scan is None:
        return None
    u, delta, A, B, C, D = scan() if callable(scan) else scan
    one = slice(episode, episode + 1)
    return u[one], delta[one], A, B[one], C[one], D


def _resizing(size: tuple[int, int], to: tuple[int, int], like: Tensor) -> Tensor:
    """`resize` as a matrix: (pixels after, pixels before)."""
    pixels = torch.eye(size[0] * size[1], dtype=like.dtype, device=like.device)
    return resize(pixels.view(-1, 1, *size), *to).flatten(1).T


def _place(x: Tensor, order: Tensor, axis: int) -> Tensor:
    """From the order of reading to the order of the map, along one axis."""
    return torch.empty_like(x).index_copy_(axis, order, x)

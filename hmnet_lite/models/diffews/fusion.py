"""How a query listens to its supports inside a UNet's self-attention (paper, section 3.2).

Queries and supports run through the same UNet, in one batch: first the queries, then all supports.
Every self-attention layer has then the keys and values of both at hand, of the same depth. No
weight is added: the UNet is the one that was pretrained, its attention hears more.

    q of the query ─┐
    k, v of query ‖ support 1 ‖ … ‖ support K ─► softmax(q kᵀ / √d) v      KV fusion
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from hmnet_lite.record import begin_block, record_block

SHARP = 20.0  # of the first guess: what a cosine of one weighs against one of zero, as a logarithm


@dataclass(frozen=True)
class Together:
    """Who sits together in a batch.

    Attributes:
        shots: supports of each query; the batch is (queries, then their supports in order). 0:
            nobody listens to anybody.
        both: supports hear their query and one another as well (QKV fusion).
        keep: (queries, shots, height, width) in [0, 1]: where a support may be heard; None:
            everywhere.
        sampled: of the supports' keys, as many as one support has are heard, drawn at random.
    """

    shots: int
    both: bool = False
    keep: Tensor | None = None
    sampled: bool = False


class FusedAttention:
    """Attention processor of diffusers: self-attention in which a query hears its supports."""

    def __call__(
        self,
        attn: nn.Module,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        temb: Tensor | None = None,
        together: Together | None = None,
    ) -> Tensor:
        """(queries + supports, pixels, channels) → the same."""
        heard = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        q, k, v = (
            rearrange(x, "b n (m d) -> b m n d", m=attn.heads)
            for x in (attn.to_q(hidden_states), attn.to_k(heard), attn.to_v(heard))
        )
        if together is None or not together.shots or encoder_hidden_states is not None:
            out = F.scaled_dot_product_attention(q, k, v)
        else:
            out = fuse(q, k, v, together)
        out = rearrange(out, "b m n d -> b n (m d)")
        return attn.to_out[1](attn.to_out[0](out))


def fuse(q: Tensor, k: Tensor, v: Tensor, together: Together) -> Tensor:
    """Attention of queries and supports, (queries + supports, heads, pixels, d) each → the same.

    Hands over to a `Recorder`, for each layer: asked (queries, heads, pixels, d) and keys
    (queries, heads, (1 + shots) · pixels, d), the query's own first.

    Raises:
        ValueError: the batch is not queries and `shots` supports for each.
    """
    shots, pixels = together.shots, q.shape[2]
    count, left = divmod(len(q), 1 + shots)
    if left or not count:
        raise ValueError(
            f"{len(q)} pictures in a batch of queries with {shots} supports each; expected a "
            f"multiple of {1 + shots}"
        )

    def joint(x: Tensor) -> Tensor:
        supports = rearrange(x[count:], "(b s) m n d -> b m (s n) d", s=shots)
        return torch.cat([x[:count], supports], dim=2)

    keys, values = joint(k), joint(v)
    begin_block()
    record_block(asked=q[:count], keys=keys)
    if together.both:
        out = F.scaled_dot_product_attention(joint(q), keys, values)
        supports = rearrange(out[:, :, pixels:], "b m (s n) d -> (b s) m n d", s=shots)
        return torch.cat([out[:, :, :pixels], supports])
    seen = None
    if together.keep is not None:
        seen = _seen(together.keep, pixels)
    if together.sampled and shots > 1:
        some = pixels + torch.randperm(shots * pixels, device=q.device)[:pixels]
        some = torch.cat([torch.arange(pixels, device=q.device), some])
        keys, values = keys[:, :, some], values[:, :, some]
        seen = None if seen is None else seen[..., some]
    mine = F.scaled_dot_product_attention(q[:count], keys, values, attn_mask=seen)
    return torch.cat([mine, F.scaled_dot_product_attention(q[count:], k[count:], v[count:])])


def _seen(keep: Tensor, pixels: int) -> Tensor:
    """(queries, shots, h, w) → (queries, 1, 1, (1 + shots) · pixels) bool, the query's own first.

    A layer's map has fewer pixels than `keep`: the pixel of a support that holds most of the
    object is always heard, however small the object is.
    """
    height, width = keep.shape[-2:]
    ratio = math.isqrt(height * width // pixels)
    shares = F.adaptive_avg_pool2d(keep, (height // ratio, width // ratio)).flatten(2)
    seen = shares >= shares.amax(-1, keepdim=True).clamp(max=0.5)
    own = seen.new_ones(len(keep), pixels)
    return torch.cat([own, seen.flatten(1)], dim=1)[:, None, None]


def likeness(query: Tensor, supports: Tensor) -> Tensor:
    """Cosines of a query's pixels with its supports'.

    Args:
        query: latents, or what else pixels are compared by, (batch, channels, h, w).
        supports: the same of the supports, (batch, shots, channels, h, w).

    Returns:
        (batch, shots, query's pixels, support's pixels).
    """
    q, k = F.normalize(query.flatten(2), dim=1), F.normalize(supports.flatten(3), dim=2)
    return torch.einsum("bcq,bscp->bsqp", q, k)


def copied(alike: Tensor, told: Tensor) -> Tensor:
    """A first guess of the mask: KV fusion without a weight.

    Each of the query's pixels copies what is told of the supports' pixels that look like it. Not in
    the paper, whose UNet brings such attention along from its pretraining.

    Args:
        alike: what `likeness` gives.
        told: latents (batch, shots, channels, h, w).

    Returns:
        (batch, channels, h, w).
    """
    weights = torch.softmax(SHARP * rearrange(alike, "b s q p -> b q (s p)"), dim=-1)
    v = rearrange(told, "b s c h w -> b (s h w) c")
    return (weights @ v).mT.unflatten(2, told.shape[-2:])


def literal(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Plain attention, written out: softmax(q kᵀ / √d) v over (…, pixels, d)."""
    return torch.softmax(q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1]), dim=-1) @ v

"""To whom a pixel of the query listens in DiffewS: the attention weights of each layer, as maps.

    with Recorder() as seen:
        model(query, supports, masks)
    own, supports = listening(seen.blocks[0], (7, 9))

Unlike the implicit attention of a scan (`attention.py`), these weights are what the network
computes with. They are positive, and of each head they sum to one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor


def listening(block: Mapping[str, Tensor], pixel: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Attention of one pixel of the first query, mean over heads.

    Args:
        block: what a fused self-attention layer handed over to a `Recorder`.
        pixel: row and column of the layer's map, which is square.

    Returns:
        the query's own map (side, side) and the supports' (shots, side, side). Together they sum
        to 1.

    Raises:
        ValueError: a pixel outside the map.
    """
    asked, keys = block["asked"][0], block["keys"][0]  # (heads, pixels, d)
    side = math.isqrt(asked.shape[1])
    row, column = pixel
    if not (0 <= row < side and 0 <= column < side):
        raise ValueError(f"pixel {pixel}; this layer's map is {side} × {side}")
    q = asked[:, row * side + column, None]
    weights = torch.softmax(q @ keys.mT / math.sqrt(q.shape[-1]), dim=-1).mean((0, 1))
    maps = weights.view(-1, side, side)
    return maps[0], maps[1:]

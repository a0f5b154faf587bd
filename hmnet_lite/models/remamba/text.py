"""The small text encoder: learned grammar words, looked-up nouns, two layers of attention."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hmnet_lite.data.emoji.referring.words import CHANNELS, MOST, Words


class TextEncoder(nn.Module):
    """Tokens to features, and one feature for the whole sentence.

    A token is its grammar word's embedding, its noun's vector through a matrix, and its place. With
    `dim` 64 it has some 0.1 M parameters.

    Args:
        dim: channels.
        depth: layers.
        heads: of the attention.
    """

    def __init__(self, dim: int, depth: int = 2, heads: int = 4):
        super().__init__()
        self.heads = heads
        self.word = nn.Embedding(len(Words().grammar), dim, padding_idx=0)
        self.noun = nn.Linear(CHANNELS, dim, bias=False)
        self.place = nn.Parameter(0.02 * torch.randn(MOST, dim))
        self.layers = nn.ModuleList(_Layer(dim, heads) for _ in range(depth))
        self.norm = nn.LayerNorm(dim)

    def forward(self, numbers: Tensor, vectors: Tensor) -> tuple[Tensor, Tensor]:
        """Encode sentences.

        Args:
            numbers: (batch, tokens) of grammar words, 0 after the end.
            vectors: (batch, tokens, CHANNELS) of nouns, 0 elsewhere.

        Returns:
            tokens (batch, tokens, dim), 0 after the end, and the sentence (batch, dim): their mean.
        """
        there = numbers > 0
        x = self.word(numbers) + self.noun(vectors) + self.place[: numbers.shape[1]]
        for layer in self.layers:
            x = layer(x, there)
        x = self.norm(x) * there[..., None]
        return x, x.sum(1) / there.sum(1, keepdim=True).clamp_min(1)


class _Layer(nn.Module):
    """Pre-norm attention and MLP (Vaswani et al., 2017; Xiong et al., 2020)."""

    def __init__(self, dim: int, heads: int):
        super().__init__()
        self.heads = heads
        self.norm_attend, self.norm_mlp = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.qkv, self.out = nn.Linear(dim, 3 * dim, bias=False), nn.Linear(dim, dim)
        self.mlp = nn.Sequential(nn.Linear(dim, 2 * dim), nn.GELU(), nn.Linear(2 * dim, dim))

    def forward(self, x: Tensor, there: Tensor) -> Tensor:
        """(batch, tokens, dim) → the same; nobody listens where `there` is False."""
        qkv = self.qkv(self.norm_attend(x)).unflatten(-1, (3, self.heads, -1))
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # (batch, heads, tokens, dim / heads)
        heard = F.scaled_dot_product_attention(q, k, v, attn_mask=there[:, None, None])
        x = x + self.out(heard.transpose(1, 2).flatten(2))
        return x + self.mlp(self.norm_mlp(x))

"""How a pixel stands to what the sentence names: ours, not the paper's.

    w_r    = softmax over pixels of s_r · map_r     r: the thing, what it is next to, everything
    q      = (y, x) - Σ w_r (y, x)                  steps from it, and how long they are
             cos(z, Σ w_r z)                        how like it, in looks and in style
             mean of map_r about the pixel          how much of it is here
             each of these less its least over the thing
    out    = P gelu(Q q + S sentence)

"Left of the bus" needs the bus's place at every pixel; "the leftmost cat" needs the least of all
cats' places, "the cat nearest to the bus" the least of their distances, "in the style of the bus"
the bus's style. Scans can carry all that, but have to learn to. The sentence decides which of it
counts. Everything is what
the picture shows, whatever is said.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SHARP = 10.0  # s at the start; maps are cosines
ABOUT = 5  # pixels of the square in which a role is counted


class Relations(nn.Module):
    """What a block adds to its map before it hears the text. At the start it adds nothing.

    Args:
        dim: channels of the map and of the sentence.
    """

    def __init__(self, dim: int):
        super().__init__()
        self.there = nn.Conv2d(dim, 1, 1)
        self.sharp = nn.Parameter(torch.full((3,), math.log(SHARP)))
        self.least = nn.Parameter(torch.tensor(math.log(SHARP)))
        self.looks = nn.Conv2d(dim, dim // 2, 1, bias=False)
        quantities = 4 + 6 * 3
        self.read = nn.Conv2d(2 * quantities, dim, 1)
        self.asked = nn.Linear(dim, dim, bias=False)
        self.out = nn.Conv2d(dim, dim, 1)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, visual: Tensor, sentence: Tensor, read: Tensor, style: Tensor) -> Tensor:
        """What to add.

        Args:
            visual: (batch, dim, h, w).
            sentence: (batch, dim).
            read: (batch, 2, h, w), how much each pixel is the thing, and what the thing is next to.
            style: (batch, styles, h, w), as `Styles` gives it.

        Returns:
            (batch, dim, h, w).
        """
        roles = torch.cat([read, torch.tanh(self.there(visual))], dim=1)
        found = self.weights(roles)
        grid = places_of(roles)
        steps, distance = steps_from(found, grid)
        about = F.avg_pool2d(roles, ABOUT, 1, ABOUT // 2, count_include_pad=False)
        alike = [likeness(found, z) for z in (self.looks(visual), style)]
        quantities = torch.cat([grid, -grid, steps, distance, about, *(1 - a for a in alike)], 1)
        told = torch.cat([quantities, quantities - self.first(roles, quantities)], dim=1)
        hidden = F.gelu(self.read(told) + self.asked(sentence)[..., None, None])
        return self.out(hidden)

    def weights(self, roles: Tensor) -> Tensor:
        """(batch, roles, h, w) → the same, of sum 1 over the pixels."""
        sharp = self.sharp.exp()[:, None]
        return (sharp * roles.flatten(2)).softmax(-1).unflatten(-1, roles.shape[-2:])

    def first(self, roles: Tensor, quantities: Tensor) -> Tensor:
        """The least of each quantity over the pixels of the thing, softly: (batch, q, 1, 1)."""
        thing = self.sharp[0].exp() * roles[:, :1]
        choice = (thing - self.least.exp() * quantities).flatten(2).softmax(-1)
        return (choice * quantities.flatten(2)).sum(-1)[..., None, None]


def steps_from(found: Tensor, grid: Tensor) -> tuple[Tensor, Tensor]:
    """From each role's centre: steps down and across, and how long they are.

    Args:
        found: (batch, roles, h, w), of sum 1 over the pixels.
        grid: (batch, 2, h, w), down and across.

    Returns:
        (batch, 2·roles, h, w) and (batch, roles, h, w), in the grid's units.
    """
    centre = torch.einsum("brhw,bchw->brc", found, grid)
    step = grid[:, None] - centre[..., None, None]
    return step.flatten(1, 2), (step.square().sum(2) + 1e-6).sqrt()


def likeness(found: Tensor, features: Tensor) -> Tensor:
    """(batch, roles, h, w): cosine of each pixel's features and the role's mean ones."""
    mean = torch.einsum("brhw,bchw->brc", found, features)
    unit = F.normalize(features, dim=1, eps=1e-6)
    return torch.einsum("brc,bchw->brhw", F.normalize(mean, dim=-1, eps=1e-6), unit)


def places_of(like: Tensor) -> Tensor:
    """(batch, 2, h, w): down and across, -1 to 1 (words like "leftmost" are about them)."""
    axes = (torch.linspace(-1, 1, n, device=like.device, dtype=like.dtype) for n in like.shape[-2:])
    return torch.stack(torch.meshgrid(*axes, indexing="ij")).expand(len(like), -1, -1, -1)

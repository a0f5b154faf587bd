"""A metric that knows what to overlook: learned once from the base classes, without a gradient.

Two drawings of one thing differ in colour, line and shading, and a frozen backbone reports all of
it. How features of one class scatter around their mean says which directions carry such
differences; measuring distances in units of that scatter plays them down:

    e(f) = unit( W (f / |f| - mean) )          W = (S_within + r I)^(-1/2)

(within-class covariance normalisation, Hatch et al., 2006; the whitening half of Fisher's linear
discriminant). It is fitted to the means of objects of the training scenes, base classes only.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hmnet_lite.scan.precision import in_full


class Metric(nn.Module):
    """Frozen embeddings of the backbone's deep maps, one a depth. Untrained, it changes nothing.

    Args:
        parts: channels of each depth in the deep map.
    """

    def __init__(self, parts: Sequence[int]):
        super().__init__()
        self.parts = tuple(parts)
        self.register_buffer("mean", torch.zeros(sum(parts)))
        for i, channels in enumerate(parts):
            self.register_buffer(f"whiten{i}", torch.eye(channels))

    def forward(self, deep: Tensor) -> list[Tensor]:
        """(…, channels, height, width) → one map of unit vectors a depth, (…, part, height, width).

        Computed in full.
        """
        deep = in_full(deep)
        means = self.mean.to(deep.dtype).split(self.parts)
        maps = []
        for i, x in enumerate(deep.split(self.parts, dim=-3)):
            x = F.normalize(x, dim=-3) - means[i][:, None, None]
            x = torch.einsum("...chw,dc->...dhw", x, getattr(self, f"whiten{i}").to(deep.dtype))
            maps.append(F.normalize(x, dim=-3))
        return maps

    @torch.no_grad()
    def fit(self, objects: Tensor, classes: Tensor, *, ridge: float = 1.0) -> None:
        """Learn the scatter within classes.

        Args:
            objects: (objects, channels), the mean deep feature of each object.
            classes: (objects,) class ids; base classes only.
            ridge: r, in units of the scatter's mean variance.

        Raises:
            ValueError: no class has two objects, so nothing scatters.
        """
        kinds, members = classes.unique(return_inverse=True)
        counts = members.bincount()
        if counts.max() < 2:
            raise ValueError(
                f"{len(objects)} objects of {len(kinds)} classes; a scatter within classes needs "
                "at least two objects of one class: give more training scenes"
            )
        objects = objects.double().cpu()
        means, whitens = [], []
        for part in objects.split(self.parts, dim=1):
            x = F.normalize(part, dim=1)
            centres = torch.zeros(len(kinds), x.shape[1], dtype=x.dtype)
            centres = centres.index_add(0, members.cpu(), x) / counts.cpu()[:, None]
            apart = x - centres[members.cpu()]
            scatter = apart.T @ apart / len(x)
            scatter += ridge * scatter.diagonal().mean() * torch.eye(len(scatter))
            values, vectors = torch.linalg.eigh(scatter)
            whitens.append(vectors @ torch.diag(values.rsqrt()) @ vectors.T)
            means.append(x.mean(0))
        self.mean.copy_(torch.cat(means))
        for i, whiten in enumerate(whitens):
            getattr(self, f"whiten{i}").copy_(whiten)


def object_means(deep: Tensor, shares: Tensor) -> Tensor:
    """Mean feature of objects over the cells that are mostly theirs.

    Args:
        deep: (batch, channels, height, width).
        shares: (batch, height, width), the share of each cell that the object covers.

    Returns:
        (batch, channels).
    """
    inside = shares * (shares >= 0.5 * shares.amax((-2, -1), keepdim=True))
    total = torch.einsum("bchw,bhw->bc", deep, inside)
    return total / inside.sum((-2, -1)).clamp_min(1e-6)[:, None]

"""Fused features as colours: three principal components, one basis for all that is compared.

A picture of features has no colours of its own. Panels can be compared only where one colour means
one direction of the feature space throughout, so the basis is fitted once, on all methods and
episodes together, and its signs are fixed: a component points to where its largest weight is
positive, else two runs could paint each other's negative.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from einops import rearrange
from torch import Tensor
from torch.nn.functional import cosine_similarity

from hmnet_lite.analysis.fusion import class_mean

RANGE = (1, 99)  # percentiles of each component that become dark and bright


@dataclass(frozen=True, eq=False)
class Basis:
    """Where features are drawn.

    Attributes:
        mean: (channels,).
        components: (3, channels), orthonormal rows, by falling variance.
        explained: (3,) share of the variance each explains.
        low, high: (3,) the values that become 0 and 1.
    """

    mean: np.ndarray
    components: np.ndarray
    explained: np.ndarray
    low: np.ndarray
    high: np.ndarray

    def project(self, features: Tensor | np.ndarray) -> np.ndarray:
        """(..., channels, height, width) → (..., height, width, 3) components."""
        moved = np.moveaxis(np.asarray(features, np.float64), -3, -1)
        return (moved - self.mean) @ self.components.T

    def colours(self, features: Tensor | np.ndarray) -> np.ndarray:
        """(..., channels, height, width) → (..., height, width, 3) in [0, 1]: red, green, blue."""
        return np.clip((self.project(features) - self.low) / (self.high - self.low), 0, 1)


def fit_basis(maps: Iterable[Tensor], *, components: int = 3) -> Basis:
    """Fit scikit-learn's incremental PCA, one batch of maps after the other.

    Args:
        maps: each (batch, channels, height, width), of the same channels; gone through once.
        components: how many to keep.

    Raises:
        ValueError: no maps, or fewer pixels in one of them than components.
        ImportError: scikit-learn is not installed.
    """
    from sklearn.decomposition import IncrementalPCA

    pca = IncrementalPCA(n_components=components)
    pixels = [rearrange(x.double(), "b c h w -> (b h w) c").cpu().numpy() for x in maps]
    if not pixels or min(map(len, pixels)) < components:
        raise ValueError(f"expected maps of at least {components} pixels each, got none such")
    for x in pixels:
        pca.partial_fit(x)
    axes = pca.components_
    largest = np.abs(axes).argmax(axis=1)
    axes = axes * np.sign(axes[np.arange(len(axes)), largest])[:, None]
    projected = np.concatenate([(x - pca.mean_) @ axes.T for x in pixels])
    low, high = np.percentile(projected, RANGE, axis=0)
    return Basis(pca.mean_, axes, pca.explained_variance_ratio_, low, high)


def to_prototype(features: Tensor, support: Tensor, support_class: Tensor) -> Tensor:
    """Cosine of each query pixel with the support's mean FG feature: (batch, height, width).

    Args:
        features, support: (batch, channels, height, width).
        support_class: (batch, height, width).
    """
    mean = class_mean(support, support_class)[..., None, None]
    return cosine_similarity(features, mean.expand_as(features), dim=1)

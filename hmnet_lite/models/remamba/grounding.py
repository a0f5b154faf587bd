"""From pictures to the space of words: a ridge regression, fitted once, without a gradient.

    G = (f - mean) / std · W          W = argmin |F W - E|² + λ |W|²

F holds the deep features of objects of base classes, E the vectors of their names. A pixel then
has a place among the words, and the cosine between it and a noun says how much the one is the
other: for nouns that were never trained on, too (Frome et al., DeViSE, 2013; Romera-Paredes and
Torr, 2015).

On the classes that it was fitted to, it answers far better than on new ones, and a network that
learns beside it would trust it too much. So there are several: the first knows every base class,
each of the others leaves out a part of them, and training looks through one that does not know the
class that the sentence names.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

PARTS = 6  # base classes are left out in so many parts
RIDGE = 3000.0  # λ; chosen on single drawings of all folds


class Grounding(nn.Module):
    """Frozen regressions from deep features to word vectors. Unfitted, it answers zeros.

    Args:
        features: channels of the deep map.
        channels: of a word's vector.
    """

    def __init__(self, features: int, channels: int):
        super().__init__()
        for name, shape in (("mean", (features,)), ("std", (features,)), ("centre", (channels,)),
                            ("weight", (PARTS + 1, features, channels))):  # fmt: skip
            self.register_buffer(name, torch.zeros(shape))
        self.std.fill_(1)

    def forward(self, deep: Tensor, vectors: Tensor, part: Tensor | None = None) -> Tensor:
        """How much each pixel is each noun.

        Args:
            deep: (batch, features, h, w).
            vectors: (batch, tokens, channels), 0 where a token is no noun.
            part: (batch,) int64, 1 … PARTS: the part of the base classes that is left out; 0: none.

        Returns:
            cosines (batch, tokens, h, w), 0 for what is no noun.
        """
        weight = self.weight[:1] if part is None else self.weight[part]
        x = (deep - self.mean[:, None, None]) / self.std[:, None, None]
        x = F.normalize(torch.einsum("bfhw,bfc->bchw", x, weight.expand(len(x), -1, -1)), dim=1)
        noun = vectors.any(-1, keepdim=True)
        nouns = F.normalize(vectors - self.centre, dim=-1) * noun
        return torch.einsum("bchw,blc->blhw", x, nouns)

    @torch.no_grad()
    def fit(self, objects: Tensor, classes: Tensor, vectors: dict[int, Tensor]) -> None:
        """Learn the regressions.

        Args:
            objects: (objects, features), the mean deep feature of each object.
            classes: (objects,) class ids; base classes only.
            vectors: class id → the vector of its name, (channels,).
        """
        ids = sorted(set(classes.tolist()))
        self.mean.copy_(objects.mean(0))
        self.std.copy_(objects.std(0) + 1e-6)
        self.centre.copy_(torch.stack([vectors[i] for i in ids]).mean(0))
        x = ((objects - self.mean) / self.std).double()
        y = (torch.stack([vectors[i] for i in classes.tolist()]) - self.centre).double()
        # λ counts per object, as if every class had been seen five times
        ridge = RIDGE * len(x) / (5 * len(ids)) * torch.eye(x.shape[1], dtype=x.dtype)
        for part in range(PARTS + 1):
            kept = torch.tensor([not part or left_out(i) != part for i in classes.tolist()])
            gram = x[kept].T @ x[kept] + ridge
            self.weight[part] = torch.linalg.solve(gram, x[kept].T @ y[kept]).float()


def left_out(class_id: int) -> int:
    """The part that a class belongs to, 1 … PARTS."""
    return class_id // 4 % PARTS + 1  # (a fold is every fourth class)

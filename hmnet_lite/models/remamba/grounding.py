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

Some pixels are near to many words, so that every noun finds them (hubs: Dinu et al., 2015). With
`local_scaling` half of a pixel's mean cosine with its nearest words, of a sample of the table, is
taken off (CSLS: Conneau et al., 2018): of a scene's objects, with perfect outlines, the right one
of a class left out is picked 67 times in a hundred instead of 61.

Colours are words of the grammar, few sentences hold any one of them, and a network of a sitting
hardly hears them, though the features tell them plainly: a ridge regression to the shares of the
colours' names picks the right one of an object's rivals nine times in ten. It can stand beside the
nouns' (`ReMamberConfig.colours`).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

PARTS = 6  # base classes are left out in so many parts
RIDGE = 3000.0  # λ; chosen on single drawings of all folds
SCALED_RIDGE = 1000.0  # λ with local scaling, which wants less
COLOUR_RIDGE = 1000.0  # λ of the colours' regression
NEAREST, EVERY = 2, 8  # local scaling looks at so many words, of every so many of the table


class Grounding(nn.Module):
    """Frozen regressions from deep features to word vectors. Unfitted, it answers zeros.

    Args:
        features: channels of the deep map.
        channels: of a word's vector.
        colours: how many colours have names; 0 leaves them out.
        others: (words, channels), words for local scaling; None: none.
    """

    def __init__(self, features: int, channels: int, colours: int = 0,
                 others: Tensor | None = None):  # fmt: skip
        super().__init__()
        self.register_buffer("others", others, persistent=False)
        if colours:
            self.register_buffer("colour", torch.zeros(features, colours))
        for name, shape in (("mean", (features,)), ("std", (features,)), ("centre", (channels,)),
                            ("weight", (PARTS + 1, features, channels))):  # fmt: skip
            self.register_buffer(name, torch.zeros(shape))
        self.std.fill_(1)

    def forward(self, deep: Tensor, vectors: Tensor, part: Tensor | None = None,
                colours: Tensor | None = None) -> Tensor:  # fmt: skip
        """How much each pixel is each noun, or has each colour.

        Args:
            deep: (batch, features, h, w).
            vectors: (batch, tokens, channels), 0 where a token is no noun.
            part: (batch,) int64, 1 … PARTS: the part of the base classes that is left out; 0: none.
            colours: (batch, tokens) int64, 1 … : which colour a token names; 0: none.

        Returns:
            (batch, tokens, h, w): cosines of nouns; of colours, the share of it that an object with
            these features has, less the mean; 0 for what is neither.
        """
        maps = self.nouns(deep, vectors, part)
        if colours is None or not hasattr(self, "colour"):
            return maps
        named = F.pad(self.colour, (1, 0)).T[colours]  # (batch, tokens, features), 0: no colour
        return maps + torch.einsum("bfhw,blf->blhw", self._standard(deep), named)

    def nouns(self, deep: Tensor, vectors: Tensor, part: Tensor | None) -> Tensor:
        """How much each pixel is each noun: (batch, tokens, h, w), 0 where a token is no noun."""
        weight = self.weight[:1] if part is None else self.weight[part]
        x = torch.einsum("bfhw,bfc->bchw", self._standard(deep), weight.expand(len(deep), -1, -1))
        x = F.normalize(x, dim=1)
        noun = vectors.any(-1, keepdim=True)
        nouns = F.normalize(vectors - self.centre, dim=-1) * noun
        maps = torch.einsum("bchw,blc->blhw", x, nouns)
        if self.others is not None:
            others = F.normalize(self.others - self.centre, dim=-1)
            near = torch.einsum("bchw,nc->bnhw", x, others).topk(NEAREST, dim=1).values.mean(1)
            maps = maps - near[:, None] / 2 * noun[..., None]
        return maps

    def _standard(self, deep: Tensor) -> Tensor:
        return (deep - self.mean[:, None, None]) / self.std[:, None, None]

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
        base = RIDGE if self.others is None else SCALED_RIDGE
        ridge = base * len(x) / (5 * len(ids)) * torch.eye(x.shape[1], dtype=x.dtype)
        for part in range(PARTS + 1):
            kept = torch.tensor([not part or left_out(i) != part for i in classes.tolist()])
            gram = x[kept].T @ x[kept] + ridge
            self.weight[part] = torch.linalg.solve(gram, x[kept].T @ y[kept]).float()

    @torch.no_grad()
    def fit_colours(self, objects: Tensor, shares: Tensor) -> None:
        """Learn the colours' regression, after `fit`.

        Args:
            objects: as in `fit`.
            shares: (objects, colours), what share of each object has each colour.
        """
        x = ((objects - self.mean) / self.std).double()
        y = (shares - shares.mean(0)).double()
        gram = x.T @ x + COLOUR_RIDGE * torch.eye(x.shape[1], dtype=x.dtype)
        self.colour.copy_(torch.linalg.solve(gram, x.T @ y).float())


def left_out(class_id: int) -> int:
    """The part that a class belongs to, 1 … PARTS."""
    return class_id // 4 % PARTS + 1  # (a fold is every fourth class)

"""The other grounding: what is known is known by sight, what is new by what it is like and is not.

    e(f) = unit((f / |f| - mean) · A)        A: whitened by the scatter within classes, then the
                                             axes along which classes differ
    map(noun) = max(e · p(noun), e · P_members) - max over other known classes of e · P_c

P_c is the mean of a base class's objects. A noun that names base classes ("cat", "animal") is
looked for by theirs; any noun by p, a ridge regression from names to prototypes: into the space of
pictures, not out of it, which makes fewer hubs (Shigeto et al., 2015). And a pixel that is plainly
a cat is no rooster: what another known class explains is taken off.

With perfect outlines, the object of a class left out is picked among its scene's 81 times in a
hundred; by `Grounding`, from pictures to words, 50 times (base classes of fold 0, 800 scenes that
nothing was fitted to).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from hmnet_lite.data.emoji import tiles
from hmnet_lite.data.emoji.referring.nouns import KINDS, THING, names
from hmnet_lite.data.emoji.referring.words import table
from hmnet_lite.models.remamba.grounding import PARTS, Grounding, left_out

AXES = 48
WITHIN = 0.3  # r: what is added to the scatter within classes, in its mean variance
NAMES = 3.0  # λ of the regression from names, in the mean of their squared lengths
SAME = 0.999  # cosine of vectors that are one word's


class Prototypes(Grounding):
    """In the place of `Grounding`, which says what goes in and out. Unfitted, it answers zeros.

    Args:
        features: channels of the deep map.
        channels: of a word's vector.
        colours: how many colours have names; 0 leaves them out.
    """

    def __init__(self, features: int, channels: int, colours: int = 0):
        super().__init__(features, channels, colours)
        del self.weight
        classes = max(names()) + 1  # by id
        for name, shape in (("origin", (features,)), ("axes", (features, AXES)),
                            ("prototypes", (classes, AXES)),
                            ("guess", (PARTS + 1, channels, AXES))):  # fmt: skip
            self.register_buffer(name, torch.zeros(shape))
        words, members = _members()
        parts = torch.tensor([left_out(i) for i in range(classes)])
        named = torch.zeros(classes, channels)
        for i, known in names().items():
            named[i] = table()[known[0]]
        for name, value in (("words", words), ("members", members), ("part_of", parts),
                            ("named", named)):  # fmt: skip
            self.register_buffer(name, value, persistent=False)

    def nouns(self, deep: Tensor, vectors: Tensor, part: Tensor | None) -> Tensor:
        """How much each pixel is each noun: (batch, tokens, h, w), 0 where a token is no noun."""
        unit = F.normalize(deep, dim=1) - self.origin[:, None, None]
        x = F.normalize(torch.einsum("bfhw,fk->bkhw", unit, self.axes), dim=1)
        near = torch.einsum("bkhw,ck->bchw", x, self.prototypes)
        none = torch.zeros(len(deep), dtype=torch.int64, device=deep.device)
        left = none if part is None else part
        known = self.prototypes.any(1) & (self.part_of != left[:, None])  # (batch, classes)
        maps = torch.zeros(*vectors.shape[:2], *deep.shape[-2:], device=deep.device)
        at, token = vectors.any(-1).nonzero(as_tuple=True)  # few tokens are nouns
        x, near, known, noun = x[at], near[at], known[at], vectors[at, token]
        said = F.normalize(noun, dim=1) @ F.normalize(self.words, dim=1).T > SAME
        member = (said.float() @ self.members > 0) & known
        guessed = torch.einsum("nc,nck->nk", noun - self.centre, self.guess[left[at]])
        own = torch.einsum("nkhw,nk->nhw", x, F.normalize(guessed, dim=1))
        seen = near.masked_fill(~member[..., None, None], -1).amax(1)
        named = F.normalize(self.named - self.centre, dim=1)
        like = (F.normalize(noun - self.centre, dim=1) @ named.T).clamp_min(0)
        other = known * ~member * (1 - like**4)  # "tomcat" is no word of ours, and not ruled out
        rival = (near * other[..., None, None]).amax(1).clamp_min(0)
        maps[at, token] = (torch.maximum(own, seen) - rival).to(maps.dtype)
        return maps * self.prototypes.any()

    @torch.no_grad()
    def fit(self, objects: Tensor, classes: Tensor, vectors: dict[int, Tensor]) -> None:
        """Learn axes, prototypes and the regressions; arguments as `Grounding.fit`'s."""
        self.mean.copy_(objects.mean(0))
        self.std.copy_(objects.std(0) + 1e-6)
        ids, member = classes.unique(return_inverse=True)
        x = F.normalize(objects.double(), dim=1)
        origin, centres = x.mean(0), _means(x, member)
        apart = x - centres[member]
        scatter = apart.T @ apart / len(x)
        scatter += WITHIN * scatter.diagonal().mean() * torch.eye(len(scatter))
        values, axes = torch.linalg.eigh(scatter)
        whiten = axes * values.rsqrt() @ axes.T
        *_, apart = torch.linalg.svd((centres - origin) @ whiten, full_matrices=False)
        axes = whiten @ apart[:AXES].T
        self.origin.copy_(origin)
        self.axes.zero_()
        self.axes[:, : axes.shape[1]] = axes.float()
        found = F.normalize(_means(F.normalize((x - origin) @ axes, dim=1), member), dim=1)
        self.prototypes.zero_()
        self.prototypes[ids, : found.shape[1]] = found.float()
        said = torch.stack([vectors[i] for i in ids.tolist()]).double()
        self.centre.copy_(said.mean(0))
        said = said - said.mean(0)
        for part in range(PARTS + 1):
            kept = torch.tensor([not part or left_out(i) != part for i in ids.tolist()])
            e, p = said[kept], found[kept]
            gram = e @ e.T
            gram += NAMES * gram.diagonal().mean() * torch.eye(len(gram))
            guess = e.T @ torch.linalg.solve(gram, p - p.mean(0))
            self.guess[part, :, : guess.shape[1]] = guess.float()


def _means(x: Tensor, member: Tensor) -> Tensor:
    """(objects, channels) → (classes, channels)."""
    sums = torch.zeros(int(member.max()) + 1, x.shape[1], dtype=x.dtype).index_add(0, member, x)
    return sums / member.bincount()[:, None]


def _members() -> tuple[Tensor, Tensor]:
    """Words of classes and kinds: (words, channels), and whom each names: (words, classes)."""
    known = tiles.classes(tiles.data_folder())
    of = {word: [i] for i, words in names().items() for word in words}
    of |= {
        word: [c["id"] for c in known if c["superclass"] == kind] for kind, word in KINDS.items()
    }
    of[THING] = [c["id"] for c in known]
    of = {word: ids for word, ids in of.items() if word in table()}
    members = torch.zeros(len(of), max(names()) + 1)
    for row, ids in enumerate(of.values()):
        members[row, ids] = 1
    return torch.stack([table()[word] for word in of]), members

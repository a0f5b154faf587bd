"""Reading before seeing: the text encoder learns what sentences mean, without a picture.

Sentences of the grammar, on base classes alone; from each token, whether it names the thing or what
the thing is next to, and from the sentence its relation and rank. The paper's text encoder comes
pretrained as well (CLIP's). A sentence costs a thousandth of an episode here, and in a few seconds
"above the dog, the pig" is about the pig.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hmnet_lite.data.emoji.referring.dataset import held_out
from hmnet_lite.data.emoji.referring.grammar import COLOURS, say
from hmnet_lite.data.emoji.referring.meaning import KINDS, RANKS, RELATIONS, Meaning
from hmnet_lite.data.emoji.referring.nouns import KINDS as NOUNS
from hmnet_lite.data.emoji.referring.nouns import THING, names, plural
from hmnet_lite.data.emoji.referring.words import Words
from hmnet_lite.data.stream import Stream
from hmnet_lite.models.remamba.model import ReMamber

BATCH = 64
RATE = 0.003  # AdamW's at its height
OTHER, NAMES, BESIDE = range(3)  # what a token is to its sentence


def learn_to_read(model: ReMamber, classes: Sequence[int], steps: int, seed: int = 0) -> float:
    """Train a network's text encoder and its `reading`, in place.

    Args:
        model: built with `relations`.
        classes: ids of the classes that may be named.
        steps: of so many sentences each as `BATCH` says; 0 leaves the model alone.
        seed: decides sentences and the heads that are thrown away.

    Returns:
        the share of the last sentences' nouns and colours that were told apart rightly, in [0, 1].

    Raises:
        ValueError: a network without relations, which reads nothing, or fewer steps than none.
    """
    if model.reading is None or steps < 0:
        given = " of a network without relations" if model.reading is None else ""
        raise ValueError(f"reading={steps}{given}; expected 0 or more steps, of one with relations")
    device, dim = model.collect.weight.device, model.config.dim
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        heads = nn.ModuleList(nn.Linear(dim, 1 + len(w)) for w in (RELATIONS, RANKS)).to(device)
    trained = [*model.text.parameters(), *model.reading.parameters(), *heads.parameters()]
    optimiser = torch.optim.AdamW(trained, RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, max(steps, 2))
    stream, words, right = Stream("reading", seed), Words(), 0.0
    for _ in range(steps):
        told = [sentence(stream, classes) for _ in range(BATCH)]
        numbers, vectors, parts, relations, ranks = (x.to(device) for x in _batch(words, told))
        vectors[::2] = 0  # half of the nouns are not told, as in training
        tokens, whole = model.text(numbers, vectors)
        named = parts > OTHER
        said, meant = model.reading(tokens)[named], parts[named] - NAMES
        loss = F.binary_cross_entropy_with_logits(said, F.one_hot(meant, 2).to(said.dtype))
        for head, truth in zip(heads, (relations, ranks), strict=True):
            loss = loss + F.cross_entropy(head(whole), truth)
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(trained, 1.0)
        optimiser.step()
        schedule.step()
        right = float((said.argmax(-1) == meant).float().mean())
    return right


def sentence(stream: Stream, classes: Sequence[int]) -> tuple[str, Meaning]:
    """A sentence that training scenes might hold: none of the pairs kept for compositions."""
    while True:
        noun = stream.choice(classes) if stream.below(6) else stream.choice((None, *NOUNS))
        kind = stream.choice(KINDS) if noun is not None else "rank"
        related, ranked = kind in ("relation", "both"), kind in ("rank", "both")
        meaning = Meaning(
            noun,
            colour=stream.choice(COLOURS) if kind == "colour" else None,
            relation=stream.choice(RELATIONS) if related else None,
            anchor=stream.choice([c for c in classes if c != noun]) if related else None,
            rank=stream.choice(RANKS[:-1] if related else RANKS) if ranked else None,
        )
        words = (meaning.colour, meaning.relation, meaning.rank)
        if not isinstance(noun, int) or not any(word and held_out(noun, word) for word in words):
            return say(meaning, stream), meaning


def token_parts(words: Words, text: str, meaning: Meaning, length: int) -> list[int]:
    """What each token of a sentence is to it, one of OTHER, NAMES, BESIDE; padded to `length`."""
    named = _forms(meaning.noun)
    beside = _forms(meaning.anchor) if meaning.anchor is not None else ()
    parts = [
        NAMES if token in named or token == meaning.colour else BESIDE if token in beside else OTHER
        for token in words.split(text)
    ]
    return parts + [OTHER] * (length - len(parts))


def _forms(noun: int | str | None) -> set[str]:
    """All that a noun may be called, one of it and several."""
    known = (THING,) if noun is None else (NOUNS[noun],) if isinstance(noun, str) else names()[noun]
    return {*known, *(several for one in known if (several := plural(one)))}


def _batch(words: Words, told: Sequence[tuple[str, Meaning]]) -> tuple[Tensor, ...]:
    """Numbers and vectors as `Words` gives them, tokens' parts, relations and ranks (0: none)."""
    numbers, vectors = (
        torch.stack(x) for x in zip(*(words(text) for text, _ in told), strict=True)
    )
    parts = torch.tensor([token_parts(words, *one, numbers.shape[1]) for one in told])
    relations = [1 + RELATIONS.index(m.relation) if m.relation else 0 for _, m in told]
    ranks = [1 + RANKS.index(m.rank) if m.rank else 0 for _, m in told]
    return numbers, vectors, parts, torch.tensor(relations), torch.tensor(ranks)

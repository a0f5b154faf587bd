"""What a sentence says, and which objects of a scene it fits.

A `Meaning` is evaluated on a scene's `Seen` objects: candidates by noun and colour, of these the
ones that stand in the relation to the anchor, of these the one with the rank. Every step knows
three answers, yes, no and unclear (nearly as far left, partly red), and a sentence counts only
where exactly one object fits and none is unclear.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

#: where an object stands to the anchor
RELATIONS = ("left", "right", "above", "below", "nearest", "same style")
#: which one of those that are left
RANKS = ("leftmost", "rightmost", "top", "bottom", "largest", "smallest", "odd style")
PLACE_MARGIN = 0.08  # of the image's side: nearer than that is unclear
SIZE_MARGIN = 1.4  # ratio of areas
#: kinds of sentences, by what decides
KINDS = ("name", "colour", "rank", "relation", "both")


@dataclass(frozen=True)
class Seen:
    """An object as it shows in a scene."""

    label: int  # in the scene's label map
    class_id: int
    kind: str  # its superclass
    style: str
    area: float  # visible pixels, a share of the image
    y: float  # centre of what is visible, shares of the image
    x: float
    colours: tuple[tuple[str, float], ...]  # colour → its share of the visible pixels


@dataclass(frozen=True)
class Meaning:
    """A sentence without its words.

    Attributes:
        noun: a class id, a superclass, or None: any object.
        colour: a colour's name, or None.
        relation: one of `RELATIONS` to the anchor, or None.
        anchor: the class id of one other object, the only one of its class.
        rank: one of `RANKS` among those that are left, or None.
    """

    noun: int | str | None
    colour: str | None = None
    relation: str | None = None
    anchor: int | None = None
    rank: str | None = None

    @property
    def kind(self) -> str:
        """What decides beside the noun, one of `KINDS`."""
        if self.relation:
            return "both" if self.rank or self.colour else "relation"
        if self.rank:
            return "both" if self.colour else "rank"
        return "colour" if self.colour else "name"

    @property
    def without_relation(self) -> Meaning:
        """The same with its relation and rank ignored."""
        return replace(self, relation=None, anchor=None, rank=None)

    @property
    def without_name(self) -> Meaning:
        """The same with its noun ignored: any object."""
        return replace(self, noun=None)


def fits(meaning: Meaning, scene: Sequence[Seen]) -> tuple[list[Seen], list[Seen]]:
    """The objects that a sentence fits, and those of which it is unclear.

    A relation whose anchor is not there, or there twice, fits nothing.
    """
    sure = [thing for thing in scene if _named(meaning.noun, thing)]
    unclear: list[Seen] = []
    if meaning.colour:
        shares = {thing.label: dict(thing.colours).get(meaning.colour, 0) for thing in sure}
        unclear = [thing for thing in sure if 0.15 < shares[thing.label] < 0.5]
        sure = [thing for thing in sure if shares[thing.label] >= 0.5]
    if meaning.relation:
        anchors = [thing for thing in scene if thing.class_id == meaning.anchor]
        if len(anchors) != 1:
            return [], []
        others = [thing for thing in sure if thing is not anchors[0]]
        if meaning.relation == "nearest":
            sure, near = _first(others, lambda t: _distance(t, anchors[0]), PLACE_MARGIN)
            unclear += near
        else:
            answers = [(thing, _stands(thing, meaning.relation, anchors[0])) for thing in others]
            unclear += [thing for thing, answer in answers if answer is None]
            sure = [thing for thing, answer in answers if answer]
    if meaning.rank and not unclear:  # (a rank among unclear ones is unclear anyway)
        sure, unclear = _ranked(meaning.rank, sure, scene)
    return sure, unclear


def names_one(meaning: Meaning, scene: Sequence[Seen]) -> Seen | None:
    """The one object that a sentence names beyond doubt, or None."""
    sure, unclear = fits(meaning, scene)
    return sure[0] if len(sure) == 1 and not unclear else None


def _named(noun: int | str | None, thing: Seen) -> bool:
    return noun is None or noun in (thing.class_id, thing.kind)


def _stands(thing: Seen, relation: str, anchor: Seen) -> bool | None:
    """Whether it does; None: unclear. "Left" is clear where the shift is mostly sideways."""
    if relation == "same style":
        return thing.style == anchor.style
    across, down = thing.x - anchor.x, thing.y - anchor.y
    along, beside = (across, down) if relation in ("left", "right") else (down, across)
    along = -along if relation in ("left", "above") else along
    if along <= -PLACE_MARGIN / 2:
        return False
    return True if along >= PLACE_MARGIN and along >= 0.7 * abs(beside) else None


def _ranked(rank: str, things: list[Seen], scene: Sequence[Seen]) -> tuple[list[Seen], list[Seen]]:
    if len(things) < 2:  # a rank among one says nothing
        return [], []
    if rank == "odd style":
        alone = [t for t in things if sum(o.style == t.style for o in scene) == 1]
        return (alone, []) if len({t.style for t in scene}) == 2 else ([], [])
    if rank in ("largest", "smallest"):
        sign = -1 if rank == "largest" else 1
        order = sorted(things, key=lambda t: sign * t.area)
        clear = max(order[0].area, order[1].area) >= SIZE_MARGIN * min(order[0].area, order[1].area)
        return ([order[0]], []) if clear else ([], order[:2])
    measure = {
        "leftmost": lambda t: t.x, "rightmost": lambda t: -t.x,
        "top": lambda t: t.y, "bottom": lambda t: -t.y,
    }[rank]  # fmt: skip
    return _first(things, measure, PLACE_MARGIN)


def _first(things: list[Seen], measure, margin: float) -> tuple[list[Seen], list[Seen]]:
    """The one with the least measure, or the two that are too near each other to tell."""
    order = sorted(things, key=measure)
    if len(order) > 1 and measure(order[1]) - measure(order[0]) < margin:
        return [], order[:2]
    return order[:1], []


def _distance(a: Seen, b: Seen) -> float:
    return ((a.x - b.x) ** 2 + (a.y - b.y) ** 2) ** 0.5

"""From a meaning to words: templates for every relation, rank and colour, and ways to begin.

A template has slots: {x} is the noun phrase ("cat", "red cat"), {xs} its plural, {a} the anchor.
Sentences that mean the same are drawn at random, so no wording gives the answer away.
"""

from __future__ import annotations

import re
from functools import lru_cache

from hmnet_lite.data.emoji.referring.meaning import Meaning
from hmnet_lite.data.emoji.referring.nouns import KINDS, THING, names, plural
from hmnet_lite.data.stream import Stream

COLOURS = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "brown", "black",
           "white", "grey")  # fmt: skip
OPENINGS = ("", "find ", "segment ", "show me ", "mark ", "where is ")
PLAIN = ("the {x}", "a {x}", "the {x} in the picture", "the only {x}", "the {x} here", "{x}")
_SIDES = {
    "left": ("left of the {a}", "to the left of the {a}", "on the left of the {a}",
             "that is left of the {a}", "with the {a} to its right"),
    "right": ("right of the {a}", "to the right of the {a}", "on the right of the {a}",
              "that is right of the {a}", "with the {a} to its left"),
    "above": ("above the {a}", "over the {a}", "higher than the {a}", "that is above the {a}",
              "with the {a} below it"),
    "below": ("below the {a}", "under the {a}", "lower than the {a}", "that is below the {a}",
              "with the {a} above it"),
    "nearest": ("nearest to the {a}", "closest to the {a}", "next to the {a}", "beside the {a}",
                "that is nearest to the {a}"),
    "same style": ("in the style of the {a}", "drawn like the {a}",
                   "in the same style as the {a}"),
}  # fmt: skip
RELATED = {
    name: (*(f"the {{x}} {side}" for side in sides), f"{sides[0]}, the {{x}}")
    for name, sides in _SIDES.items()
}
_ENDS = {
    "leftmost": ("left", "the leftmost {x}", "the {x} furthest to the left"),
    "rightmost": ("right", "the rightmost {x}", "the {x} furthest to the right"),
    "top": ("top", "the highest {x}", "the topmost {x}"),
    "bottom": ("bottom", "the lowest {x}", "the {x} furthest down"),
}
_SIZES = {"largest": ("largest", "biggest", "larger", "bigger"),
          "smallest": ("smallest", "littlest", "smaller", "littler")}  # fmt: skip
RANKED = {
    name: (*fixed, f"the {{x}} on the {word}", f"the {{x}} at the {word}", f"the {word} {{x}}",
           f"of the {{xs}}, the one on the {word}", f"the one of the {{xs}} at the {word}")
    for name, (word, *fixed) in _ENDS.items()
} | {
    name: (*(f"the {word} {{x}}" for word in words),
           *(f"the {{x}} that is {word}" for word in words),
           *(f"the {word} of the {{xs}}" for word in words), f"of the {{xs}}, the {words[0]}")
    for name, words in _SIZES.items()
} | {
    "odd style": ("the {x} in the other style", "the {x} drawn in another style",
                  "the {x} drawn differently", "the {x} by another artist",
                  "the one of the {xs} in the other style"),
}  # fmt: skip
_FOR_TWO = ("larger", "bigger", "smaller", "littler")  # comparatives choose between two


@lru_cache(maxsize=1)
def templates() -> tuple[str, ...]:
    """Every form a sentence can have, its slots open: openings × templates (× a colour or none)."""
    forms = [*PLAIN, *(t for group in (RELATED, RANKED) for each in group.values() for t in each)]
    forms += [f"{rank} {side}" for ranks in RANKED.values() for rank in ranks
              if rank.endswith("{x}") for sides in _SIDES.values() for side in sides]  # fmt: skip
    return tuple(dict.fromkeys(o + f for f in forms for o in OPENINGS if not o or _opens(f)))


@lru_cache(maxsize=1)
def grammar_words() -> tuple[str, ...]:
    """The words of the templates, sorted: those that are learned, not looked up."""
    text = " ".join([*templates(), *COLOURS, "two", "three"])
    return tuple(sorted(set(re.findall(r"[a-z]+", re.sub(r"\{\w+\}", " ", text)))))


def say(meaning: Meaning, stream: Stream, among: int = 2) -> str:
    """A sentence with this meaning.

    Args:
        meaning: what to say.
        stream: decides the words.
        among: how many objects a rank chooses from; comparatives are for two.
    """
    noun = _noun(meaning.noun, stream)
    several = plural(noun)
    anchor = _noun(meaning.anchor, stream) if meaning.anchor is not None else ""
    colour = f"{meaning.colour} " if meaning.colour else ""
    x = colour + noun
    count = {2: "two ", 3: "three "}.get(among, "") if stream.below(2) else ""
    xs = "" if several is None else count + colour + several
    related = stream.choice(RELATED[meaning.relation]) if meaning.relation else ""
    if meaning.rank:
        forms = [
            form for form in RANKED[meaning.rank]
            if (several or "{xs}" not in form)
            and (among == 2 or not any(word in form for word in _FOR_TWO))
            and (not meaning.relation or form.endswith("{x}"))
        ]  # fmt: skip
        text = stream.choice(forms)
        if meaning.relation:
            text = f"{text} {stream.choice(_SIDES[meaning.relation])}"
    else:
        text = related or stream.choice(PLAIN)
    opening = stream.choice(OPENINGS)
    return (opening if _opens(text) else "") + text.format(x=x, xs=xs, a=anchor)


def _opens(form: str) -> bool:
    """Whether "find" and its like can stand before it."""
    return form.startswith(("the ", "a "))


def _noun(noun: int | str | None, stream: Stream) -> str:
    if noun is None:
        return THING
    if isinstance(noun, str):
        return KINDS[noun]
    name, *others = names()[noun]
    return stream.choice(others) if others and stream.below(3) == 0 else name

"""Every colour of figures and live pictures, and what keeps which in the whole book.

Most are Okabe and Ito's ("Color Universal Design", 2008), which people of all kinds of colour
vision tell apart; nothing is told by colour alone where lines or bars meet. `live.css` writes the
same ones for live pictures (a test compares them).
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import cycle

BLACK, ORANGE, SKY, GREEN = "#000000", "#E69F00", "#56B4E9", "#009E73"
YELLOW, BLUE, VERMILLION, PURPLE = "#F0E442", "#0072B2", "#D55E00", "#CC79A7"
WINE, OLIVE, SAND = "#882255", "#999933", "#DDCC77"  # Tol's ("Colour Schemes", 2021): more names
GREYS = ("#8A8A8A", "#B5B5B5", "#DDDDDD", "#E8E8E8")  # what is not the point: floors, grids, rests
#: for curves without a colour of their own, in this order; neighbours differ in lightness, too
CYCLE = (BLUE, ORANGE, GREEN, SKY, VERMILLION, BLACK, PURPLE)
SIGNED = "PuOr_r"  # purple below zero, white at zero, orange above: for every kind of colour vision

# what the parts of an episode and of an answer are drawn in
SUPPORT, QUERY, OWN, REST = BLUE, ORANGE, YELLOW, "#C8C8C8"  # who writes; the pixel itself
NEGATIVE = "#6A3D9A"  # numbers below zero in live pictures, those above in the query's
QUERY_INK = "#9A6A00"  # the query's, dark enough for letters
FG, BG = GREEN, VERMILLION  # the query's pixels of the thing, and of all else
#: how a prediction is marked, pixel by pixel
HIT, FALSE_ALARM, MISSED = BLUE, VERMILLION, YELLOW
FOUND = "#FF6E00"  # over photographs, as `hmnet segment` writes it
#: pale grounds of boxes: what is not trained, only computed, trained
FROZEN, COMPUTED, TRAINED = "#D9D9D9", "#FBE6C0", "#CFE3F1"

#: what a name speaks of keeps its colour; the first word of these that the name holds counts
KEPT = {
    "untrained": GREYS[0],  # by whatever it would read
    "without Mamba": ORANGE, "HMNet-lite": BLUE, "SRM and QIM": BLUE, "SRM + QIM": BLUE,
    "concatenation": VERMILLION, "cross Mamba": VERMILLION, "self Mamba": SKY,
    "SRM": SKY, "QIM": PURPLE, "prior": GREEN, "attention": BLACK,
    "ReMamber": WINE, "twister": WINE, "scratch": SAND, "DiffewS": OLIVE, "diffews": OLIVE,
    "ZOH": BLUE, "zero-order hold": BLUE, "Euler": VERMILLION, "ΔB": ORANGE,
    "support FG": SUPPORT, "with query BG": BG, "with query FG": QUERY, "earlier query FG": QUERY,
}  # fmt: skip


def colours(names: Iterable[str]) -> dict[str, str]:
    """A colour for each name: its own (`KEPT`), or the next of `CYCLE` that nobody has."""
    names = list(names)
    own = {name: next((c for word, c in KEPT.items() if word in name), None) for name in names}
    free = [colour for colour in CYCLE if colour not in own.values()] or list(CYCLE)
    others = cycle(free)
    return {name: colour or next(others) for name, colour in own.items()}

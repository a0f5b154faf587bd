"""Objects that hardly hide one another, drawn as in Emoji-20i's scenes, and what shows of each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from hmnet_lite.data.emoji import render
from hmnet_lite.data.emoji.referring.meaning import Seen
from hmnet_lite.data.emoji.scene import Thing, Tiles, background
from hmnet_lite.data.stream import Stream

TRIES = 40
HIDDEN = 0.15  # at most this share of an object may be covered by another
#: hue's upper end in degrees → colour; a dark orange is brown
_HUES = ((14, "red"), (42, "orange"), (68, "yellow"), (165, "green"), (255, "blue"),
         (290, "purple"), (340, "pink"), (361, "red"))  # fmt: skip


@dataclass(frozen=True)
class Arranged:
    """Where a scene's objects came to lie; one that found no room is left out."""

    sprites: dict[int, np.ndarray]  # number of the object → its packed drawing, bottom to top
    corners: dict[int, tuple[int, int]]  # → top, left
    labels: np.ndarray  # (side, side) uint8: 0 background, number + 1 of the visible object
    seen: tuple[Seen, ...]


def arrange(things: Sequence[Thing], tiles: Tiles, kind: Callable[[int], str], side: int,
            *key: object) -> Arranged:  # fmt: skip
    """Gives every object its drawing and its place.

    Args:
        things: what to place; the first ones find room more easily.
        kind: class id → superclass.
        side: pixels of the square image.
        key: names the random numbers.
    """
    stream = Stream(*key, "place")
    labels = np.zeros((side, side), np.uint8)
    sprites, corners = {}, {}
    whole: dict[int, int] = {}  # pixels of each object, and of them those that show
    shown: dict[int, int] = {}
    for number, thing in enumerate(things):
        tile = render.recoloured(
            render.pack(tiles[thing.style][thing.class_id]), thing.hue, thing.contrast
        )
        drawn = render.sprite(tile, thing.size, thing.degrees)
        solid = render.solid(drawn)
        for _ in range(TRIES):
            top, left = (stream.below(max(1, side - length)) for length in solid.shape)
            rows, columns, mask_rows, mask_columns = render.overlap(solid.shape, top, left, side)
            part, under = solid[mask_rows, mask_columns], labels[rows, columns]
            lost = np.bincount(under[part], minlength=len(things) + 1)
            if all(shown[i] - lost[i + 1] >= (1 - HIDDEN) * whole[i] for i in whole):
                under[part] = number + 1
                sprites[number], corners[number] = drawn, (top, left)
                shown = {i: shown[i] - int(lost[i + 1]) for i in whole}
                shown[number] = whole[number] = np.count_nonzero(part)
                break
    seen = tuple(
        _seen(number, things[number], kind, drawn, corners[number], labels)
        for number, drawn in sprites.items()
    )
    return Arranged(sprites, corners, labels, seen)


def draw(things: Sequence[Thing], placed: Arranged, photograph: np.ndarray | None, side: int,
         *key: object) -> np.ndarray:  # fmt: skip
    """The picture, (side, side, 3) uint8 RGB."""
    stream = Stream(*key, "finish")
    canvas = background(photograph, side, Stream(*key, "background"))
    for number, drawn in placed.sprites.items():
        (top, left), (down, right, radius, strength) = placed.corners[number], things[number].shadow
        render.cast_shadow(canvas, drawn, top + down, left + right, radius, strength)
        render.draw(canvas, drawn, top, left)
    if stream.below(2):
        canvas = render.softened(canvas)
    return render.with_noise(canvas, stream, sigma=stream.below(33))


def _seen(number: int, thing: Thing, kind, drawn: np.ndarray, corner: tuple[int, int],
          labels: np.ndarray) -> Seen:  # fmt: skip
    rows, columns = np.nonzero(labels == number + 1)
    side, count = len(labels), len(rows)
    shown = drawn[rows - corner[0], columns - corner[1]]
    return Seen(
        label=number + 1, class_id=thing.class_id, kind=kind(thing.class_id), style=thing.style,
        area=count / side**2,
        y=int(rows.sum()) / (count * side), x=int(columns.sum()) / (count * side),
        colours=colours(render.unpack(shown[None])[0]),
    )  # fmt: skip


def colours(rgba: np.ndarray) -> tuple[tuple[str, float], ...]:
    """(n, 4) premultiplied 0..255 → the share of each colour's name among the pixels."""
    r, g, b, alpha = rgba.astype(np.int64).T
    r, g, b = (x * 255 // np.maximum(alpha, 1) for x in (r, g, b))
    high, low = np.maximum(np.maximum(r, g), b), np.minimum(np.minimum(r, g), b)
    spread = np.maximum(high - low, 1)
    hue = np.where(
        high == r, (g - b) * 60 // spread, np.where(high == g, 120 + (b - r) * 60 // spread,
                                                    240 + (r - g) * 60 // spread),
    ) % 360  # fmt: skip
    grey = (high - low) * 100 < 18 * high
    word = np.empty(len(r), "U6")
    for end, name in reversed(_HUES):
        word[hue < end] = name
    word[(word == "orange") & (high < 160)] = "brown"
    word[grey] = np.where(high[grey] > 205, "white", "grey")
    word[high < 60] = "black"
    known, counts = np.unique(word, return_counts=True)
    return tuple((str(name), int(n) / len(r)) for name, n in zip(known, counts, strict=True))

"""A scene, from what it holds to its pixels and labels: objects find room, then get drawn.

`Scene` says what an image shows; `compose` places and draws it. Masks come from placement, not
from pixels: a pixel belongs to the topmost object that covers at least half of it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hmnet_lite.data.emoji import render
from hmnet_lite.data.stream import Stream

DISTRACTOR_VISIBLE = 0.4  # placement tries to leave this share of every distractor
TRIES = 16
Tiles = dict[str, dict[int, np.ndarray]]
"""Style -> class id -> (128, 128, 4) uint8 premultiplied drawing."""


@dataclass(frozen=True)
class Thing:
    """One drawn object."""

    class_id: int
    style: str
    size: int  # longest side before turning, pixels
    degrees: int
    hue: int  # degrees
    contrast: int  # 256 leaves it
    shadow: tuple[int, int, int, int]  # down, right, blur radius (pixels), strength (of 256)


@dataclass(frozen=True)
class Scene:
    """What an image will show, before anything is placed or drawn."""

    target: Thing
    below: tuple[Thing, ...]  # distractors that the target may hide
    above: tuple[Thing, ...]  # distractors that may hide the target
    photograph: int | None  # None: a procedural background
    hidden: float  # at most this share of the target is hidden
    key: tuple[object, ...]  # names its random numbers: the same key, the same image

    @property
    def things(self) -> tuple[Thing, ...]:
        """Every object, bottom to top."""
        return (*self.below, self.target, *self.above)


@dataclass(frozen=True)
class LabelledScene:
    """A picture and the classes of the objects in it."""

    image: np.ndarray  # (H, W, 3) uint8 RGB
    labels: np.ndarray  # (H, W) uint8: 0 background, otherwise an object's label (below 15)
    objects: tuple[tuple[int, int, str], ...]  # label, class id, style


@dataclass(frozen=True)
class Arrangement:
    """Where a scene's objects came to lie."""

    sprites: list[np.ndarray]  # packed drawings, in the order of Scene.things
    order: list[int]  # their indices, bottom to top
    corners: dict[int, tuple[int, int]]  # index -> top, left
    labels: np.ndarray  # (H, W) uint8: 0 background, 1 the target, 2... the distractors


def compose(
    scene: Scene, tiles: Tiles, photographs: tuple[np.ndarray, ...], side: int
) -> tuple[np.ndarray, np.ndarray]:
    """Draws a scene.

    Args:
        side: pixels of the square image.

    Returns:
        The image, (side, side, 3) uint8 RGB, and its labels as in `Arrangement`.
    """
    stream = Stream(*scene.key, "finish")
    photograph = None if scene.photograph is None else photographs[scene.photograph]
    canvas = background(photograph, side, Stream(*scene.key, "background"))
    placed = arrange(scene, tiles, side)
    for i in placed.order:
        (top, left), drawn = placed.corners[i], placed.sprites[i]
        down, right, radius, strength = scene.things[i].shadow
        render.cast_shadow(canvas, drawn, top + down, left + right, radius, strength)
        render.draw(canvas, drawn, top, left)
    if stream.below(2):
        canvas = render.softened(canvas)
    return render.with_noise(canvas, stream, sigma=stream.below(33)), placed.labels


def arrange(scene: Scene, tiles: Tiles, side: int) -> Arrangement:
    """Gives every object of a scene its drawing and its place."""
    sprites = []
    for thing in scene.things:
        tile = render.pack(tiles[thing.style][thing.class_id])
        tile = render.recoloured(tile, thing.hue, thing.contrast)
        sprites.append(render.sprite(tile, thing.size, thing.degrees))
    placed = place(sprites, len(scene.below), scene.hidden, side, Stream(*scene.key, "place"))
    return Arrangement(sprites, *placed)


def background(photograph: np.ndarray | None, side: int, stream: Stream) -> np.ndarray:
    """A random window of a photograph or procedural noise, washed with a grey; packed."""
    if photograph is None:
        canvas = render.blobs(stream, side)
    else:
        rgba = np.concatenate([photograph, np.full_like(photograph[..., :1], 255)], 2)
        length = stream.between(len(rgba) // 2, len(rgba))
        top, left = stream.below(len(rgba) - length + 1), stream.below(len(rgba) - length + 1)
        mirrored = rgba[:, ::-1] if stream.below(2) else rgba
        canvas = render.stretched(render.pack(mirrored), (top, length), (left, length), side)
    keep, grey = 255 - stream.below(80), stream.below(256)
    wash = render.LANES * np.uint64((255 - keep) * grey // 255)
    return (render.scaled(canvas, np.uint64(keep)) + wash) | np.uint64(255 << 48)


def place(
    sprites: list[np.ndarray], target: int, hidden: float, side: int, stream: Stream
) -> tuple[list[int], dict[int, tuple[int, int]], np.ndarray]:
    """Finds room for the sprites, bottom to top, so that each stays visible enough.

    The target lies inside the image and at most the share `hidden` of it gets covered. Distractors
    may stick out a little; placement tries to leave 40 % of each. One that would still hide too
    much of the target moves under everything else.

    Returns:
        The order to draw them in, their top left corners, and (side, side) uint8 labels of the
        visible object at each pixel: 0 none, 1 the target, 2... the others.
    """
    masks = [render.solid(drawn) for drawn in sprites]
    full = np.array([0] + [np.count_nonzero(mask) for mask in masks])
    need = np.array([0.0] + [DISTRACTOR_VISIBLE] * len(sprites))
    need[target + 1] = 1 - hidden
    owner = np.zeros((side, side), np.uint8)  # 0 nobody, else sprite number + 1
    shown = np.zeros(len(sprites) + 1, np.int64)
    order: list[int] = []
    corners: dict[int, tuple[int, int]] = {}
    for i, mask in enumerate(masks):
        best = None
        for _ in range(TRIES):
            out = [0 if i == target else length // 8 for length in mask.shape]
            top, left = (
                stream.between(-o, max(-o, side - length + o))
                for o, length in zip(out, mask.shape, strict=True)
            )
            rows, columns, mask_rows, mask_columns = render.overlap(mask.shape, top, left, side)
            under = owner[rows, columns]
            visible = mask[mask_rows, mask_columns]
            lost = np.bincount(under[visible], minlength=len(full))
            left_over = (shown - lost) / np.maximum(full, 1) - need
            left_over[0] = 0
            left_over = np.where(shown > 0, left_over, 0)
            safe = left_over[target + 1] >= 0
            worst = left_over.min()
            if best is None or (safe, worst) > best[0]:
                best = (safe, worst), (top, left), (rows, columns, visible)
            if worst >= 0:
                break
        (safe, _), corners[i], (rows, columns, visible) = best
        if not safe:
            visible = visible & (owner[rows, columns] == 0)
        order.insert(len(order) if safe else 0, i)
        owner[rows, columns][visible] = i + 1
        shown = np.bincount(owner.ravel(), minlength=len(full))
    rename = np.array([0, *[1 if i == target else i + 2 for i in range(len(sprites))]], np.uint8)
    return order, corners, rename[owner]

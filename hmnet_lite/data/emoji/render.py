"""Composes scenes with integers only, so that a scene has the same bytes on every machine.

A pixel is one uint64 holding four 16-bit lanes, red, green, blue and alpha, each 0..255 and
premultiplied by alpha. A lane has room for a product with an 8-bit weight, so one multiplication
works on four channels at once: as fast as floating point, and exact. No operation here depends on
the order of a sum, on the maths library, or on the processor.
"""

from __future__ import annotations

import math
import statistics
from functools import cache

import numpy as np

from hmnet_lite.data.stream import Stream

LANES = np.uint64(0x0001_0001_0001_0001)  # times n: n in every lane
LOW = np.uint64(0x00FF_00FF_00FF_00FF)  # the low byte of every lane
TILE_SIDE = 124  # a drawing's longest side in its 128 px tile


# -------------------------------------------------------------------------------------- lanes


def pack(rgba: np.ndarray) -> np.ndarray:
    """(H, W, 4) integers 0..255 -> (H, W) packed."""
    return np.ascontiguousarray(rgba, "<u2").view("<u8")[..., 0].astype(np.uint64, copy=False)


def unpack(packed: np.ndarray) -> np.ndarray:
    """(H, W) packed -> (H, W, 4) uint16."""
    return np.ascontiguousarray(packed, "<u8").view("<u2").reshape(*packed.shape, 4)


def scaled(packed: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Every lane times weight / 255, rounded; weight is (H, W) or one number, uint64 0..255."""
    product = packed * weight + LANES * np.uint64(128)
    return ((product + ((product >> np.uint64(8)) & LOW)) >> np.uint64(8)) & LOW


def halved(packed: np.ndarray) -> np.ndarray:
    """(H, W) -> (H // 2, W // 2): the mean of 2x2 pixels, rounded."""
    total = packed[::2, ::2] + packed[1::2, ::2] + packed[::2, 1::2] + packed[1::2, 1::2]
    return ((total + LANES * np.uint64(2)) >> np.uint64(2)) & LOW


def softened(packed: np.ndarray) -> np.ndarray:
    """The 3x3 binomial blur of an image, its border repeated."""
    for axis in (0, 1):
        p = np.pad(packed, [(1, 1) if a == axis else (0, 0) for a in (0, 1)], "edge")
        p = p if axis == 0 else p.T
        p = p[:-2] + p[1:-1] + p[1:-1] + p[2:] + LANES * np.uint64(2)
        p = (p >> np.uint64(2)) & LOW
        packed = p if axis == 0 else p.T
    return packed


def stretched(
    texture: np.ndarray, rows: tuple[int, int], columns: tuple[int, int], side: int
) -> np.ndarray:
    """The window rows x columns (first, length) of a packed texture as (side, side), bilinear."""
    for first, length in (rows, columns):
        position = (np.arange(side, dtype=np.int64) * 2 + 1) * length * 128 // side - 128
        position = np.clip(position, 0, (length - 1) * 256 - 1) + first * 256
        cell, weight = position >> 8, position & 255
        weight = weight.astype(np.uint64)[:, None]
        texture = texture[cell] * (np.uint64(256) - weight) + texture[cell + 1] * weight
        # Transposing after each pass makes both passes work on whole rows, which is faster.
        texture = (((texture + LANES * np.uint64(128)) >> np.uint64(8)) & LOW).T
    return np.ascontiguousarray(texture)


# ------------------------------------------------------------------------------------ drawing


def cosine(degrees: int) -> int:
    """cos in units of 1/65536. No multiple of one degree lies near a rounding boundary."""
    return round(math.cos(math.radians(degrees)) * 65536)


def recoloured(packed: np.ndarray, hue: int, contrast: int) -> np.ndarray:
    """Turns the hue by `hue` degrees at constant luma and scales contrast by contrast / 256.

    Both are linear, so they act on premultiplied colours; mid-grey is alpha / 2.
    """
    c, s = cosine(hue), cosine(hue - 90)
    luma = (54, 183, 19)  # Rec. 709, in 1/256
    spin = ((-54, -183, 237), (37, 36, -73), (-201, 183, 18))  # the hueRotate matrix of SVG
    rgba = unpack(packed).astype(np.int64)
    planes = [np.ascontiguousarray(rgba[..., i]) for i in range(3)]
    alpha = np.ascontiguousarray(rgba[..., 3])
    result = np.empty_like(rgba)
    result[..., 3] = alpha
    for i in range(3):
        # Rows of the matrix sum to one, so that greys stay grey.
        row = [luma[j] * 65536 + c * (256 * (i == j) - luma[j]) + s * spin[i][j] for j in range(3)]
        turned = sum(r * plane for r, plane in zip(row, planes, strict=True)) >> 16
        value = (turned * contrast + (256 - contrast) * alpha * 128 + 32768) >> 16
        result[..., i] = np.clip(value, 0, alpha)
    return pack(result)


def sprite(tile: np.ndarray, size: int, degrees: int) -> np.ndarray:
    """A packed tile drawn with its longest side `size` pixels and turned, cropped to what shows.

    Bilinear from the level of detail nearest above the wanted size.
    """
    side = TILE_SIDE
    while 2 * side > 3 * size and side % 2 == 0:
        tile, side = halved(tile), side // 2
    c, s = cosine(degrees), cosine(degrees - 90)
    reach = (size * (c + abs(s)) >> 16) + 2  # the turned square's side
    step_c, step_s = c * side // size, s * side // size
    along = 2 * np.arange(reach, dtype=np.int64) + 1 - reach  # half pixels from the centre
    across = along[:, None]
    middle = (len(tile) << 15) - 32768
    x = ((along * step_c + across * step_s) // 2 + middle) >> 12  # in 1/16 pixel
    y = ((across * step_c - along * step_s) // 2 + middle) >> 12
    last = (len(tile) - 1) * 16 - 1
    x, y = np.clip(x, 0, last), np.clip(y, 0, last)  # a tile's border is transparent
    at = (y >> 4) * len(tile) + (x >> 4)
    fx, fy = (x & 15).astype(np.uint64), (y & 15).astype(np.uint64)
    gx, gy = np.uint64(16) - fx, np.uint64(16) - fy
    flat, below = tile.ravel(), len(tile)
    total = flat[at] * (gx * gy) + flat[at + 1] * (fx * gy)
    total += flat[at + below] * (gx * fy) + flat[at + below + 1] * (fx * fy)
    drawn = ((total + LANES * np.uint64(128)) >> np.uint64(8)) & LOW
    rows, columns = (np.flatnonzero(drawn.any(axis)) for axis in (1, 0))
    return drawn[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def solid(drawn: np.ndarray) -> np.ndarray:
    """(H, W) bool: where a sprite covers at least half of the pixel. Masks are made of this."""
    return drawn >= np.uint64(128 << 48)


def overlap(shape: tuple[int, int], top: int, left: int, side: int) -> tuple[slice, ...]:
    """Rows and columns of a side x side canvas and of a patch placed on it, clipped."""
    y, x = max(top, 0), max(left, 0)
    bottom, right = min(top + shape[0], side), min(left + shape[1], side)
    bottom, right = max(bottom, y), max(right, x)
    return (
        slice(y, bottom),
        slice(x, right),
        slice(y - top, bottom - top),
        slice(x - left, right - left),
    )


def draw(canvas: np.ndarray, drawn: np.ndarray, top: int, left: int) -> None:
    """Lays a sprite over the canvas, in place."""
    rows, columns, patch_rows, patch_columns = overlap(drawn.shape, top, left, len(canvas))
    patch = drawn[patch_rows, patch_columns]
    clear = np.uint64(255) - (patch >> np.uint64(48))
    canvas[rows, columns] = patch + scaled(canvas[rows, columns], clear)


def cast_shadow(
    canvas: np.ndarray, drawn: np.ndarray, top: int, left: int, radius: int, strength: int
) -> None:
    """Darkens the canvas by a sprite's blurred alpha, at most by strength / 256, in place."""
    pad = 2 * radius
    shade = np.pad((drawn >> np.uint64(48)).astype(np.int32), pad)
    for _ in range(2):
        for _ in range(2):  # rows, then columns
            total = np.pad(
                np.cumsum(shade, 0, dtype=np.int32), ((radius + 1, radius), (0, 0)), "edge"
            )
            total[: radius + 1] = 0
            shade = ((total[2 * radius + 1 :] - total[: -2 * radius - 1]) // (2 * radius + 1)).T
    place = overlap(shade.shape, top - pad, left - pad, len(canvas))
    rows, columns, patch_rows, patch_columns = place
    dark = (shade[patch_rows, patch_columns] * strength >> 8).astype(np.uint64)
    opaque = np.uint64(255 << 48)
    canvas[rows, columns] = scaled(canvas[rows, columns], np.uint64(255) - dark) | opaque


# ----------------------------------------------------------------------------- scene finishing


def blobs(stream: Stream, side: int) -> np.ndarray:
    """A procedural background: smooth patches between two colours, some grain, (side, side)."""
    ends = [[stream.below(256) for _ in range(3)] for _ in range(2)]
    spread = stream.between(8, 80)  # how far a patch's colour may leave the line between them
    layers = []
    for cells in (stream.between(3, 8), stream.between(16, 40)):
        rgba = np.full((cells, cells, 4), 255, np.int64)
        mix = stream.bytes(cells * cells * 4, cells).reshape(cells, cells, 4).astype(np.int64)
        for i in range(3):
            line = (ends[0][i] * mix[..., 3] + ends[1][i] * (255 - mix[..., 3])) // 255
            rgba[..., i] = np.clip(line + (mix[..., i] - 128) * spread // 128, 0, 255)
        layer = pack(rgba)
        while 4 * len(layer) <= side:  # doubling and softening tends to a smooth spline
            layer = softened(stretched(layer, (0, len(layer)), (0, len(layer)), 2 * len(layer)))
        layers.append(stretched(layer, (0, len(layer)), (0, len(layer)), side))
    fine = np.uint64(stream.below(64))
    mixed = layers[0] * (np.uint64(256) - fine) + layers[1] * fine
    return (mixed >> np.uint64(8)) & LOW | np.uint64(255 << 48)


@cache
def _bell(sigma: int) -> np.ndarray:
    """(256,) int16: the quantiles of a normal distribution with sigma / 4 grey levels."""
    normal = statistics.NormalDist()
    return np.array([round(normal.inv_cdf((i + 0.5) / 256) * sigma / 4) for i in range(256)], "i2")


def with_noise(canvas: np.ndarray, stream: Stream, sigma: int) -> np.ndarray:
    """A finished canvas as (H, W, 3) uint8 with Gaussian noise of sigma / 4 grey levels."""
    image = unpack(canvas)[..., :3].astype(np.int16)
    if sigma:
        image += _bell(sigma)[stream.bytes(image.size, "noise")].reshape(image.shape)
    return np.clip(image, 0, 255).astype(np.uint8)

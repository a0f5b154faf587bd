"""From a 2-D map to the sequences a scan reads, and back.

A scan reads a line; a picture is a plane. Four traversals (VMamba's cross-scan) let every pixel
be reached from every side:

    0 rows      →  left to right, top to bottom         2 = 0 read backwards
    1 columns   ↓  top to bottom, left to right         3 = 1 read backwards

Hybrid Mamba walks the query patch by patch, so that the support can be recapped in between. With
`ratio` α the map is cut in patches of ⌈height/α⌉ × ⌈width/α⌉; patches and the pixels inside them
follow the same direction (0: both row by row, 1: both column by column). `ratio=1` is the whole
map as one patch. Where the sides are not multiples of α, the map is padded at its lower and right
edge to whole patches. No scan should notice the padding: `inside` says which steps are of the map,
and at the others Δ has to be zero, which keeps the state as it is and writes nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from types import SimpleNamespace
from typing import Final, ParamSpec, TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

DIRECTIONS: Final = 4
_ROWS = "b c (p h) (q w) -> b c (p q h w)"
_COLUMNS = "b c (p h) (q w) -> b c (q p w h)"
P = ParamSpec("P")
T = TypeVar("T")
_made = SimpleNamespace()


def _kept(function: Callable[P, T]) -> Callable[P, T]:
    """What a function of sizes returned once, for good: a captured graph goes on reading it where
    it lies, and to a compiled program it is an attribute that it finds."""

    def made(*given, **named) -> str:
        sizes = (*map(str, given), *(f"{name}={x}" for name, x in named.items()))
        place = " ".join((function.__name__, *sizes))
        if not hasattr(_made, place):
            # or what an evaluation asked for first, training could not use
            with torch.inference_mode(False):
                setattr(_made, place, function(*given, **named))
        return place

    # torch.compiler.assume_constant_result, which would import the whole compiler (see backends)
    made._dynamo_marked_constant = True  # type: ignore[attr-defined]

    @wraps(function)
    def kept(*given: P.args, **named: P.kwargs) -> T:
        return getattr(_made, made(*given, **named))

    return kept


def patch_size(height: int, width: int, ratio: int) -> tuple[int, int]:
    """Height and width of a patch: the map's over α, rounded up.

    Raises:
        ValueError: the ratio is less than 1, or a side is shorter than it.
    """
    if ratio < 1 or min(height, width) < ratio:
        raise ValueError(
            f"a {height} × {width} map cannot be cut with a recap ratio of {ratio}: the ratio must "
            "be at least 1 and no side shorter than it; enlarge the map or lower the ratio"
        )
    return -(-height // ratio), -(-width // ratio)


def to_sequences(x: Tensor, ratio: int = 1) -> Tensor:
    """(batch, channels, height, width) → (batch, directions, channels, length).

    The length is height · width, or more where padding completes the patches (with zeros).

    Raises:
        ValueError: the map is smaller than the ratio.
    """
    height, width = x.shape[-2:]
    h, w = patch_size(height, width, ratio)
    missing = (0, -width % w, 0, -height % h)  # to the right and below
    x = F.pad(x, missing) if any(missing) else x
    rows, columns = (rearrange(x, way, h=h, w=w) for way in (_ROWS, _COLUMNS))
    return torch.stack([rows, columns, rows.flip(-1), columns.flip(-1)], dim=1)


def from_sequences(y: Tensor, height: int, width: int, ratio: int = 1) -> list[Tensor]:
    """Put each direction's outputs back in place; the reverse of `to_sequences`.

    (batch, directions, channels, length) → a map (batch, channels, height, width) a direction, for
    as many directions as there are; padding is dropped.
    """
    h, w = patch_size(height, width, ratio)
    sides = dict(p=-(-height // h), q=-(-width // w), h=h, w=w)
    rows, columns = (" -> ".join(reversed(way.split(" -> "))) for way in (_ROWS, _COLUMNS))
    lines = [y[:, k] if k < 2 else y[:, k].flip(-1) for k in range(y.shape[1])]
    maps = [rearrange(x, (rows, columns)[k % 2], **sides) for k, x in enumerate(lines)]
    return [x[..., :height, :width] for x in maps]


@_kept
def reading_order(height: int, width: int, ratio: int = 1) -> Tensor:
    """Which pixel each direction reads when: (directions, height · width) of row · width + column.

    Padding is left out, so the steps are those of `to_sequences` where `inside`.
    """
    pixel = torch.arange(1, 1 + height * width, device="cpu").view(1, 1, height, width)
    lines = to_sequences(pixel, ratio)[0, :, 0]
    return lines[lines > 0].view(DIRECTIONS, -1) - 1


@_kept
def reading_order_on(
    device: torch.device, directions: int, height: int, width: int, ratio: int = 1
) -> Tensor:
    """`reading_order` of the first directions on a device: the same tensor at every call, so that
    it is copied once and looked at once."""
    return reading_order(height, width, ratio)[:directions].to(device)


def reading_times(order: np.ndarray) -> np.ndarray:
    """(length,) cells in reading order → (length,) the time at which each cell is read, from 0."""
    times = np.empty(len(order), dtype=int)
    times[np.asarray(order)] = np.arange(len(order))
    return times


@_kept
def patch_starts(height: int, width: int, ratio: int = 1) -> Tensor:
    """Where in `reading_order` each patch begins, and the end: (directions, patches + 1)."""
    h, w = patch_size(height, width, ratio)
    pixels = inside(height, width, ratio).unflatten(-1, (-1, h * w)).sum(-1)
    return F.pad(pixels.cumsum(-1), (1, 0))


@_kept
def patch_steps(
    directions: int, height: int, width: int, ratio: int = 1
) -> tuple[tuple[int, ...], ...]:
    """`patch_starts` of the first directions as numbers."""
    return tuple(tuple(line) for line in patch_starts(height, width, ratio)[:directions].tolist())


@_kept
def inside(height: int, width: int, ratio: int = 1) -> Tensor:
    """Which steps of `to_sequences` read a pixel, not padding: (directions, length) of bool."""
    return to_sequences(torch.ones(1, 1, height, width, device="cpu"), ratio)[0, :, 0] > 0


def resize(x: Tensor, height: int, width: int) -> Tensor:
    """Bilinear with aligned corners, the paper's down- and up-sampling. (b, c, h, w) each."""
    if x.shape[-2:] == (height, width):
        return x
    if x.is_cuda:  # there PyTorch's kernel is slow on a channels-last map (1.6 ms on an H100)
        return resize_by_products(x, height, width)
    return F.interpolate(x, (height, width), mode="bilinear", align_corners=True)


def resize_by_products(x: Tensor, height: int, width: int) -> Tensor:
    """`resize` as two matrix products, columns and then rows; channels-last in memory."""
    with torch.autocast(x.device.type, enabled=False):
        pixels = x.permute(0, 2, 3, 1)  # (b, h, w, c), a view of a channels-last map
        pixels = _tents(x.shape[3], width, x.device, x.dtype) @ pixels
        lines = _tents(x.shape[2], height, x.device, x.dtype) @ pixels.flatten(2)
    return lines.unflatten(2, (width, x.shape[1])).permute(0, 3, 1, 2)


@_kept
def _tents(given: int, wanted: int, device: torch.device, dtype: torch.dtype) -> Tensor:
    """(wanted, given): how much of each given pixel is in each wanted one; a tent of one pixel."""
    options = dict(device="cpu", dtype=torch.float64)
    place = torch.linspace(0, given - 1, wanted, **options)
    tents = (1 - (place[:, None] - torch.arange(given, **options)).abs()).clamp_min(0)
    return tents.to(device, dtype)

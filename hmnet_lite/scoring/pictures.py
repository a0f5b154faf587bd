"""Pictures and masks of one's own, from a path, PIL or an array, in bounded memory."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from hmnet_lite.data.episode import IGNORE
from hmnet_lite.data.photos import pictures as files
from hmnet_lite.data.photos.masks import MaskFormat, yes_or_no
from hmnet_lite.data.photos.pictures import reduced, rgb, whole_size

LONGEST = 1600  # pixels that a picture's longer side keeps in memory, for the overlay


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture, shrunk where it is large.

    Attributes:
        image: PIL, RGB, upright, longer side at most `LONGEST`.
        size: (height, width) of the picture itself.
        name: what messages call it.
    """

    image: Image.Image
    size: tuple[int, int]
    name: str

    def fitted(self, side: int) -> np.ndarray:
        """(h, w, 3) uint8 whose longer side is `side`."""
        height, width = self.size
        scale = side / max(height, width)
        size = max(1, round(width * scale)), max(1, round(height * scale))
        return np.asarray(self.image.resize(size, Image.Resampling.BILINEAR))


def read_picture(given: Any, name: str = "picture") -> Picture:
    """A picture from a path, PIL, or an array (H, W, 3) or (H, W), uint8 or floats in [0, 1].

    Raises:
        TypeError: something else.
        ValueError: an array of another shape or range; `BadImage`, one of them, names a file that
            is missing, no picture, cut short, or too large to decode.
    """
    if isinstance(given, Picture):
        return given
    if isinstance(given, (str, os.PathLike)):
        name, size = os.fspath(given), whole_size(given, upright=True)
        array = files.read_picture(given, upright=True)
    else:
        array = rgb(given) if isinstance(given, Image.Image) else _array(given, name)
        size = array.shape[:2]
    return Picture(_shrunk(Image.fromarray(array).convert("RGB")), size, name)


def read_mask(given: Any, size: tuple[int, int], name: str = "mask") -> np.ndarray:
    """(height, width) uint8 of 0, 1 and 255 from a path, PIL or an array; some of it is 1.

    Files and PIL images are read as `MaskFormat` says, very large files at a part of their size,
    as their pictures are. An array holds 0 and 1, False and True, or 0 and 255; beside 1, 255 does
    not count.

    Args:
        given: the mask.
        size: (height, width) of its picture.
        name: what messages call it.

    Raises:
        ValueError: another size, other values, or no foreground; `BadImage`, one of them, where
            a file is at fault.
    """
    if isinstance(given, (str, os.PathLike)):
        name, size = os.fspath(given), reduced(size)
        mask = MaskFormat().read(given, size, upright=True)
    elif isinstance(given, Image.Image):
        mask = yes_or_no(given)
    else:
        mask = _zeros_and_ones(np.asarray(given), name)
    if mask.shape != size:
        raise ValueError(
            f"{name} is {mask.shape[1]} × {mask.shape[0]} pixels (width × height), its picture "
            f"{size[1]} × {size[0]}; expected the same. Mend: draw the mask on the picture itself"
        )
    if not (mask == 1).any():
        raise ValueError(
            f"{name} has no foreground: nothing in it says what to look for. Mend: paint the thing "
            "white on black"
        )
    return mask


def _shrunk(image: Image.Image) -> Image.Image:
    """A copy whose longer side is at most `LONGEST`."""
    scale = LONGEST / max(image.size)
    if scale >= 1:
        return image.copy()
    size = tuple(max(1, round(length * scale)) for length in image.size)
    return image.resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0)


def _array(given: Any, name: str) -> np.ndarray:
    """(H, W, 3) or (H, W) uint8."""
    if hasattr(given, "detach"):
        given = given.detach().cpu().numpy()
    array = np.asarray(given)
    if array.dtype.kind not in "buif":
        raise TypeError(
            f"{name} is a {type(given).__name__}; expected a path, a PIL image or an array "
            "(H, W, 3)"
        )
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (3, 4)):
        raise ValueError(
            f"{name} has shape {array.shape}; expected (height, width, 3). Mend: for a tensor "
            "(3, height, width), x.permute(1, 2, 0)"
        )
    if not array.size:
        raise ValueError(f"{name} has shape {array.shape}: it holds no pixel")
    if array.dtype.kind == "f":
        low, high = array.min(), array.max()
        if not (low >= 0 and high <= 1):  # (NaN is neither)
            raise ValueError(
                f"{name} runs from {low:.3g} to {high:.3g}; expected floats in [0, 1], or uint8"
            )
        array = np.rint(array * 255)
    elif array.dtype != np.uint8 and (array.min() < 0 or array.max() > 255):
        raise ValueError(
            f"{name} is {array.dtype} from {array.min()} to {array.max()}; expected uint8, or "
            "floats in [0, 1]"
        )
    return np.ascontiguousarray(array[..., :3] if array.ndim == 3 else array).astype(np.uint8)


def _zeros_and_ones(array: np.ndarray, name: str) -> np.ndarray:
    if array.ndim != 2:
        raise ValueError(f"{name} has shape {array.shape}; expected (height, width)")
    values = np.unique(array)
    if not np.isin(values, (0, 1, IGNORE)).all():
        raise ValueError(
            f"{name} holds {', '.join(map(str, values[:5].tolist()))}; expected 0 and 1, or 0 and "
            "255. Mend: mask == the class's number"
        )
    if 1 not in values:
        return (array == IGNORE).astype(np.uint8)
    return array.astype(np.uint8)

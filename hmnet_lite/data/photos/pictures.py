"""Pictures from disk: upright, in colours, in bounded memory. A file that cannot be used is named.

Very large pictures (panoramas, scans) are read at a half, a quarter, ... of their size, so that
no more than `LARGE` pixels are worked on; JPEG decoders do that while they decode. Only one such
file is decoded at a time. Every picture of the benchmarks is far smaller and read as it is.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path

import numpy as np
from PIL import Image

PICTURES = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp", ".heic", ".heif")
LARGE = 32_000_000  # pixels: what is larger is read at a power of two of its size
LIMIT = 1_000_000_000  # pixels: what is larger is refused
_ORIENTATION = 0x0112  # EXIF: how the camera was held
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_ON_ITS_SIDE = (5, 6, 7, 8)  # these swap width and height
_opening, _one_large = threading.Lock(), threading.Lock()


class BadImage(ValueError):
    """A picture or mask that cannot be used; the message names the file.

    Attributes:
        path: the file.
        reason: what is wrong with it, and the mend.
    """

    def __init__(self, path: str | os.PathLike[str], reason: str):
        super().__init__(str(path), reason)  # both in args, so that it survives pickling
        self.path, self.reason = Path(path), reason

    def __str__(self) -> str:
        return f"{self.path} {self.reason}"


def read_picture(path: str | os.PathLike[str], *, upright: bool = False) -> np.ndarray:
    """(height, width, 3) uint8 RGB.

    Args:
        path: any format that Pillow reads; HEIC where the package pillow-heif is installed.
        upright: turn it as its EXIF tag says, which is how cameras store a picture taken sideways
            and how every viewer shows it. Benchmarks are read as stored.

    Raises:
        BadImage: no such file, not a picture, cut short, or larger than `LIMIT`.
    """
    return rgb(load(path, upright=upright))


def rgb(image: Image.Image) -> np.ndarray:
    """(height, width, 3) uint8 of a decoded picture in any mode."""
    if image.mode[0] in "IF":  # 16 bits and more: Pillow would clip them to white
        values = np.asarray(image, np.float64)
        values = np.nan_to_num(values, posinf=0, neginf=0)
        top = full_scale(values.max(initial=0))
        grey = (np.clip(values / top, 0, 1) * 255).round().astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=-1)
    return np.asarray(image.convert("RGB"))


def picture_size(path: str | os.PathLike[str], *, upright: bool = False) -> tuple[int, int]:
    """(height, width) that `read_picture` gives, from the file's head, without decoding it."""
    return reduced(whole_size(path, upright=upright))


def whole_size(path: str | os.PathLike[str], *, upright: bool = False) -> tuple[int, int]:
    """(height, width) of the file itself, however large; arguments and errors as above."""
    with _opened(path) as image:
        width, height = image.size
        turned = upright and _orientation(image) in _ON_ITS_SIDE
        return (width, height) if turned else (height, width)


def reduced(size: tuple[int, int]) -> tuple[int, int]:
    """(height, width) at which a picture of this size is read."""
    height, width = (-(-length // reduction(size)) for length in size)
    return height, width


def load(
    path: str | os.PathLike[str], *, upright: bool = False, exact: bool = False
) -> Image.Image:
    """The decoded picture in its own mode, turned and, when very large, reduced.

    Args:
        path, upright: see `read_picture`.
        exact: reduce by leaving pixels out, not by mixing them: for masks.

    Raises:
        BadImage: see `read_picture`.
    """
    with _opened(path) as image:
        factor = reduction(image.size)
        with _one_large if factor > 1 else nullcontext():
            turn = _TURNS.get(_orientation(image)) if upright else None
            size = tuple(-(-length // factor) for length in image.size)
            if factor > 1 and not exact:
                image.draft(image.mode, size)  # JPEG only; nothing elsewhere
            image.load()
            kept, frames = dict(image.info), getattr(image, "n_frames", 1)
            found = image.format
            if image.size != size:
                image = image.resize(
                    size, Image.Resampling.NEAREST if exact else Image.Resampling.BOX
                )
            image = image.copy() if turn is None else image.transpose(turn)
            image.info.update(kept)
            image.info["frames"], image.info["format"] = frames, found
            return image


def reduction(size: tuple[int, int]) -> int:
    """The power of two by which a picture of this size is made smaller: 1 up to `LARGE` pixels."""
    factor = 1
    while size[0] * size[1] > LARGE * factor**2:
        factor *= 2
    return factor


def full_scale(largest: float) -> int:
    """What white is in a picture of this largest value: 1, 255, or all bits of 10, 12, 14, 16."""
    return next((top for top in (1, 255, 1023, 4095, 16383) if largest <= top), 65535)


@contextmanager
def _opened(path: str | os.PathLike[str]) -> Iterator[Image.Image]:
    """The picture, not yet decoded. What its decoder raises becomes `BadImage`."""
    heif = Path(path).suffix.lower() in (".heic", ".heif")
    if heif:
        _register_heif(path)
    try:
        with _opening:  # Pillow's own limit is one for the process, and too low for a panorama
            limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
            try:
                image = Image.open(path)
            finally:
                Image.MAX_IMAGE_PIXELS = limit
        with image:
            width, height = image.size
            if width * height > LIMIT:
                raise BadImage(
                    path,
                    f"has {width * height / 1e6:,.0f} megapixels; expected at most "
                    f"{LIMIT / 1e6:,.0f}. Mend: make it smaller, and its mask with it",
                )
            yield image
    except BadImage:
        raise
    except FileNotFoundError:
        raise BadImage(path, "is not there") from None
    except MemoryError:
        raise BadImage(
            path, "is too large for this machine's memory. Mend: make it smaller, and its mask"
        ) from None
    except Exception as error:  # decoders of damaged files raise whatever they stumble over
        raise BadImage(
            path, f"cannot be read ({error}). Mend: copy or download it again, or take it out"
        ) from error


def _register_heif(path: str | os.PathLike[str]) -> None:
    try:
        from pillow_heif import register_heif_opener
    except ImportError:
        raise BadImage(
            path, "is HEIC, which needs a plugin. Mend: pip install pillow-heif, or save it as JPEG"
        ) from None
    register_heif_opener()


def _orientation(image: Image.Image) -> int:
    """1 to 8 from the EXIF block; 1 where there is none or it cannot be read."""
    if image.format == "TIFF":  # Pillow turns these by itself
        return 1
    value = None
    with suppress(Exception):  # a block that some tool has mangled says nothing
        value = image.getexif().get(_ORIENTATION)
    return value if value in range(1, 9) else 1

"""Mask files, whatever tool wrote them: read for what they show, or refused with the mend.

Two kinds of mask are read, and both become (height, width) uint8:

    class ids   a palette or grey PNG of 0 (background), 1, 2, ... and 255 (ignore), as PASCAL has
    yes or no   one class a picture: 0, 1 the class, 255 ignore, from any of

        black and white   white is the class, in any mode, 1 to 16 bits, or a palette's colours in
                          either order; soft or JPEG edges are cut at half of white (128 of 255)
        0 and a number    the number is the class: 1, 2, 38, 255, 1000, ...
        0, 1 and 255      255 is ignored; so is 255 beside one other id in a colour palette
        a colour on black the colour is the class
        transparency      what is painted (opaque) is the class

Nothing is guessed where two readings are possible: several shades or colours, or transparency that
contradicts black and white, are refused, and the message lists what was found.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

import numpy as np
from PIL import Image
from scipy import ndimage

from hmnet_lite.data.episode import IGNORE
from hmnet_lite.data.photos.pictures import BadImage, full_scale, load

BLACK = 40  # the largest channel of a colour that counts as black beside another colour
GREY = 16  # the largest difference between channels of a colour that counts as grey
FEW = 16  # a soft edge has many shades, class ids are few
_LOSSY = ("JPEG", "MPO", "JPEG2000", "WEBP", "AVIF", "HEIF")
_EXPECTED = "expected black and white (white: the class), or 0 and one other value"
_PAINT = "Mend: paint the class white and everything else black"


class _Unclear(ValueError):
    """Why a mask cannot be read, without its path."""


@dataclass(frozen=True)
class MaskFormat:
    """What a data set's mask files hold.

    Attributes:
        highest: the largest class id; None for masks that say yes or no.
        by_brightness: read as the field reads FSS-1000, a few of whose masks are grey or of
            another size: the class is where brightness is at least 128, resized to the picture.
    """

    highest: int | None = None
    by_brightness: bool = False

    def read(
        self,
        path: str | os.PathLike[str],
        size: tuple[int, int] | None = None,
        *,
        upright: bool = False,
    ) -> np.ndarray:
        """(height, width) uint8: class ids and 255, or 0, 1 and 255 for yes-or-no masks.

        Args:
            path: of the mask.
            size: (height, width) of its picture, which the mask must have; None: any.
            upright: turn it as its own EXIF tag says, as its picture is turned.

        Raises:
            BadImage: no such file, not a picture, of another size, or not one of the masks above.
        """
        image = load(path, upright=upright, exact=True)
        try:
            if self.highest is not None:
                mask = _ids(image, self.highest)
            elif self.by_brightness:
                mask = (np.asarray(image.convert("L")) >= 128).astype(np.uint8)
                mask = mask if mask.any() else yes_or_no(image)  # nothing bright: perhaps 0 and 1
                if size and mask.shape != size:
                    resized = Image.fromarray(mask).resize(size[::-1], Image.Resampling.NEAREST)
                    mask = np.asarray(resized)
            else:
                mask = yes_or_no(image)
        except _Unclear as error:
            raise BadImage(path, str(error)) from None
        if size and mask.shape != tuple(size):
            raise BadImage(path, _another_size(mask.shape, size))
        return mask


def _another_size(mask: tuple[int, int], picture: tuple[int, int]) -> str:
    mend = "draw the mask on the picture itself"
    if mask == picture[::-1]:
        mend = "turn the mask as the picture is shown (its EXIF tag may have turned it)"
    return (
        f"is {mask[0]} × {mask[1]} pixels (height × width), its picture {picture[0]} × "
        f"{picture[1]}; expected the same. Mend: {mend}"
    )


def _ids(image: Image.Image, highest: int) -> np.ndarray:
    if len(image.getbands()) > 1:
        raise _Unclear(
            f"holds colours (mode {image.mode}); expected class ids, a palette or grey PNG of "
            f"0 to {highest} and {IGNORE} (ignore). Mend: replace each colour by its "
            "class's number",
        )
    ids = np.asarray(image)
    strange = np.setdiff1d(ids, [*range(highest + 1), IGNORE])
    if strange.size:
        raise _Unclear(
            f"holds {_some(strange)}; expected class ids 0 to {highest} and {IGNORE} (ignore). "
            "Mend: if it is a colour mask turned grey, replace each shade by its class's number",
        )
    return ids.astype(np.uint8)


def yes_or_no(image: Image.Image) -> np.ndarray:
    """(height, width) uint8 of 0, 1 the class and 255 ignore; see the top of this file.

    Raises:
        ValueError: what it shows is not clear; the message says what it holds, and the mend.
    """
    if image.info.get("frames", 1) > 1:
        raise _Unclear(
            f"holds {image.info['frames']} pictures (pages or frames); expected one. Mend: save "
            "the page that is the mask as a PNG"
        )
    lossy = image.info.get("format", image.format) in _LOSSY
    keyed = "transparency" in image.info and image.mode in ("1", "L", "P", "RGB")
    see_through = keyed or image.mode in ("LA", "La", "PA", "RGBA", "RGBa")
    if see_through:
        rgba = np.asarray(image.convert("RGBA"))
        if _tells(rgba[..., 3]):
            return _by_alpha(rgba)
        if not rgba[..., 3].any() and rgba[..., :3].any():
            raise _Unclear(f"is transparent everywhere; {_EXPECTED}. {_PAINT}, on an opaque ground")
    if image.mode == "P":
        return _by_palette(image)
    if len(image.getbands()) > 1:
        rgb = rgba[..., :3] if see_through else np.asarray(image.convert("RGB"))
        return _by_colour(rgb, lossy)
    if image.mode == "1":
        return np.asarray(image).astype(np.uint8)
    return _by_value(np.asarray(image), lossy)


def _tells(alpha: np.ndarray) -> bool:
    """Whether transparency says anything: some of the picture is shown and some is not."""
    low, high = int(alpha.min()), int(alpha.max())
    return low < high and (low == 0 or low < 128 <= high)


def _by_alpha(rgba: np.ndarray) -> np.ndarray:
    """What is opaque, unless its colours tell another story."""
    shown = _by_value(rgba[..., 3], lossy=False) == 1
    coarse = rgba[..., :3] >> 5  # noise and soft edges do not make another colour
    paints = np.unique(coarse[shown], axis=0)
    if 1 < len(paints) <= FEW:
        raise _Unclear(
            f"is transparent in part and holds {len(paints)} colours elsewhere; expected one "
            f"colour on a transparent ground, or black and white without transparency. {_PAINT}, "
            "on an opaque ground"
        )
    hidden = coarse[~shown]
    if len(paints) == 1 and paints.max() < 4 <= hidden.min(initial=8):
        raise _Unclear(
            "is black where it is opaque and white where it is transparent, which says two "
            f"things; {_EXPECTED}. {_PAINT}, on an opaque ground"
        )
    return shown.astype(np.uint8)


def _by_palette(image: Image.Image) -> np.ndarray:
    """A palette's colours where they are grey; ids where they are a labelling tool's colours."""
    ids = np.asarray(image)
    used, first = np.unique(ids, return_index=True)
    colours = np.asarray(image.convert("RGB")).reshape(-1, 3)[first].astype(int)
    level = colours.max(axis=1)
    if np.ptp(colours, axis=1).max() <= GREY // 2:
        black_or_white = ((level <= GREY) | (level >= 255 - GREY)).all() and np.ptp(level) > 128
        ignoring = used.tolist() == [0, 1, IGNORE]
        if (level == used).all() or (ignoring and not black_or_white):
            return _by_value(ids, lossy=False)
        shades = np.zeros(256, np.uint8)
        shades[used] = level
        return _by_value(shades[ids], lossy=False)
    if used[0] == 0 and (level[0] > BLACK or level[0] > level.min()):
        if len(used) == 2 and level[1] <= BLACK < level[0]:  # a colour on black, black second
            return (ids == 0).astype(np.uint8)
        raise _Unclear(
            f"has a palette in which {_colours(colours)} are used and 0 is not black, so which one "
            f"is the background is not clear; {_EXPECTED}. {_PAINT}"
        )
    classes = used[used > 0]
    if len(classes) > 1 and classes[-1] == IGNORE:
        classes = classes[:-1]
    if len(classes) > 1:
        raise _Unclear(_several(classes))
    mask = (ids > 0).astype(np.uint8)
    if used[-1] == IGNORE != classes[-1:].max(initial=0):
        mask[ids == IGNORE] = IGNORE
    return mask


def _by_colour(rgb: np.ndarray, lossy: bool) -> np.ndarray:
    level = rgb.max(axis=-1)
    if (level - rgb.min(axis=-1)).max() <= GREY:
        return _by_value(level, lossy)
    packed = rgb.astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], np.uint32)
    found, first = np.unique(packed, return_index=True)
    dark = level.reshape(-1)[first] <= BLACK
    if len(found) == 2 and dark.sum() == 1:
        return (packed == found[~dark][0]).astype(np.uint8)
    shown = _colours(rgb.reshape(-1, 3)[first])
    raise _Unclear(f"holds colours; {_EXPECTED}; found {shown}. {_PAINT}")


def _by_value(values: np.ndarray, lossy: bool) -> np.ndarray:
    """One plane of numbers: two of them, or shades between black and white."""
    found = np.unique(values)
    if not np.isfinite(found).all() or found[0] < 0:
        raise _Unclear(f"holds values below 0 or none at all (NaN); {_EXPECTED}. {_PAINT}")
    exact = not lossy or (len(found) <= 2 and found[-1] > GREY)
    top = full_scale(found[-1]) if values.dtype.kind == "f" else max(255, full_scale(found[-1]))
    if exact and found.tolist() in ([0, 1], [0, 1, IGNORE]):
        return _ignoring(values.astype(np.uint8))
    if exact and len(found) == 1:
        return np.full(values.shape, found[0] > 0, np.uint8)
    if exact and len(found) == 2:
        unclear = found.tolist() == [1, IGNORE]  # the class beside what is ignored, or black, white
        if unclear or (found[0] > 0 and not found[0] < top / 2 < found[1]):
            raise _Unclear(
                f"holds {_some(found)} and no 0, so which one is the background is not clear; "
                f"{_EXPECTED}. {_PAINT}"
            )
        return (values == found[1]).astype(np.uint8)
    dark = found[-1] < top / 2
    shades = found[:0] if dark and lossy else _shades(values, found, top, lossy)
    few = dark and not lossy and len(found) <= 4 * FEW and values.dtype.kind != "f"
    if shades.size or few:
        raise _Unclear(_several(shades if shades.size else found[found > 0]))
    if dark:
        raise _Unclear(
            f"is dark throughout (at most {found[-1]:g} of {top}) and not exact; {_EXPECTED}. "
            f"{_PAINT}"
        )
    return (values > top / 2).astype(np.uint8)


def _ignoring(mask: np.ndarray) -> np.ndarray:
    """0, 1 and 255 as they are, unless the 1 looks like the noise of a compressed mask."""
    ones, ignored = mask == 1, mask == IGNORE
    if 4 * np.count_nonzero(ones) < np.count_nonzero(ignored):
        thin = not ndimage.minimum_filter(ones, 3).any()
        if thin and ndimage.minimum_filter(ignored, 3).any():
            raise _Unclear(
                "holds 0, 1 and 255, but 1 in scattered pixels only: a class beside an ignored "
                f"part, or noise beside the class; {_EXPECTED}. {_PAINT}"
            )
    return mask


def _shades(values: np.ndarray, found: np.ndarray, top: int, lossy: bool) -> np.ndarray:
    """The values, neither black nor white, that fill areas, as ids do and soft edges do not."""
    if not lossy and len(found) <= FEW:
        even = ndimage.maximum_filter(values, 3) == ndimage.minimum_filter(values, 3)
        between = (values > 0) & (values < top * (255 - GREY) / 255)
    else:
        span = ndimage.maximum_filter(values, 5).astype(float) - ndimage.minimum_filter(values, 5)
        even = span <= 12 / 255 * top
        between = (values > top * 48 / 255) & (values < top * 207 / 255)
    areas = values[even & between]
    if areas.size < 1e-4 * values.size:
        return areas[:0]
    common, counts = np.unique(areas, return_counts=True)
    return np.sort(common[np.argsort(-counts)][:8])


def _several(values: np.ndarray) -> str:
    example = f"{values[0]:g}"
    return (
        f"holds several values besides the background ({_some(values)}); a mask of one class has "
        f"one. Mend: if they are class ids, save each class as a mask of its own, 255 where its "
        f"number is and 0 elsewhere: Image.fromarray(np.uint8(255) * (ids == {example}))"
    )


def _some(values: np.ndarray) -> str:
    shown = ", ".join(f"{value:g}" for value in values[:4].tolist())
    return shown + ", ..." * (len(values) > 4)


def _colours(colours: np.ndarray) -> str:
    shown = ", ".join(str(tuple(map(int, colour))) for colour in colours[:3])
    return shown + ", ..." * (len(colours) > 3)

"""Pictures and mask files from disk. A file that cannot be used is named, with the mend.

Two kinds of mask are read, and both become (height, width) uint8:

    class ids   a palette or grey PNG of 0 (background), 1, 2, ... and 255 (ignore), as PASCAL has
    yes or no   one class a picture: black and white, or 0 and 1 (then 255 is ignore)
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from hmnet_lite.data.episode import IGNORE

_EXIF_ORIENTATION = 0x0112
_ON_ITS_SIDE = (5, 6, 7, 8)  # values of the tag that swap width and height


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
        path: any format that Pillow reads.
        upright: turn it as its EXIF tag says, which is how cameras store a picture taken sideways
            and how every viewer shows it. Benchmarks are read as stored.

    Raises:
        BadImage: no such file, not a picture, or cut short.
    """
    with _opened(path) as image:
        return np.asarray((ImageOps.exif_transpose(image) if upright else image).convert("RGB"))


def picture_size(path: str | os.PathLike[str], *, upright: bool = False) -> tuple[int, int]:
    """(height, width) from the file's head, without decoding it; arguments and errors as above."""
    with _opened(path) as image:
        width, height = image.size
        turned = upright and image.getexif().get(_EXIF_ORIENTATION) in _ON_ITS_SIDE
        return (width, height) if turned else (height, width)


@dataclass(frozen=True)
class MaskFormat:
    """What a dataset's mask files hold.

    Attributes:
        highest: the largest class id; None for masks that say yes or no.
        check_colours: refuse a yes-or-no mask in colours. FSS-1000 is read as the field does,
            by brightness whatever the colour.
    """

    highest: int | None = None
    check_colours: bool = True

    def read(self, path: str | os.PathLike[str]) -> np.ndarray:
        """(height, width) uint8: class ids and 255, or 0, 1 and 255 for yes-or-no masks.

        Raises:
            BadImage: no such file, not a picture, colours, or ids that no class has.
        """
        with _opened(path) as image:
            image.load()
            return self._yes_or_no(path, image) if self.highest is None else self._ids(path, image)

    def _ids(self, path: str | os.PathLike[str], image: Image.Image) -> np.ndarray:
        if len(image.getbands()) > 1:
            raise BadImage(
                path,
                f"holds colours (mode {image.mode}); expected class ids, a palette or grey PNG of "
                f"0 to {self.highest} and {IGNORE} (ignore). Mend: replace each colour by its "
                "class's number",
            )
        ids = np.asarray(image)
        strange = np.setdiff1d(ids, [*range(self.highest + 1), IGNORE])
        if strange.size:
            raise BadImage(
                path,
                f"holds {', '.join(map(str, strange[:4].tolist()))}; expected class ids 0 to "
                f"{self.highest} and {IGNORE} (ignore). Mend: if it is a colour mask turned grey, "
                "replace each shade by its class's number",
            )
        return ids.astype(np.uint8)

    def _yes_or_no(self, path: str | os.PathLike[str], image: Image.Image) -> np.ndarray:
        if image.mode == "P" and np.isin(image, (0, 1, IGNORE)).all() and (np.asarray(image)).any():
            return np.asarray(image).copy()  # a labelling tool's ids, whatever colours they have
        if image.mode.startswith("I"):  # 16 bits and more
            values = np.asarray(image)
            if values.max() > IGNORE:
                return (values >= 1 << 15).astype(np.uint8)
        elif len(image.getbands()) == 1 and image.mode != "P":
            values = np.asarray(image.convert("L"))
        else:
            rgb = np.asarray(image.convert("RGB"))
            if self.check_colours and np.ptp(rgb, axis=-1).max() > 16:
                raise BadImage(
                    path,
                    "holds colours; expected black and white (white: the class), or 0 and 1. "
                    "Mend: paint the class white and everything else black",
                )
            values = np.asarray(Image.fromarray(rgb).convert("L"))
        if np.isin(values, (0, 1, IGNORE)).all() and (values == 1).any():
            return values.astype(np.uint8)
        return (values >= 128).astype(np.uint8)


@contextmanager
def _opened(path: str | os.PathLike[str]) -> Iterator[Image.Image]:
    """The picture, its decoding errors turned into `BadImage`."""
    try:
        with Image.open(path) as image:
            yield image
    except BadImage:
        raise
    except FileNotFoundError:
        raise BadImage(path, "is not there") from None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise BadImage(
            path, f"cannot be read ({error}). Mend: copy or download it again, or take it out"
        ) from error

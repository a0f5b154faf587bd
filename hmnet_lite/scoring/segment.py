"""A mask for a picture of one's own, from one outlined example or a few.

    model = hmnet_lite.load("hmnet-lite-fold0")
    mask = hmnet_lite.segment(model, "desk.jpg", "cup.jpg", "cup_mask.png")  # (H, W) bool

Every picture is fitted into the network's square and the answer comes back at the picture's own
size. A picture of 12,000 × 9,000 pixels is shrunk while it is decoded, and its mask grows row by
row, so that memory stays a small multiple of the mask itself.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from hmnet_lite.data.photos.transform import fit
from hmnet_lite.models.diffews.model import DiffewS
from hmnet_lite.models.features import to_tensor
from hmnet_lite.scoring.pictures import Picture, read_mask, read_picture
from hmnet_lite.scoring.windows import check_window, through_windows

SIDE = 256  # of the square that HMNet-lite was trained at, in pixels
SIDES = (64, 1024)  # what a square's side may be
STRIP = 256  # rows of a mask that are made at once
Box = Sequence[float]


def segment(
    model: nn.Module,
    query: Any,
    supports: Any = None,
    masks: Any = None,
    *,
    boxes: Sequence[Box] | Box | None = None,
    text: str | None = None,
    side: int | None = None,
    window: float | None = None,
    probabilities: bool = False,
) -> np.ndarray:
    """Find in a picture what the supports show, or what a sentence names.

    Args:
        model: an HMNet-lite (`hmnet_lite.load`), a published HMNet or a DiffewS; with `text` a
            ReMamber.
        query: a picture: a path, a PIL image, or an array (H, W, 3) of uint8, or of floats in
            [0, 1]. Pictures from files are turned upright as their EXIF says.
        supports: one such picture, or a list of them, of any sizes.
        masks: for each support its mask, of the support's size: a path, a PIL image, or an array
            (h, w) of 0 and 1, False and True, or 0 and 255. 255 beside 1 means "does not count".
        boxes: instead of masks, for each support (x0, y0, x1, y1) in its pixels, the last two
            exclusive.
        text: instead of supports, a sentence in English that names one thing. There is always an
            answer, whether the thing is there or not.
        side: of the square, in pixels, a multiple of 16 (of 32 or 64 for a DiffewS); the network's
            own when None. A larger one sees smaller things and takes longer.
        window: look through windows of so many of the query's pixels, overlapping by half: for
            many small things; about twice the size of one. None: one look at the whole.
        probabilities: return those of the foreground instead, (H, W) float32. A DiffewS has none.

    Returns:
        (H, W) bool, of the query's own size.

    Raises:
        ValueError: what was given, what was expected, the mend. `BadImage`, one of them, names
            the file that cannot be used.
        TypeError: not a picture.
    """
    if probabilities:
        check_probabilities(model)
    if text is not None:
        if supports is not None or masks is not None or boxes is not None or window is not None:
            raise ValueError("give a text, or supports with masks or boxes, not both")
        from hmnet_lite.scoring.by_words import Asked  # which builds on this module

        answer = Asked(model, text, side=side).find(query)
    else:
        answer = Examples(model, supports, masks, boxes=boxes, side=side).find(query, window)
    return answer.probability() if probabilities else answer.mask()


class Examples:
    """Supports, read once, to find the same thing in many pictures.

    Arguments and errors as in `segment`.

    Attributes:
        images: (1, shots, 3, side, side) float32 in [0, 1].
        masks: (1, shots, side, side) uint8 of {0, 1, 255}; 255 is what lies outside a picture.
    """

    def __init__(
        self,
        model: nn.Module,
        supports: Any,
        masks: Any = None,
        *,
        boxes: Sequence[Box] | Box | None = None,
        side: int | None = None,
    ):
        if hasattr(model, "words"):
            raise TypeError(
                f"the model is a {type(model).__name__}, which is told what to find: "
                "text='the red bus'; to show it, take another, such as hmnet-lite-all"
            )
        if supports is None:
            raise ValueError("neither supports nor a text is given; expected one of them")
        self.model, self.side = model.eval(), _side(model, side)
        supports = _several(supports)
        if (masks is None) == (boxes is None):
            given = "both" if masks is not None else "neither"
            raise ValueError(f"masks and boxes: {given} given; expected one of them")
        shown = _several(masks) if boxes is None else _several_boxes(boxes)
        if len(shown) != len(supports) or not supports:
            kind = "masks" if boxes is None else "boxes"
            raise ValueError(
                f"{len(supports)} supports and {len(shown)} {kind}; expected at least one support "
                f"and as many {kind}"
            )
        pairs = []
        for number, (support, what) in enumerate(zip(supports, shown, strict=True), start=1):
            picture = read_picture(support, f"support {number}")
            mask = (
                read_mask(what, picture.size, f"the mask of support {number}")
                if boxes is None
                else _box_mask(what, picture.size, number)
            )
            pairs.append(self._fitted(picture, mask, number))
        device = next(model.parameters()).device
        images, fitted = zip(*pairs, strict=True)
        self.images = torch.stack([to_tensor(x) for x in images])[None].to(device)
        self.masks = torch.from_numpy(np.stack(fitted))[None].to(device)

    def find(self, query: Any, window: float | None = None) -> Answer:
        """The network's answer for one picture, in one look or through windows; see `segment`."""
        picture = query if isinstance(query, Picture) else read_picture(query, "query")
        if window is not None:
            check_window(window, picture)
            window *= picture.image.width / picture.size[1]  # of what is kept of a large picture
            margin = through_windows(picture.image, window, self.side, self._margins)
            return Answer(margin, picture.size)
        return one_look(picture, self.side, self._margins)

    @torch.inference_mode()
    def _margins(self, squares: np.ndarray) -> np.ndarray:
        """(n, side, side, 3) uint8 → foreground minus background logit, (n, side, side)."""
        queries = torch.stack([to_tensor(square) for square in squares]).to(self.images)
        given = (x.expand(len(queries), *x.shape[1:]) for x in (self.images, self.masks))
        return margins_of(self.model(queries, *given))

    def _fitted(
        self, picture: Picture, mask: np.ndarray, number: int
    ) -> tuple[np.ndarray, np.ndarray]:
        from PIL import Image

        small = picture.fitted(self.side)
        size = small.shape[1], small.shape[0]
        fitted = np.asarray(Image.fromarray(mask).resize(size, Image.Resampling.NEAREST))
        if not (fitted == 1).any():
            raise ValueError(
                f"{picture.name}: the thing is so small that nothing of it is left at {self.side} "
                "pixels. Mend: cut the picture closer around it, or take a larger side"
            )
        return fit(small, fitted, self.side)


@dataclass(frozen=True, eq=False)
class Answer:
    """What the network says about one picture.

    Attributes:
        margin: (h, w) float32, foreground minus background logit, at the network's resolution.
        size: (height, width) of the picture itself.
    """

    margin: np.ndarray
    size: tuple[int, int]

    def mask(self) -> np.ndarray:
        """(height, width) bool."""
        return self._filled(bool, lambda margin: margin > 0)

    def probability(self) -> np.ndarray:
        """(height, width) float32 in [0, 1]: how sure the network is of the foreground."""
        return self._filled(np.float32, _sigmoid)

    def grey(self) -> np.ndarray:
        """The probability as (height, width) uint8, 255 being 1: what a picture file holds."""
        return self._filled(np.uint8, lambda margin: np.rint(255 * _sigmoid(margin)))

    def shrunk(self, size: tuple[int, int]) -> Answer:
        """The same for a smaller copy of the picture."""
        return Answer(self.margin, size)

    def _filled(self, dtype: type, change: Any) -> np.ndarray:
        result, row = np.empty(self.size, dtype), 0
        for strip in self._strips():
            result[row : row + len(strip)] = change(strip)
            row += len(strip)
        return result

    def _strips(self) -> Iterator[np.ndarray]:
        """The margin at the picture's size, bilinear, some rows at a time."""
        height, width = self.size
        left, right, share = _between(self.margin.shape[1], width)
        wide = self.margin[:, left] * (1 - share) + self.margin[:, right] * share  # (h, width)
        above, below, share = _between(self.margin.shape[0], height)
        for start in range(0, height, STRIP):
            rows = slice(start, start + STRIP)
            part = share[rows, None]
            yield wide[above[rows]] * (1 - part) + wide[below[rows]] * part


def one_look(picture: Picture, side: int, ask: Callable[[np.ndarray], np.ndarray]) -> Answer:
    """The answer for a whole picture; `ask`: (1, side, side, 3) uint8 → margins (1, side, side)."""
    small = picture.fitted(side)
    height, width = small.shape[:2]
    square, _ = fit(small, np.zeros((height, width), np.uint8), side)
    return Answer(ask(square[None])[0, :height, :width], picture.size)


def margins_of(logits: torch.Tensor) -> np.ndarray:
    """Foreground minus background, (n, 2, h, w) → (n, h, w). Raises ValueError for NaN."""
    margins = (logits[:, 1] - logits[:, 0]).float().cpu().numpy()
    if not np.isfinite(margins).all():
        raise ValueError("the network answers NaN; its weights are damaged: load or train another")
    return margins


def check_side(side: int, multiple: int = 16) -> int:
    """The side of a square. Raises ValueError unless a network takes it."""
    low, high = SIDES
    if isinstance(side, bool) or not low <= side <= high or side % multiple:
        raise ValueError(f"side is {side}; expected a multiple of {multiple} from {low} to {high}")
    return int(side)


def check_probabilities(model: nn.Module) -> None:
    """Raises ValueError for a network that has none."""
    if isinstance(model, DiffewS):
        raise ValueError(
            "a DiffewS draws a picture of the mask, whose brightness is no probability; leave "
            "probabilities out"
        )


def _between(have: int, want: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each of `want` pixels the two of `have` it lies between, and how near the second."""
    place = np.clip((np.arange(want) + 0.5) * have / want - 0.5, 0, have - 1)
    first = place.astype(int)
    return first, np.minimum(first + 1, have - 1), (place - first).astype(np.float32)


def _sigmoid(margin: np.ndarray) -> np.ndarray:
    return 0.5 * (1 + np.tanh(0.5 * margin))


def _several(given: Any) -> list:
    """A list of pictures from one or several."""
    if isinstance(given, (str, os.PathLike)) or not isinstance(given, (list, tuple)):
        one = isinstance(given, np.ndarray) and given.ndim == 4
        return list(given) if one else [given]
    return list(given)


def _several_boxes(given: Any) -> list:
    array = np.asarray(given, dtype=float)
    return [array] if array.ndim == 1 else list(array)


def _box_mask(box: Any, size: tuple[int, int], number: int) -> np.ndarray:
    """(height, width) uint8: 1 inside the box."""
    height, width = size
    values = np.asarray(box, dtype=float)
    if values.shape != (4,) or not np.isfinite(values).all():
        raise ValueError(
            f"box {number} is {values.tolist()}; expected four numbers x0, y0, x1, y1 in pixels"
        )
    x0, y0, x1, y1 = (int(v) for v in np.rint(values))
    if not (0 <= x0 < x1 <= width and 0 <= y0 < y1 <= height):
        raise ValueError(
            f"box {number} is {x0},{y0},{x1},{y1}; its picture is {width} pixels wide and "
            f"{height} high, so 0 <= x0 < x1 <= {width} and 0 <= y0 < y1 <= {height} is expected"
        )
    mask = np.zeros(size, np.uint8)
    mask[y0:y1, x0:x1] = 1
    return mask


def _side(model: nn.Module, side: int | None) -> int:
    """The square's side; a published network knows the only one it has."""
    own = getattr(model.config, "image_size", None)
    if own is not None:
        if side not in (None, own):
            raise ValueError(f"side is {side}; this network works at {own} pixels: leave side out")
        return own
    multiple = getattr(model, "multiple", 16)
    return check_side(getattr(model, "side", SIDE) if side is None else side, multiple)

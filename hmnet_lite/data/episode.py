"""One few-shot segmentation task: a query to segment, and supports that show what to find.

Every dataset gives `Episode` objects, and everything downstream (training, scores, figures)
takes them, so this is where a dataset's mistakes are caught, with an error that names them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

IGNORE = 255
"""Mask value of pixels that no score counts (the field's convention)."""


@dataclass(frozen=True, eq=False)
class Episode:
    """A query image with its mask, K support images with theirs, and the class they share.

    Raises:
        ValueError: a shape, dtype or mask value is not as below, a support mask marks no pixel
            of the class, or there is no support at all. The message names the field.
    """

    query_image: np.ndarray  # (H, W, 3) uint8 RGB
    query_mask: np.ndarray  # (H, W) uint8: 1 the class, 0 anything else, 255 ignore
    support_images: np.ndarray  # (K, H, W, 3) uint8 RGB
    support_masks: np.ndarray  # (K, H, W) uint8, values as in query_mask
    class_id: int  # the dataset's number for the class
    class_name: str
    index: int  # position in its dataset
    query_objects: np.ndarray | None = None
    # (H, W) uint8 {0, 1}: the visible pixels of every object, target or not; what a method with
    # perfect outlines and no idea of the class would answer
    query_style: str = ""
    support_styles: tuple[str, ...] = ()
    query_label: np.ndarray | None = None
    # (h, w) uint8, values as in query_mask, at the photograph's own size: what is scored. The
    # query fills the top left of its square, its longer side the square's (`transform.fit`).

    def __post_init__(self) -> None:
        _check_array("query_image", self.query_image, ("H", "W", 3))
        height, width, _ = self.query_image.shape
        _check_array("query_mask", self.query_mask, (height, width))
        _check_array("support_images", self.support_images, ("K", height, width, 3))
        shots = len(self.support_images)
        _check_array("support_masks", self.support_masks, (shots, height, width))
        if shots == 0:
            raise ValueError("support_images holds no image; an episode needs at least one shot")
        _check_values("query_mask", self.query_mask, (0, 1, IGNORE))
        _check_values("support_masks", self.support_masks, (0, 1, IGNORE))
        for shot, mask in enumerate(self.support_masks):
            if not (mask == 1).any():
                raise ValueError(
                    f"support_masks[{shot}] marks no pixel with 1, so the support shows nothing "
                    "to find; drop this support or give its mask"
                )
        if self.query_objects is not None:
            _check_array("query_objects", self.query_objects, (height, width))
            _check_values("query_objects", self.query_objects, (0, 1))
        if self.query_label is not None:
            _check_array("query_label", self.query_label, ("h", "w"))
            _check_values("query_label", self.query_label, (0, 1, IGNORE))
        if self.support_styles and len(self.support_styles) != shots:
            raise ValueError(
                f"support_styles has {len(self.support_styles)} names for {shots} supports; "
                "give one a support, or none"
            )

    @property
    def shots(self) -> int:
        """The number of supports, K."""
        return len(self.support_images)


def _check_array(name: str, array: np.ndarray, shape: tuple[int | str, ...]) -> None:
    """Raises unless `array` is uint8 of `shape`, whose letters stand for any length."""
    if not isinstance(array, np.ndarray) or array.dtype != np.uint8:
        given = array.dtype if isinstance(array, np.ndarray) else type(array).__name__
        raise ValueError(
            f"{name} must be a numpy array of uint8, got {given}; use .astype('uint8')"
        )
    fits = array.ndim == len(shape) and all(
        isinstance(want, str) or have == want for have, want in zip(array.shape, shape, strict=True)
    )
    if not fits:
        wanted = ", ".join(map(str, shape))
        raise ValueError(f"{name} must have shape ({wanted}), got {array.shape}")


def _check_values(name: str, mask: np.ndarray, allowed: tuple[int, ...]) -> None:
    """Raises unless every value of `mask` is allowed."""
    found = np.flatnonzero(np.bincount(mask.ravel(), minlength=256))
    strange = sorted(set(found.tolist()) - set(allowed))
    if strange:
        raise ValueError(f"{name} may hold only {allowed}, found also {strange[:5]}")

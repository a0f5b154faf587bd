"""A mask as a picture, and back: what the UNet generates is an image (paper, sections 3.3, 3.4)."""

from __future__ import annotations

import torch
from torch import Tensor

from hmnet_lite.models.diffews.config import Injection, MaskImage


def mask_image(kind: MaskImage, images: Tensor, masks: Tensor) -> Tensor:
    """The picture of a mask that is to be generated.

    Args:
        kind: "white" on black; "real-on-black", the object itself; "black-on-real", the object cut
            out; "added", half mask, half picture.
        images: (batch, 3, H, W) in [0, 1].
        masks: (batch, H, W) of {0, 1, 255}; 255 is drawn as background.

    Returns:
        (batch, 3, H, W) in [0, 1].
    """
    mask = (masks == 1).to(images)[:, None]
    drawn = {
        "white": lambda: mask.expand_as(images),
        "real-on-black": lambda: images * mask,
        "black-on-real": lambda: images * (1 - mask),
        "added": lambda: (images + mask) / 2,
    }
    return drawn[kind]()


def told_image(injection: Injection, images: Tensor, masks: Tensor) -> Tensor:
    """What of a support's mask is encoded: the mask, white on black, or the object alone."""
    kind = "real-on-black" if injection == "multiplication-rgb" else "white"
    return mask_image(kind, images, masks)


def brightness(kind: MaskImage, generated: Tensor, images: Tensor) -> Tensor:
    """How much of the foreground a generated picture shows.

    Args:
        kind: how masks are drawn.
        generated: (batch, 3, h, w), about [0, 1].
        images: the query itself, (batch, 3, h, w): what a mask on it is told apart from.

    Returns:
        (batch, h, w); 0 is background, 1 the most that is expected.
    """
    light = {
        "white": lambda: generated,
        "real-on-black": lambda: generated,
        "black-on-real": lambda: images - generated,
        "added": lambda: 2 * generated - images,
    }
    return light[kind]().mean(1)


def margin(light: Tensor, threshold: str, level: float) -> Tensor:
    """Brightness less the threshold, (batch, h, w); above 0 is foreground.

    "relative": `level` of the picture's brightest pixel; "absolute": `level` itself.
    """
    if threshold == "absolute":
        return light - level
    return light - level * light.flatten(1).amax(1)[:, None, None]


def shares(masks: Tensor, size: tuple[int, int]) -> Tensor:
    """(batch, shots, H, W) of {0, 1, 255} → (batch, shots, h, w): the foreground's share."""
    return torch.nn.functional.adaptive_avg_pool2d((masks == 1).float(), size)

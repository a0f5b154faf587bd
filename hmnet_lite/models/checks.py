"""Checks of what users hand in. Each error names what was given, what was expected, the mend."""

from __future__ import annotations

import torch
from torch import Tensor


def check_episode(
    query_image: Tensor, support_images: Tensor, support_masks: Tensor, multiple: int, device
) -> None:
    """What a network is called with: pictures, pictures, masks, as many queries as supports.

    Args:
        query_image: (batch, 3, height, width).
        support_images: (batch, shots, 3, height, width).
        support_masks: (batch, shots, height, width).
        multiple: sides must be multiples of it.
        device: the network's.

    Raises:
        TypeError, ValueError: said with the mend.
    """
    check_images("query_image", query_image, 4, multiple, device)
    check_images("support_images", support_images, 5, multiple, query_image.device)
    check_masks("support_masks", support_masks, support_images)
    if len(query_image) != len(support_images):
        raise ValueError(
            f"query_image holds {len(query_image)} pictures and support_images "
            f"{len(support_images)} sets of supports; expected one set for each query"
        )


def check_images(name: str, images: Tensor, ndim: int, multiple: int, device) -> None:
    """A float batch of RGB pictures in [0, 1] on `device`, sides multiples of `multiple`.

    Raises:
        TypeError, ValueError: said with the mend.
    """
    layout = {4: "(batch, 3, height, width)", 5: "(batch, shots, 3, height, width)"}[ndim]
    if not isinstance(images, Tensor):
        raise TypeError(
            f"{name} is a {type(images).__name__}; expected a torch.Tensor {layout}: for a uint8 "
            "numpy picture, torch.from_numpy(picture).permute(2, 0, 1).float() / 255"
        )
    if images.ndim != ndim or images.shape[-3] != 3:
        raise ValueError(f"{name} has shape {tuple(images.shape)}; expected {layout}")
    if not images.is_floating_point():
        raise TypeError(
            f"{name} has dtype {images.dtype}; expected floats in [0, 1]: use .float() / 255"
        )
    if 0 in images.shape[:-3]:
        raise ValueError(f"{name} has shape {tuple(images.shape)}: it holds no picture")
    if any(side % multiple or side == 0 for side in images.shape[-2:]):
        raise ValueError(
            f"{name} is {images.shape[-2]} × {images.shape[-1]} pixels; expected sides that are "
            f"multiples of {multiple}: resize or pad the pictures and their masks"
        )
    if images.device != torch.device(device):
        raise ValueError(
            f"{name} is on {images.device} but the network or the query is on {device}; move it "
            f"with .to({str(device)!r})"
        )
    if not _may_look(images):
        return
    if not torch.isfinite(images).all():
        bad = int((~torch.isfinite(images)).sum())
        raise ValueError(f"{name} has {bad} NaN or infinite values; expected finite pixels")
    low, high = images.min().item(), images.max().item()
    if low < 0 or high > 1:
        raise ValueError(
            f"{name} runs from {low:.3g} to {high:.3g}; expected [0, 1], not normalised (the "
            "backbone normalises): divide 0-255 pictures by 255"
        )


def check_masks(name: str, masks: Tensor, images: Tensor) -> None:
    """Masks of {0, 1, 255} that go with `images`, each with some foreground.

    Args:
        masks: (batch, shots, height, width).
        images: (batch, shots, 3, height, width).

    Raises:
        TypeError, ValueError: said with the mend.
    """
    if not isinstance(masks, Tensor):
        raise TypeError(f"{name} is a {type(masks).__name__}; expected a torch.Tensor")
    expected = (*images.shape[:2], *images.shape[3:])
    if tuple(masks.shape) != expected:
        raise ValueError(
            f"{name} has shape {tuple(masks.shape)}; expected (batch, shots, height, width) = "
            f"{expected}, as the pictures"
        )
    if masks.device != images.device:
        raise ValueError(
            f"{name} is on {masks.device} but the pictures are on {images.device}; move one"
        )
    if not _may_look(masks):
        return
    known = (masks == 0) | (masks == 1) | (masks == 255)
    if not known.all():
        wrong = sorted(set(masks[~known].flatten().tolist()))[:5]
        raise ValueError(
            f"{name} holds {wrong}; expected 0 (background), 1 (the class) and 255 (ignore) "
            "only: a mask drawn in {0, 255} wants mask // 255"
        )
    empty = ~(masks == 1).flatten(2).any(-1)
    if empty.any():
        b, k = empty.nonzero()[0].tolist()
        if (masks[b, k] == 255).any():
            raise ValueError(
                f"{name}[{b}, {k}] holds 255 (ignore) but no 1 (the class); a mask drawn in "
                "{0, 255} wants mask // 255. Where the class is really absent, drop that support"
            )
        raise ValueError(
            f"{name}[{b}, {k}] has no foreground pixel; a support must show the class: drop "
            "that support or draw its mask"
        )


def _may_look(x: Tensor) -> bool:
    """Whether values may be asked for: not while a CUDA graph is captured, which nothing may wait
    for. The calls before, that warm up, have looked."""
    return not (x.is_cuda and torch.cuda.is_current_stream_capturing())

"""What training minimises, and what its progress bar shows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

#: (model, batch) → loss, and the metrics of the progress bar by name
Loss = Callable[[nn.Module, Any], tuple[Tensor, dict[str, Tensor]]]


def segmentation_loss(logits: Tensor, masks: Tensor) -> Tensor:
    """Cross-entropy plus Dice (Milletari et al., 2016, squared denominators) on the class.

    Both are means over episodes, the cross-entropy of each over its known pixels: padding does not
    dilute it, and the mean over processes is the mean over their episodes.

    Args:
        logits: (batch, 2, h, w), resized to the masks.
        masks: (batch, H, W) of {0, 1, 255}; 255 counts nowhere.
    """
    logits = F.interpolate(logits, masks.shape[-2:], mode="bilinear", align_corners=False)
    known = (masks != 255).float()
    truth = (masks == 1).float()
    # two classes: softmax cross-entropy is the logistic loss of the difference
    margin = logits[:, 1] - logits[:, 0]
    pixels = F.binary_cross_entropy_with_logits(margin, truth, known, reduction="none")
    cross_entropy = pixels.sum((1, 2)) / known.sum((1, 2)).clamp_min(1)
    p = torch.sigmoid(margin) * known
    overlap = (p * truth).sum((1, 2))
    dice = 1 - 2 * overlap / (p.square().sum((1, 2)) + truth.sum((1, 2)) + 1e-6)
    return (cross_entropy + dice).mean()


@torch.no_grad()
def batch_iou(logits: Tensor, masks: Tensor) -> Tensor:
    """Foreground IoU over a batch, at the logits' resolution; stays on their device.

    Args:
        logits: (batch, 2, h, w).
        masks: (batch, H, W) of {0, 1, 255}; H and W are h and w or multiples of them.
    """
    small = masks[:, :: masks.shape[1] // logits.shape[2], :: masks.shape[2] // logits.shape[3]]
    small = small[:, : logits.shape[2], : logits.shape[3]]
    found, truth = (logits[:, 1] > logits[:, 0]) & (small != 255), small == 1
    union = (found | truth).sum()
    return torch.where(union > 0, (found & truth).sum() / union.clamp_min(1), 1.0)


def episode_loss(model: nn.Module, batch: Any) -> tuple[Tensor, dict[str, Tensor]]:
    """The loss of HMNet-lite on a `Batch` of features, with the IoU beside it.

    This is the protocol between `Trainer` and any model: (model, batch) → (loss, a scalar; numbers
    to log).
    """
    hidden = {} if batch.hidden is None else {"hidden": batch.hidden}  # not every model hides
    logits = model.segment(batch.query, batch.support, batch.support_masks, **hidden)
    return segmentation_loss(logits, batch.query_masks), {
        "iou": batch_iou(logits, batch.query_masks)
    }

"""The loss by hand, and what padding may not do to it."""

import numpy as np
import pytest
import torch

from hmnet_lite.training.losses import batch_iou, segmentation_loss


def test_loss_by_hand_and_ignored_pixels():
    logits = torch.zeros(1, 2, 2, 2)
    masks = torch.tensor([[[1, 0], [255, 255]]])
    # p = 0.5 on two known pixels; the others count nowhere, not in the mean either
    expected = np.log(2) + 1 - 2 * 0.5 / (0.25 + 0.25 + 1)
    assert segmentation_loss(logits, masks).item() == pytest.approx(expected, rel=1e-5)
    logits[..., 1, :] = torch.randn(2, 2)  # what is ignored does not matter
    assert segmentation_loss(logits, masks).item() == pytest.approx(expected, rel=1e-5)


def test_padding_does_not_dilute_the_loss():
    torch.manual_seed(0)
    logits, masks = torch.randn(2, 2, 4, 4), torch.randint(0, 2, (2, 4, 4))
    padded_logits = torch.nn.functional.pad(logits, (0, 8))
    padded_masks = torch.nn.functional.pad(masks, (0, 8), value=255)
    torch.testing.assert_close(
        segmentation_loss(padded_logits, padded_masks), segmentation_loss(logits, masks)
    )


def test_the_loss_is_a_mean_over_episodes():
    torch.manual_seed(0)
    logits, masks = torch.randn(4, 2, 4, 4), torch.randint(0, 2, (4, 4, 4))
    masks[0, :2] = 255
    halves = [segmentation_loss(logits[i : i + 2], masks[i : i + 2]) for i in (0, 2)]
    torch.testing.assert_close(segmentation_loss(logits, masks), sum(halves) / 2)
    assert segmentation_loss(logits[:1], torch.full((1, 4, 4), 255)).isfinite()


def test_batch_iou_by_hand():
    logits = torch.zeros(1, 2, 2, 2)
    logits[0, 1, 0] = 1  # the upper row is found
    masks = torch.tensor([[[1, 0], [1, 255]]]).repeat_interleave(2, 1).repeat_interleave(2, 2)
    assert batch_iou(logits, masks).item() == pytest.approx(1 / 3)
    assert batch_iou(-logits, torch.zeros(1, 2, 2)).item() == 1

"""An episode refuses what is no episode, and names the field."""

import numpy as np
import pytest

from hmnet_lite.data import Episode


def episode_fields() -> dict:
    """A valid episode of two supports, to be spoilt."""
    mask = np.zeros((8, 6), np.uint8)
    mask[2, 3], mask[0, 0] = 1, 255
    return {
        "query_image": np.zeros((8, 6, 3), np.uint8),
        "query_mask": mask,
        "support_images": np.zeros((2, 8, 6, 3), np.uint8),
        "support_masks": np.stack([mask, mask]),
        "class_id": 1,
        "class_name": "monkey",
        "index": 0,
    }


def spoilt_mask(value: int) -> np.ndarray:
    mask = np.ones((8, 6), np.uint8)
    mask[4, 4] = value
    return mask


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"query_image": np.zeros((8, 6), np.uint8)}, r"query_image .* \(H, W, 3\), got \(8, 6\)"),
        ({"query_image": np.zeros((8, 6, 3))}, "query_image .* uint8, got float64"),
        ({"query_image": [[0]]}, "query_image .* uint8, got list"),
        ({"query_mask": np.zeros((6, 8), np.uint8)}, r"query_mask .* \(8, 6\), got \(6, 8\)"),
        ({"query_mask": np.zeros((8, 6), bool)}, "query_mask .* uint8, got bool"),
        ({"query_mask": spoilt_mask(2)}, r"query_mask may hold only \(0, 1, 255\), found also \[2"),
        ({"support_images": np.zeros((8, 6, 3), np.uint8)}, r"support_images .* \(K, 8, 6, 3\)"),
        ({"support_masks": np.ones((3, 8, 6), np.uint8)}, r"support_masks .* \(2, 8, 6\), got \(3"),
        ({"support_masks": np.stack([spoilt_mask(1), spoilt_mask(9)])}, r"found also \[9\]"),
        ({"support_masks": np.stack([spoilt_mask(1), spoilt_mask(1) * 0])}, r"support_masks\[1\]"),
        ({"query_objects": spoilt_mask(255)}, r"query_objects may hold only \(0, 1\), found"),
        ({"support_styles": ("noto",)}, "support_styles has 1 names for 2 supports"),
        (
            {
                "support_images": np.zeros((0, 8, 6, 3), np.uint8),
                "support_masks": np.zeros((0, 8, 6), np.uint8),
            },
            "at least one shot",
        ),
    ],
)
def test_bad_episodes_are_named(changes, message):
    assert Episode(**episode_fields()).shots == 2
    with pytest.raises(ValueError, match=message):
        Episode(**episode_fields() | changes)

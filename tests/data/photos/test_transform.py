"""Squares from photographs, random views, and boxes from masks."""

import numpy as np
import pytest

from hmnet_lite.data.photos.transform import augment, boxes, fit, unfit
from hmnet_lite.data.stream import Stream


def picture(height, width):
    """A bright rectangle that is its own mask; a row to ignore on top."""
    mask = np.zeros((height, width), np.uint8)
    mask[height // 4 : height // 2, width // 5 : width // 2] = 1
    image = np.repeat(mask[..., None] * np.uint8(200), 3, axis=-1)
    mask[0] = 255
    return image, mask


@pytest.mark.parametrize("size", [(60, 90), (90, 60), (30, 30), (200, 301), (3, 400)])
def test_fit_keeps_the_aspect_ratio_and_fills_from_the_top_left(size):
    image, mask = fit(*picture(*size), 48)
    assert image.shape == (48, 48, 3) and mask.shape == (48, 48)
    height, width = (max(1, round(48 * length / max(size))) for length in size)
    outside = np.ones((48, 48), bool)
    outside[:height, :width] = False
    assert (mask[outside] == 255).all() and (image[outside] == 0).all()
    if min(size) > 20:
        inside = mask[:height, :width]
        assert (inside != 255).mean() > 0.95
        assert ((image[:height, :width, 0] > 100) == (inside == 1)).mean() > 0.97


def test_unfit_leads_back():
    for size in ((60, 90), (90, 60), (50, 50)):
        side, rows, columns = unfit(size)
        assert np.zeros((side, side))[rows, columns].shape == size and side == max(size)


def views(count, size=(120, 160), side=96):
    return [augment(*picture(*size), side, Stream("test", i)) for i in range(count)]


def test_views_are_decided_by_the_stream_and_move_picture_and_mask_together():
    for (image, mask), (again, _) in zip(views(40), views(40), strict=True):
        assert np.array_equal(image, again)
        assert image.shape == (96, 96, 3) and mask.shape == (96, 96)
        assert set(np.unique(mask)) <= {0, 1, 255}
        known = mask != 255
        assert ((image[..., 0] > 100) == (mask == 1))[known].mean() > 0.96


def test_views_cover_the_published_ranges():
    _, whole = fit(*picture(120, 160), 96)
    areas, left_half = [], []
    for _, mask in views(300):
        areas.append((mask == 1).sum() / (whole == 1).sum())
        left_half.append(np.flatnonzero((mask == 1).any(0)).mean() < 48)
    # scale 0.9 to 1.1 is area 0.81 to 1.21, less what the window cuts off
    assert 0.76 < min(areas) < 0.86 and 1.14 < max(areas) < 1.26
    assert 0.4 < np.mean(left_half) < 0.6  # mirrored every other time
    sharp = [np.abs(np.diff(image[..., 0].astype(int), axis=1)).max() for image, _ in views(300)]
    assert 0.4 < np.mean(np.array(sharp) > 110) < 0.6  # blurred every other time


def test_turns_stay_within_ten_degrees_either_way():
    image = np.zeros((200, 200, 3), np.uint8)
    mask = np.zeros((200, 200), np.uint8)
    mask[98:102, 20:180] = 1
    angles = []
    for i in range(200):
        _, view = augment(image, mask, 200, Stream("turn", i))
        rows, columns = np.nonzero(view == 1)
        angles.append(np.degrees(np.arctan(np.polyfit(columns, rows, 1)[0])))
    assert -10.6 < min(angles) < -9 and 9 < max(angles) < 10.6
    assert abs(np.mean(angles)) < 1.5


def test_a_view_always_shows_some_of_the_class():
    image, mask = np.zeros((100, 100, 3), np.uint8), np.zeros((100, 100), np.uint8)
    mask[:3, :3] = 1  # in the corner, which turns and windows lose
    seen = [augment(image, mask, 90, Stream("edge", i))[1] for i in range(200)]
    assert all((view == 1).any() for view in seen)
    whole = fit(image, mask, 90)[1]
    assert 0.02 < np.mean([np.array_equal(view, whole) for view in seen]) < 0.9


def test_boxes_fill_each_component_and_keep_what_is_ignored():
    mask = np.zeros((9, 12), np.uint8)
    mask[1:4, 1] = mask[3, 1:4] = 1  # an L
    mask[6, 8] = mask[7, 9] = 1  # touch at a corner
    mask[0, 11] = mask[2, 2] = 255
    expected = np.zeros_like(mask)
    expected[1:4, 1:4] = expected[6:8, 8:10] = 1
    expected[0, 11] = 255
    assert np.array_equal(boxes(mask), expected)


def test_no_class_no_boxes():
    assert not boxes(np.zeros((4, 5), np.uint8)).any()
    assert boxes(np.ones((4, 5), np.uint8)).all()

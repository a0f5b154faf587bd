"""The integer arithmetic that scenes are drawn with."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hmnet_lite.data.emoji import render


@given(st.lists(st.integers(0, 255), min_size=4, max_size=4), st.integers(0, 255))
def test_scaling_lanes_is_rounding_each_channel(channels, weight):
    packed = render.pack(np.array([[channels]]))
    result = render.unpack(render.scaled(packed, np.uint64(weight)))[0, 0]
    assert result.tolist() == [(2 * c * weight + 255) // 510 for c in channels]


def test_softening_is_the_binomial_blur():
    point = np.zeros((7, 7, 4), np.uint8)
    point[3, 3] = 240
    blurred = render.unpack(render.softened(render.pack(point)))[..., 0]
    expected = np.zeros((7, 7), int)
    expected[2:5, 2:5] = np.outer([1, 2, 1], [1, 2, 1]) * 15
    assert (blurred == expected).all()
    flat = np.full((5, 6, 4), 77, np.uint8)
    assert (render.unpack(render.softened(render.pack(flat))) == 77).all()


@given(st.integers(1, 60), st.integers(1, 60), st.integers(-90, 90), st.integers(-90, 90))
def test_overlap_clips_like_a_larger_canvas(height, width, top, left):
    rows, columns, patch_rows, patch_columns = render.overlap((height, width), top, left, 64)
    patch = np.arange(1, height * width + 1).reshape(height, width)
    canvas = np.zeros((64, 64), int)
    canvas[rows, columns] = patch[patch_rows, patch_columns]
    wide = np.zeros((256, 256), int)
    wide[96 + top :, 96 + left :][:height, :width] = patch
    assert (canvas == wide[96:160, 96:160]).all()


@given(st.integers(-45, 45), st.integers(192, 320))
def test_recolouring_keeps_alpha_and_greys(hue, contrast):
    grey = np.full((3, 5, 4), 128, np.uint8)
    grey[..., 3] = 255
    turned = render.unpack(render.recoloured(render.pack(grey), hue, 256)).astype(int)
    assert abs(turned - grey).max() <= 1
    colour = np.random.default_rng(hue + contrast).integers(0, 256, (4, 4, 4))
    colour[..., :3] = np.minimum(colour[..., :3], colour[..., 3:])
    result = render.unpack(render.recoloured(render.pack(colour), hue, contrast))
    assert (result[..., 3] == colour[..., 3]).all()
    assert (result[..., :3] <= result[..., 3:]).all()  # premultiplied colours stay so


def test_sprites_have_the_asked_size_and_turn():
    disc = np.zeros((128, 128, 4), np.uint8)
    y, x = np.mgrid[:128, :128] - 63.5
    disc[x * x + y * y < 62**2] = 255
    for size, degrees in [(61, 0), (61, -30), (100, 17), (141, 30)]:
        drawn = render.sprite(render.pack(disc), size, degrees)
        area = np.count_nonzero(render.solid(drawn))
        assert abs(np.sqrt(area / np.pi) * 2 - size) < 1
    bar = np.zeros_like(disc)
    bar[60:68, 2:126] = 255
    rows, columns = np.nonzero(render.solid(render.sprite(render.pack(bar), 124, 30)))
    slope = np.polyfit(columns, rows, 1)[0]
    assert abs(np.degrees(np.arctan(slope))) == pytest.approx(30, abs=1)


def test_shadows_do_not_wrap_round():
    canvas = np.full((64, 64), render.LANES * np.uint64(255))
    drawn = np.full((20, 20), render.LANES * np.uint64(255))
    render.cast_shadow(canvas, drawn, 50, 50, 4, 120)
    red = render.unpack(canvas)[..., 0]
    assert red[60, 60] < 150 and (red[:30] == 255).all() and (red[:, :30] == 255).all()

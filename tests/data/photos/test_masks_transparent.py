"""Masks painted on a transparent ground."""

import numpy as np
import pytest
from PIL import Image

from hmnet_lite.data.photos.pictures import BadImage
from tests.data.photos.test_masks import (
    BLACK,
    EXPECTED,
    INSIDE,
    RED,
    WHITE,
    palette,
    read,
    two,
)


def rgba(inside, outside):
    return Image.fromarray(np.where(INSIDE[..., None], *map(np.uint8, (inside, outside))), "RGBA")


@pytest.mark.parametrize(
    "inside, outside",
    [
        ((*WHITE, 255), (*BLACK, 255)),  # opaque: the colours tell
        ((*WHITE, 255), (*BLACK, 0)),
        ((*WHITE, 255), (*WHITE, 0)),
        ((*BLACK, 255), (*BLACK, 0)),
        ((*RED, 255), (*BLACK, 0)),
        ((*RED, 100), (*WHITE, 0)),  # half see-through paint
        ((*WHITE, 255), (*BLACK, 128)),
    ],
)
def test_transparent_grounds(tmp_path, inside, outside):
    image = rgba(inside, outside)
    assert np.array_equal(read(tmp_path, image), EXPECTED)
    assert np.array_equal(read(tmp_path, image, "webp", lossless=True, exact=True), EXPECTED)
    if inside[:3] in (WHITE, BLACK):
        assert np.array_equal(read(tmp_path, image.convert("LA")), EXPECTED)


def test_a_cut_out_photograph_is_its_own_mask(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (40, 60, 4)).astype(np.uint8)
    noise[..., 3] = two(0, 255)
    assert np.array_equal(read(tmp_path, Image.fromarray(noise, "RGBA")), EXPECTED)


def test_palettes_and_greys_with_a_transparent_entry(tmp_path):
    image = palette(two(0, 1), BLACK, RED)
    assert np.array_equal(read(tmp_path, image, transparency=0), EXPECTED)
    swapped = palette(two(1, 0), RED, (0, 0, 90))
    assert np.array_equal(read(tmp_path, swapped, transparency=1), EXPECTED)
    assert np.array_equal(read(tmp_path, Image.fromarray(two(0, 255)), transparency=0), EXPECTED)


@pytest.mark.parametrize(
    "image, words",
    [
        (rgba((*BLACK, 255), (*WHITE, 0)), "black where it is opaque and white where"),
        (rgba((*WHITE, 0), (*BLACK, 255)), "black where it is opaque and white where"),
        (rgba((*WHITE, 0), (*BLACK, 0)), "transparent everywhere"),
    ],
)
def test_transparency_that_contradicts_the_colours_is_refused(tmp_path, image, words):
    with pytest.raises(BadImage, match=rf"mask\.png is {words}.*Mend: paint the class white"):
        read(tmp_path, image)


def test_black_and_white_on_a_transparent_ground_is_refused(tmp_path):
    values = np.zeros((40, 60, 4), np.uint8)
    values[INSIDE] = (0, 0, 0, 255)
    values[12:20, 15:30] = 255
    with pytest.raises(BadImage, match="transparent in part and holds 2 colours elsewhere"):
        read(tmp_path, Image.fromarray(values, "RGBA"))

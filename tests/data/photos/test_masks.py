"""Masks as people have them: read for what they show, or refused with the mend."""

import numpy as np
import pytest
from PIL import Image

from hmnet_lite.data.photos.masks import MaskFormat, yes_or_no
from hmnet_lite.data.photos.pictures import BadImage

INSIDE = np.zeros((40, 60), bool)
INSIDE[8:30, 12:40] = True  # what every mask here marks; less than half of the picture
EXPECTED = INSIDE.astype(np.uint8)
BLACK, WHITE, RED, GREEN = (0, 0, 0), (255, 255, 255), (200, 0, 0), (0, 180, 0)


def read(tmp_path, image, suffix="png", **options):
    path = tmp_path / f"mask.{suffix}"
    image.save(path, **options)
    return MaskFormat().read(path)


def two(low, high, dtype=np.uint8):
    return np.where(INSIDE, high, low).astype(dtype)


def palette(ids, *colours, **options):
    image = Image.fromarray(ids.astype(np.uint8)).convert("L")
    image = Image.frombytes("P", image.size, image.tobytes())
    image.putpalette([channel for colour in colours for channel in colour])
    return image


def voc():
    """PASCAL's palette: 1 is dark red, 255 cream."""
    colours = np.zeros((256, 3), int)
    for i in range(256):
        for bit in range(8):
            colours[i] |= [((i >> 3 * bit + c) & 1) << 7 - bit for c in range(3)]
    return [tuple(map(int, colour)) for colour in colours]


def rgb(*colours):
    return Image.fromarray(np.where(INSIDE[..., None], *map(np.uint8, colours)))


GREYS = [(i, i, i) for i in range(256)]
REVERSED = GREYS[::-1]
TOOL = [(i * 21 % 256, (i * 21 + 7) % 256, (i * 21 + 14) % 256) for i in range(256)]


# ---- black and white, in any encoding


@pytest.mark.parametrize("number", [1, 2, 38, 127, 128, 254, 255])
def test_zero_and_any_number(tmp_path, number):
    assert np.array_equal(read(tmp_path, Image.fromarray(two(0, number))), EXPECTED)
    assert np.array_equal(read(tmp_path, Image.fromarray(two(0, number)), "bmp"), EXPECTED)
    coloured = palette(two(0, number), *voc())
    assert np.array_equal(read(tmp_path, coloured), EXPECTED)
    grey = palette(two(0, number), *GREYS)
    assert np.array_equal(read(tmp_path, grey), EXPECTED)


@pytest.mark.parametrize("number", [1, 255, 256, 1000, 4095, 32768, 65535])
@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_zero_and_any_number_of_16_bits(tmp_path, number, suffix):
    image = Image.fromarray(two(0, number, np.uint16))
    assert np.array_equal(read(tmp_path, image, suffix), EXPECTED)


@pytest.mark.parametrize("number", [1.0, 0.5, 255.0])
def test_floats_and_32_bits(tmp_path, number):
    assert np.array_equal(read(tmp_path, Image.fromarray(two(0, number, "f4")), "tif"), EXPECTED)
    image = Image.fromarray(two(0, 70000, np.int32))
    assert np.array_equal(read(tmp_path, image, "tif"), EXPECTED)
    broken = two(0, 1, "f4")
    broken[0, 0] = np.nan
    with pytest.raises(BadImage, match="holds values below 0 or none at all"):
        read(tmp_path, Image.fromarray(broken), "tif")


def test_one_bit_either_way_of_storing_it(tmp_path):
    image = Image.fromarray(two(0, 255)).convert("1")
    for suffix, options in (
        ("png", {}),
        ("tif", {}),
        ("tif", {"compression": "group4"}),
        ("bmp", {}),
    ):
        assert np.array_equal(read(tmp_path, image, suffix, **options), EXPECTED)


@pytest.mark.parametrize("colours", [2, 4, 16, 256])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_a_quantised_mask_is_read_by_its_colours(tmp_path, colours, mode):
    image = Image.fromarray(two(0, 255)).convert(mode).quantize(colours)
    assert np.array_equal(read(tmp_path, image), EXPECTED)
    for suffix in ("gif", "bmp", "tif"):
        assert np.array_equal(read(tmp_path, image, suffix), EXPECTED)


@pytest.mark.parametrize(
    "ids, colours",
    [
        (two(0, 1), [BLACK, WHITE]),
        (two(1, 0), [WHITE, BLACK]),
        (two(0, 1), [(3, 2, 2), (250, 251, 252)]),
        (two(255, 0), REVERSED),
        (two(0, 255), GREYS),
        (two(7, 5), [BLACK] * 5 + [WHITE] * 2 + [BLACK]),
        (two(0, 1), [BLACK, RED]),
        (two(1, 0), [RED, BLACK]),  # a red thing, quantised
        (two(0, 1), [BLACK, (128, 128, 128)]),
        (two(0, 1), TOOL),
        (two(0, 255), TOOL),
        (two(0, 15), voc()),
        (two(0, 255), voc()),
    ],
)
def test_palettes_in_either_order(tmp_path, ids, colours):
    assert np.array_equal(read(tmp_path, palette(ids, *colours)), EXPECTED)


def test_255_beside_one_id_is_ignored(tmp_path):
    for number, images in (
        (1, [Image.fromarray, lambda x: palette(x, *TOOL), lambda x: palette(x, *GREYS)]),
        (15, [lambda x: palette(x, *voc())]),
    ):
        values = two(0, number)
        values[:3] = 255
        expected = EXPECTED.copy()
        expected[:3] = 255
        for make in images:
            assert np.array_equal(read(tmp_path, make(values)), expected)


def test_colours(tmp_path):
    assert np.array_equal(read(tmp_path, rgb(WHITE, BLACK)), EXPECTED)
    assert np.array_equal(read(tmp_path, rgb((250, 255, 248), (9, 0, 4))), EXPECTED)
    assert np.array_equal(read(tmp_path, rgb((128, 0, 0), BLACK)), EXPECTED)
    assert np.array_equal(read(tmp_path, rgb((1, 0, 0), BLACK)), EXPECTED)  # ids as colours
    assert np.array_equal(read(tmp_path, rgb(WHITE, BLACK).convert("CMYK"), "tif"), EXPECTED)
    assert np.array_equal(read(tmp_path, rgb(WHITE, BLACK), "webp", lossless=True), EXPECTED)


@pytest.mark.parametrize("quality", [20, 50, 75, 95])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_jpeg_masks_ring_and_are_cut_at_128(tmp_path, quality, mode):
    image = Image.fromarray(two(0, 255)).convert(mode)
    mask = read(tmp_path, image, "jpg", quality=quality)
    assert len(np.unique(np.asarray(Image.open(tmp_path / "mask.jpg")))) > 2
    assert np.array_equal(mask, EXPECTED)
    assert np.array_equal(read(tmp_path, image, "webp", quality=quality), EXPECTED)
    again = Image.open(tmp_path / "mask.jpg").convert("L")
    assert np.array_equal(read(tmp_path, again), EXPECTED)  # ringing kept by a PNG


def test_soft_edges_are_cut_at_half_of_white(tmp_path):
    wide = Image.fromarray(two(0, 255)).resize((240, 160), Image.Resampling.BILINEAR)
    expected = (np.asarray(wide) >= 128).astype(np.uint8)
    assert np.array_equal(read(tmp_path, wide), expected)
    for top in (1023, 4095, 65535):
        values = (np.asarray(wide) / 255 * top).astype(np.uint16)
        assert np.mean(read(tmp_path, Image.fromarray(values)) == expected) > 0.999
    values = (np.asarray(wide) / 255).astype(np.float32)
    assert np.array_equal(read(tmp_path, Image.fromarray(values), "tif"), expected)


@pytest.mark.parametrize("value, expected", [(0, 0), (1, 1), (38, 1), (255, 1)])
def test_empty_and_full(tmp_path, value, expected):
    plain = np.full((20, 30), value, np.uint8)
    assert (read(tmp_path, Image.fromarray(plain)) == expected).all()
    assert (read(tmp_path, Image.fromarray(plain).convert("RGB")) == expected).all()
    assert (read(tmp_path, Image.fromarray(plain).quantize(2)) == expected).all()
    assert (read(tmp_path, Image.fromarray(plain), "tif") == expected).all()


# ---- what has two readings is refused


def stripes(*values, dtype=np.uint8):
    return np.repeat(np.array(values, dtype), 8)[None].repeat(30, axis=0)


@pytest.mark.parametrize(
    "values, dtype, told",
    [
        ((0, 1, 2), np.uint8, "1, 2"),
        ((0, 1, 2, 255), np.uint8, "1, 2"),
        ((0, 2, 255), np.uint8, "2"),
        ((0, 38, 75), np.uint8, "38, 75"),
        ((0, 128, 255), np.uint8, "128"),  # perhaps ids, perhaps "unknown"
        ((0, 100, 200), np.uint8, "100, 200"),
        ((0, 1000, 2000), np.uint16, "1000, 2000"),
        (tuple(range(12)), np.uint8, "1, 2, 3, 4, ..."),
        (tuple(range(40)), np.uint8, "1, 2, 3, 4, ..."),
    ],
)
def test_class_ids_are_refused_with_the_mend(tmp_path, values, dtype, told):
    ids = stripes(*values, dtype=dtype)
    with pytest.raises(BadImage) as caught:
        read(tmp_path, Image.fromarray(ids))
    reason = caught.value.reason
    assert f"holds several values besides the background ({told})" in reason
    first = told.split(",")[0]
    assert "Mend: if they are class ids, save each class as a mask of its own" in reason
    assert f"Image.fromarray(np.uint8(255) * (ids == {first}))" in reason
    mended = Image.fromarray(np.uint8(255) * (ids == int(first)))  # as it says
    assert np.array_equal(read(tmp_path, mended), (ids == int(first)).astype(np.uint8))


def test_noise_beside_the_class_is_no_class(tmp_path):
    noisy = two(0, 255)
    noisy[7, 12:40:3] = 1  # what is left of ringing: not 28 pixels of a class and an ignored thing
    with pytest.raises(BadImage, match="holds 0, 1 and 255, but 1 in scattered pixels only"):
        read(tmp_path, Image.fromarray(noisy))


def test_ids_in_palettes_and_jpegs_are_refused(tmp_path):
    with pytest.raises(BadImage, match=r"several values .* \(2, 15\)"):
        read(tmp_path, palette(stripes(0, 2, 15, 255), *voc()))
    with pytest.raises(BadImage, match=r"several values .* \(1[0-9]+"):
        read(tmp_path, Image.fromarray(stripes(0, 128, 255)), "jpg", quality=90)
    with pytest.raises(BadImage, match="is dark throughout"):
        read(tmp_path, Image.fromarray(two(0, 90)), "jpg", quality=50)


@pytest.mark.parametrize(
    "image, words",
    [
        (Image.fromarray(two(1, 2)), "holds 1, 2 and no 0, so which one is the background"),
        (Image.fromarray(two(200, 255)), "holds 200, 255 and no 0"),
        (Image.fromarray(two(1, 3)), "holds 1, 3 and no 0"),
        (Image.fromarray(two(1, 255)), "holds 1, 255 and no 0"),  # ignored, or the class?
        (rgb(RED, WHITE), r"holds colours; .* found \(200, 0, 0\), \(255, 255, 255\)"),
        (rgb(RED, GREEN), "holds colours; expected black and white"),
        (palette(two(0, 1), WHITE, RED), "0 is not black, so which one is the background"),
        (palette(two(1, 0), WHITE, RED), "0 is not black"),
        (palette(two(0, 1), RED, GREEN), "0 is not black"),
        (Image.new("RGB", (60, 40), RED), "holds colours"),
    ],
)
def test_two_readings_are_refused(tmp_path, image, words):
    with pytest.raises(BadImage, match=words) as caught:
        read(tmp_path, image)
    assert "Mend: paint the class white and everything else black" in caught.value.reason


def test_dark_and_bright_without_a_zero_is_clear(tmp_path):
    assert np.array_equal(read(tmp_path, Image.fromarray(two(16, 235))), EXPECTED)
    assert np.array_equal(read(tmp_path, Image.fromarray(two(2, 254))), EXPECTED)


def test_pages_are_refused(tmp_path):
    pages = [Image.fromarray(two(0, 255)), Image.fromarray(two(0, 1))]
    for suffix in ("tif", "gif"):
        with pytest.raises(BadImage, match=r"holds 2 pictures .* Mend: save the page"):
            read(tmp_path, pages[0], suffix, save_all=True, append_images=pages[1:])


# ---- class ids, FSS-1000, size and turn


def test_class_ids_stay_what_they_are(tmp_path):
    ids = stripes(0, 1, 7, 20, 255)
    for image in (Image.fromarray(ids), palette(ids, *voc())):
        image.save(tmp_path / "ids.png")
        assert np.array_equal(MaskFormat(20).read(tmp_path / "ids.png"), ids)
    Image.fromarray(ids).convert("RGB").save(tmp_path / "ids.png")
    with pytest.raises(BadImage, match=r"holds colours \(mode RGB\); expected class ids"):
        MaskFormat(20).read(tmp_path / "ids.png")
    Image.fromarray(ids * 9).save(tmp_path / "ids.png")
    with pytest.raises(BadImage, match="holds 63, 180, 247; expected class ids 0 to 20 and 255"):
        MaskFormat(20).read(tmp_path / "ids.png")


def test_fss_masks_are_cut_at_128_and_resized(tmp_path):
    fss = MaskFormat(by_brightness=True)
    Image.fromarray(stripes(0, 90, 127, 128, 200)).save(tmp_path / "1.png")
    assert np.array_equal(fss.read(tmp_path / "1.png"), stripes(0, 0, 0, 1, 1))
    doubled = fss.read(tmp_path / "1.png", (60, 80))
    assert np.array_equal(doubled, stripes(0, 0, 0, 1, 1).repeat(2, 0).repeat(2, 1))
    rgb(WHITE, RED).save(tmp_path / "1.png")
    assert np.array_equal(fss.read(tmp_path / "1.png"), EXPECTED)
    Image.fromarray(two(0, 1)).save(tmp_path / "1.png")
    assert np.array_equal(fss.read(tmp_path / "1.png"), EXPECTED)


def test_a_mask_of_another_size_is_told_with_both(tmp_path):
    Image.fromarray(two(0, 255)).save(tmp_path / "1.png")
    with pytest.raises(BadImage, match=r"40 × 60 pixels .* its picture 41 × 60; .*draw the mask"):
        MaskFormat().read(tmp_path / "1.png", (41, 60))
    with pytest.raises(BadImage, match="turn the mask as the picture is shown"):
        MaskFormat().read(tmp_path / "1.png", (60, 40))


def test_a_mask_with_a_turn_of_its_own_is_turned(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    sideways = Image.fromarray(np.rot90(two(0, 255)))
    sideways.save(tmp_path / "1.png", exif=exif)
    assert np.array_equal(MaskFormat().read(tmp_path / "1.png", (40, 60), upright=True), EXPECTED)


def test_arrays_need_no_file():
    assert np.array_equal(yes_or_no(Image.fromarray(two(0, 9))), EXPECTED)

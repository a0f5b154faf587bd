"""Pictures as cameras and tools write them: turned, large, damaged, in every format."""

import struct
import subprocess
import sys
from functools import partial

import numpy as np
import pytest
from PIL import Image

from hmnet_lite.data.photos import pictures
from hmnet_lite.data.photos.masks import MaskFormat
from hmnet_lite.data.photos.pictures import BadImage, load, picture_size, read_picture, reduction

IS_MAC = sys.platform == "darwin"  # which counts memory in bytes
SCENE = np.zeros((40, 60, 3), np.uint8)
SCENE[:12, :20] = (230, 40, 90)


def exif(orientation, resolution=b"72.0"):
    """An EXIF block whose resolution is text, as some tools write it."""
    entries = [(0x0112, 3, 1, struct.pack("<HH", orientation, 0)), (0x011A, 2, 4, resolution)]
    block = b"II*\0" + struct.pack("<I", 8) + struct.pack("<H", len(entries))
    for tag, kind, count, value in entries:
        block += struct.pack("<HHI", tag, kind, count) + value
    return b"Exif\0\0" + block + struct.pack("<I", 0)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
def test_pictures_stand_upright_in_every_format(tmp_path, orientation, suffix):
    back = {1: None, 2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}[orientation]  # Pillow's Transpose
    scene = Image.fromarray(SCENE)
    held = scene if back is None else scene.transpose(Image.Transpose(back))
    tags = Image.Exif()
    tags[0x0112] = orientation
    path = tmp_path / f"1.{suffix}"
    options = {"quality": 95} if suffix in ("jpg", "webp") else {}
    held.save(path, exif=tags, **options)
    assert picture_size(path, upright=True) == (40, 60)
    image = read_picture(path, upright=True)
    assert image.shape == SCENE.shape
    assert np.abs(image.astype(int) - SCENE).mean() < 6
    if suffix != "tif":  # Pillow turns those however they are asked
        assert read_picture(path).shape == (held.height, held.width, 3)


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp"])
def test_a_mangled_exif_block_does_not_hide_the_picture(tmp_path, suffix):
    sideways = Image.fromarray(np.rot90(SCENE))
    for name, block, turned in (
        ("text", exif(6), True),
        ("unknown", exif(77), False),
        ("cut", exif(6)[:15], False),
        ("rubbish", b"Exif\0\0II*\0\xff\xff\xff\xff", False),
    ):
        path = tmp_path / f"{name}.{suffix}"
        sideways.save(path, exif=block, **({"lossless": True} if suffix == "webp" else {}))
        image = read_picture(path, upright=True)
        assert image.shape[:2] == picture_size(path, upright=True)
        assert image.shape == (SCENE.shape if turned else (*sideways.size[::-1], 3))


@pytest.mark.parametrize("suffix", ["jpg", "JPEG", "PNG", "webp", "tif", "TIFF", "bmp", "avif"])
def test_formats(tmp_path, suffix):
    path = tmp_path / f"1.{suffix}"
    Image.fromarray(SCENE).save(path)
    assert np.abs(read_picture(path).astype(int) - SCENE).mean() < 8


def test_heic_without_its_plugin_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    (tmp_path / "1.HEIC").write_bytes(b"....ftypheic")
    with pytest.raises(BadImage, match=r"1\.HEIC is HEIC, .* Mend: pip install pillow-heif"):
        read_picture(tmp_path / "1.HEIC")


def test_heic_where_the_plugin_is_installed(tmp_path):
    pytest.importorskip("pillow_heif").register_heif_opener()
    picture, on_its_side = Image.fromarray(SCENE), Image.Exif()
    on_its_side[0x0112] = 6
    picture.save(tmp_path / "1.HEIC", quality=95)
    picture.save(tmp_path / "2.heif", quality=95, exif=on_its_side.tobytes())
    assert np.abs(read_picture(tmp_path / "1.HEIC").astype(int) - SCENE).mean() < 8
    turned = read_picture(tmp_path / "2.heif", upright=True)
    assert np.abs(turned.astype(int) - np.rot90(SCENE, -1)).mean() < 8
    assert picture_size(tmp_path / "2.heif", upright=True) == turned.shape[:2]
    whole = (tmp_path / "1.HEIC").read_bytes()
    (tmp_path / "1.HEIC").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BadImage, match=r"1\.HEIC cannot be read"):
        read_picture(tmp_path / "1.HEIC")


def test_grey_pictures_of_16_bits_are_not_clipped_to_white(tmp_path):
    ramp = np.linspace(0, 65535, 60).astype(np.uint16)[None].repeat(40, 0)
    Image.fromarray(ramp).save(tmp_path / "1.png")
    image = read_picture(tmp_path / "1.png")
    assert np.abs(image[..., 1] - ramp / 257).max() <= 0.5
    Image.fromarray(ramp >> 4).save(tmp_path / "1.tif")  # 12 bits
    assert np.abs(read_picture(tmp_path / "1.tif").astype(int) - image).max() <= 1


# ---- large pictures


def test_large_pictures_are_read_smaller_together_with_their_masks(tmp_path, monkeypatch):
    monkeypatch.setattr(pictures, "LARGE", 200)
    assert [reduction(size) for size in ((10, 20), (10, 21), (40, 20), (41, 20))] == [1, 2, 2, 4]
    mask = (SCENE[..., 0] > 0).astype(np.uint8)
    for suffix in ("jpg", "png", "webp", "tif"):
        path = tmp_path / f"1.{suffix}"
        Image.fromarray(SCENE).save(path, **({"quality": 95} if suffix == "jpg" else {}))
        image = read_picture(path)
        assert image.shape == (10, 15, 3) and picture_size(path) == (10, 15)
        assert np.abs(image.astype(int) - SCENE[2::4, 2::4]).mean() < 6
        Image.fromarray(mask).save(tmp_path / "m.png")
        small = MaskFormat().read(tmp_path / "m.png", (10, 15))
        assert np.array_equal(small, mask[2::4, 2::4])
    for mode in ("1", "P", "L", "LA", "RGBA", "I;16"):
        image = (
            Image.fromarray(mask.astype(np.uint16))
            if mode == "I;16"
            else (Image.fromarray(mask * 255).convert(mode))
        )
        image.save(tmp_path / "m.png")
        small = MaskFormat().read(tmp_path / "m.png", (10, 15))
        assert np.array_equal(small, mask[2::4, 2::4]), mode


MAKE = """
from PIL import Image
Image.new("RGB", (16000, 12500), (9, 200, 30)).save("1.jpg")
Image.new("1", (16000, 12500), 1).save("1.png")
"""
READ = """
import pathlib
import resource
from PIL import Image
from hmnet_lite.data.photos.masks import MaskFormat
from hmnet_lite.data.photos.pictures import read_picture
limit = Image.MAX_IMAGE_PIXELS
image = read_picture("1.jpg")
mask = MaskFormat().read("1.png", image.shape[:2])
assert image.shape == (3125, 4000, 3) and mask.all() and Image.MAX_IMAGE_PIXELS == limit > 0
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
if pathlib.Path("/proc/self/status").exists():  # on Linux ru_maxrss remembers the parent's size
    status = pathlib.Path("/proc/self/status").read_text()
    peak = int(status.partition("VmHWM:")[2].split()[0])
print(peak)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="measures memory as POSIX does")
def test_200_megapixels_are_read_in_bounded_memory(tmp_path):
    run = partial(subprocess.run, cwd=tmp_path, check=True, capture_output=True, text=True)
    run([sys.executable, "-c", MAKE])
    kilobytes = int(run([sys.executable, "-c", READ]).stdout) / (1024 if IS_MAC else 1)
    assert kilobytes < 1_000_000


def test_more_than_the_limit_is_refused_unread(tmp_path, monkeypatch):
    monkeypatch.setattr(pictures, "LIMIT", 2000)
    Image.fromarray(SCENE).save(tmp_path / "1.png")
    for read in (read_picture, picture_size, MaskFormat().read):
        with pytest.raises(BadImage, match=r"has 0 megapixels; expected at most 0\. Mend: make it"):
            read(tmp_path / "1.png")


# ---- what cannot be read


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif", "bmp", "gif"])
@pytest.mark.parametrize("share", [0, 0.02, 0.5, 0.9])
def test_truncated_files_are_named(tmp_path, suffix, share):
    noise = np.random.default_rng(0).integers(0, 256, (80, 90, 3)).astype(np.uint8)
    path = tmp_path / f"1.{suffix}"
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(BadImage, match=rf"1\.{suffix} cannot be read .*Mend: copy or download"):
        read_picture(path)


def test_what_is_no_picture_is_named(tmp_path):
    (tmp_path / "1.jpg").write_text("<html>not found</html>")
    (tmp_path / "2.jpg").mkdir()
    for name in ("1.jpg", "2.jpg"):
        with pytest.raises(BadImage, match=rf"{name} cannot be read"):
            load(tmp_path / name)
    with pytest.raises(BadImage, match=r"3\.jpg is not there"):
        load(tmp_path / "3.jpg")

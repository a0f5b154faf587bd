"""A mask for a picture of one's own: any input, any size, and errors that say what is wrong."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import hmnet_lite
from hmnet_lite import HMNet, HMNetConfig
from hmnet_lite.data.photos import pictures as photos
from hmnet_lite.scoring import pictures
from hmnet_lite.scoring.segment import STRIP, Answer, Examples, segment

RED, BLUE = (220, 30, 30), (30, 40, 200)


class ByColour(nn.Module):
    """Knows the answer: marks what has the mean colour of the support's class."""

    config = HMNetConfig()

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, query, supports, masks):
        inside = (masks == 1).float()[:, :, None]
        mean = (supports * inside).sum((1, 3, 4)) / inside.sum((1, 3, 4))
        near = (query - mean[..., None, None]).abs().amax(1) < 0.2
        return torch.stack([~near, near], 1).float()


def scene(height, width, box, colour=RED):
    """A picture with a coloured rectangle (top, bottom, left, right), and its mask."""
    image = np.full((height, width, 3), 128, np.uint8)
    mask = np.zeros((height, width), np.uint8)
    top, bottom, left, right = box
    image[top:bottom, left:right], mask[top:bottom, left:right] = colour, 1
    return image, mask


SUPPORT, SHOWN = scene(60, 90, (10, 40, 20, 70))
QUERY, WANTED = scene(333, 200, (100, 250, 30, 120))


@pytest.fixture
def files(tmp_path):
    Image.fromarray(SUPPORT).save(tmp_path / "s.png")
    Image.fromarray(SHOWN * 255).save(tmp_path / "m.png")
    Image.fromarray(QUERY).save(tmp_path / "q.jpg", quality=95)
    return tmp_path


def iou(found, wanted):
    return (found & (wanted == 1)).sum() / (found | (wanted == 1)).sum()


def test_paths_pil_and_arrays_give_the_same_mask(files):
    from_arrays = segment(ByColour(), QUERY, SUPPORT, SHOWN)
    assert from_arrays.shape == QUERY.shape[:2] and from_arrays.dtype == bool
    assert iou(from_arrays, WANTED) > 0.97
    as_pil = segment(
        ByColour(), Image.fromarray(QUERY), [Image.fromarray(SUPPORT)],
        [Image.fromarray(SHOWN * 255)],
    )  # fmt: skip
    as_floats = segment(ByColour(), QUERY / 255, SUPPORT / 255, SHOWN.astype(bool))
    as_255 = segment(ByColour(), QUERY, SUPPORT, SHOWN * 255)
    for other in (as_pil, as_floats, as_255):
        assert np.array_equal(other, from_arrays)
    from_files = hmnet_lite.segment(
        ByColour(), files / "q.jpg", str(files / "s.png"), files / "m.png"
    )
    assert iou(from_files, WANTED) > 0.97


def test_boxes_several_supports_of_other_sizes_and_probabilities():
    larger, mask = scene(700, 300, (50, 400, 60, 200))
    whole = segment(ByColour(), QUERY, [SUPPORT, larger], [SHOWN, mask])
    boxed = segment(
        ByColour(), QUERY, [SUPPORT, larger], boxes=[(20, 10, 70, 40), (60, 50, 200, 400)]
    )
    assert np.array_equal(whole, boxed)
    one = segment(ByColour(), QUERY, SUPPORT, boxes=(20, 10, 70, 40), probabilities=True)
    assert one.dtype == np.float32 and one.min() >= 0 and one.max() <= 1
    assert np.array_equal(one > 0.5, segment(ByColour(), QUERY, SUPPORT, SHOWN))


def test_a_real_network_answers_at_the_picture_s_size():
    torch.manual_seed(0)
    model = HMNet(HMNetConfig(dim=16, depth=2, state=4))
    found = segment(model, QUERY, SUPPORT, SHOWN, side=64, probabilities=True)
    assert found.shape == QUERY.shape[:2] and np.isfinite(found).all() and np.ptp(found) > 0
    with torch.no_grad():
        model.decoder.classify.bias.fill_(float("nan"))
    with pytest.raises(ValueError, match="the network answers NaN; its weights are damaged"):
        segment(model, QUERY, SUPPORT, SHOWN, side=64)


def many(count, side=40):
    """Small red squares on a large picture, and their mask."""
    image, mask = np.full((600, 900, 3), 128, np.uint8), np.zeros((600, 900), np.uint8)
    for n in range(count):
        top, left = 30 + 190 * (n // 4), 40 + 220 * (n % 4)
        image[top : top + side, left : left + side] = RED
        mask[top : top + side, left : left + side] = 1
    return image, mask


def test_windows_find_what_lies_anywhere():
    image, mask = many(11)
    for window in (80, 137, 600):
        found = segment(ByColour(), image, SUPPORT, SHOWN, window=window)
        assert found.shape == mask.shape and iou(found, mask) > 0.9, window
    assert not segment(ByColour(), many(0)[0], SUPPORT, SHOWN, window=100).any()
    tall = segment(ByColour(), image.transpose(1, 0, 2), SUPPORT, SHOWN, window=100)
    assert iou(tall, mask.T) > 0.9


class SeesLargeOnly(ByColour):
    """Knows the answer, but overlooks what is thinner than a tenth of the square."""

    def forward(self, query, supports, masks):
        logits = super().forward(query, supports, masks)
        cell = query.shape[-1] // 10
        near = torch.nn.functional.avg_pool2d(logits[:, 1:], cell)
        near = torch.nn.functional.interpolate((near > 0.9).float(), query.shape[-2:])[:, 0]
        return torch.stack([1 - near, near], 1)


def test_windows_find_what_is_too_small_for_one_look():
    image, mask = many(6)
    assert not segment(SeesLargeOnly(), image, SUPPORT, SHOWN).any()
    assert iou(segment(SeesLargeOnly(), image, SUPPORT, SHOWN, window=80), mask) > 0.6


@pytest.mark.parametrize("window", [0, 20, 601, True, float("nan")])
def test_a_window_that_fits_no_picture_is_told(window):
    with pytest.raises(
        ValueError, match=r"query, 900 × 600 .* through windows of 57 to 600: take about"
    ):
        segment(ByColour(), many(1)[0], SUPPORT, SHOWN, window=window)


def test_strips_make_what_torch_makes_at_once():
    margin = np.random.default_rng(0).normal(size=(20, 31)).astype(np.float32)
    for size in ((2 * STRIP + 3, 47), (7, 200), (20, 31)):
        answer = Answer(margin, size)
        whole = nn.functional.interpolate(torch.from_numpy(margin)[None, None], size,
                                          mode="bilinear", align_corners=False)[0, 0]  # fmt: skip
        np.testing.assert_allclose(answer.probability(), whole.sigmoid(), atol=1e-5)
        sure = whole.abs().numpy() > 1e-5
        assert np.array_equal(answer.mask()[sure], (whole > 0).numpy()[sure])
        assert np.abs(answer.grey() - 255.0 * answer.probability()).max() <= 0.51


def test_large_pictures_are_shrunk_while_they_are_decoded(files, monkeypatch):
    monkeypatch.setattr(pictures, "LONGEST", 80)
    picture = pictures.read_picture(files / "q.jpg")
    assert picture.size == (333, 200) and max(picture.image.size) == 80
    assert iou(segment(ByColour(), files / "q.jpg", SUPPORT, SHOWN), WANTED) > 0.9
    monkeypatch.setattr(photos, "LARGE", 5000)  # both are read at a part of their size
    found = segment(ByColour(), files / "q.jpg", files / "s.png", files / "m.png")
    assert found.shape == (333, 200) and iou(found, WANTED) > 0.9
    monkeypatch.setattr(photos, "LIMIT", 1000)
    with pytest.raises(photos.BadImage, match="megapixels; expected at most"):
        pictures.read_picture(files / "s.png")


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_pictures_are_turned_upright(tmp_path, orientation):
    stored = Image.fromarray(QUERY)
    back = {1: None, 3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_90,
            8: Image.Transpose.ROTATE_270}[orientation]  # fmt: skip
    stored = stored if back is None else stored.transpose(back)
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored.save(tmp_path / "q.png", exif=exif)
    found = segment(ByColour(), tmp_path / "q.png", SUPPORT, SHOWN)
    assert found.shape == WANTED.shape and iou(found, WANTED) > 0.97


def test_sixteen_bits_and_grey_are_pictures_too(tmp_path):
    deep = (QUERY[..., 0].astype(np.uint16)) * 257
    Image.fromarray(deep).save(tmp_path / "deep.png")
    for given in (tmp_path / "deep.png", Image.open(tmp_path / "deep.png")):
        grey = np.asarray(pictures.read_picture(given).image)
        assert np.abs(grey[..., 0].astype(int) - QUERY[..., 0]).max() <= 1
    assert pictures.read_picture(QUERY[..., 0]).image.mode == "RGB"


@pytest.mark.parametrize(
    "arguments, message",
    [
        (dict(masks=None), "masks and boxes: neither given"),
        (dict(supports=None), "neither supports nor a text is given"),
        (dict(text="the bus"), "give a text, or supports"),
        (dict(boxes=(0, 0, 5, 5)), "masks and boxes: both given"),
        (dict(masks=[SHOWN, SHOWN]), "1 supports and 2 masks"),
        (dict(masks=SHOWN * 0), "the mask of support 1 has no foreground"),
        (dict(masks=SHOWN.T), "is 60 × 90 pixels .* its picture 90 × 60"),
        (dict(masks=SHOWN * 7), "holds 0, 7; expected 0 and 1, or 0 and 255"),
        (dict(masks=np.stack([SHOWN] * 3, -1)), r"has shape \(60, 90, 3\); expected \(height"),
        (dict(masks=None, boxes=(0, 0, 91, 5)), "box 1 is 0,0,91,5; its picture is 90 pixels wide"),
        (dict(masks=None, boxes=(5, 5, 5, 9)), "box 1 is 5,5,5,9"),
        (dict(masks=None, boxes=(1, 2, 3)), "expected four numbers"),
        (dict(side=100), "side is 100; expected a multiple of 16 from 64 to 1024"),
        (dict(side=1 << 20), "expected a multiple of 16 from 64 to 1024"),
        (dict(query=QUERY[None]), r"query has shape \(1, 333, 200, 3\)"),
        (dict(query=QUERY * 1.0), r"runs from 30 to 220; expected floats in \[0, 1\]"),
        (dict(query="nowhere.jpg"), "nowhere.jpg is not there"),
    ],
)
def test_bad_input_is_told(arguments, message):
    given = dict(query=QUERY, supports=SUPPORT, masks=SHOWN) | arguments
    with pytest.raises(ValueError, match=message):
        segment(ByColour(), given.pop("query"), given.pop("supports"), given.pop("masks"), **given)


def test_a_thing_too_small_to_be_seen_is_told():
    image, mask = scene(2000, 2000, (500, 502, 1001, 1003))
    with pytest.raises(ValueError, match="so small that nothing of it is left at 64 pixels"):
        Examples(ByColour(), image, mask, side=64)
    with pytest.raises(TypeError, match="support 1 is a object; expected a path"):
        Examples(ByColour(), object(), mask)

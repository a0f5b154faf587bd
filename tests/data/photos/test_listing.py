"""The list of who shows what: kept, checked, made again; and files that cannot be used."""

import dataclasses
import itertools
import os
import pickle
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hmnet_lite.data.photos.folder import FolderEpisodes
from hmnet_lite.data.photos.fss import FSSEpisodes
from hmnet_lite.data.photos.listing import make_listing
from hmnet_lite.data.photos.masks import MaskFormat
from hmnet_lite.data.photos.pascal import PascalEpisodes
from hmnet_lite.data.photos.pictures import BadImage
from tests.data.photos import trees
from tests.data.photos.trees import QUIET


def test_the_fingerprint_tells_everything_but_the_length(voc):
    given = {"shots": 1, "seed": 321, **QUIET}
    changes = ({"shots": 2}, {"seed": 1}, {"image_size": 32}, {"small_object": 101},
               {"support_annotation": "box"}, {"filter_novel": False}, {})  # fmt: skip
    prints = {PascalEpisodes(voc, 0, "test", **{**given, **c}).fingerprint for c in changes}
    for fold, split in ((1, "test"), (0, "train")):
        prints.add(PascalEpisodes(voc, fold, split, **given).fingerprint)
    assert len(prints) == len(changes) + 2
    assert PascalEpisodes(voc, 0, "test", length=5, **given).fingerprint in prints


def test_a_list_is_made_once_and_read_back(voc, cache, monkeypatch):
    first = PascalEpisodes(voc, 0, "test", **QUIET)
    (path,) = (cache / "lists").iterdir()
    monkeypatch.setattr(MaskFormat, "read", lambda *_: pytest.fail("a mask was read again"))
    again = PascalEpisodes(voc, 0, "test", **QUIET)
    assert again.facts == first.facts and again.fingerprint == first.fingerprint
    assert [again.plan(i) for i in range(9)] == [first.plan(i) for i in range(9)]
    assert list((cache / "lists").iterdir()) == [path]


def objects_inside(path):
    with path.open("wb") as file:
        np.savez(file, key=np.array(["x"], object), item=np.array([{}], object))


def of_others(path):
    with np.load(path) as file:
        values = dict(file)
    with path.open("wb") as file:
        np.savez(file, **{**values, "key": np.array("another")})


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"no list at all"),
        objects_inside,
        of_others,
    ],
    ids=["truncated", "empty", "garbage", "pickled objects", "another's"],
)
def test_a_damaged_list_is_made_again(voc, cache, damage):
    first = PascalEpisodes(voc, 0, "test", **QUIET)
    (path,) = (cache / "lists").iterdir()
    whole = path.read_bytes()
    damage(path)
    again = PascalEpisodes(voc, 0, "test", **QUIET)
    assert np.array_equal(again.listing.pixels, first.listing.pixels)
    with np.load(path) as kept:
        assert str(kept["key"]) == first.listing.key
    assert len(path.read_bytes()) == len(whole)


def test_a_changed_mask_is_counted_again(own):
    first = FolderEpisodes(own, None, "test", **QUIET)
    path = own / "cup" / "2.png"
    mask = np.zeros(trees.SIZE, np.uint8)
    mask[:30, :40] = 255
    Image.fromarray(mask).save(path)
    again = FolderEpisodes(own, None, "test", **QUIET)
    assert again.listing.pixels.tolist() != first.listing.pixels.tolist()
    assert 1200 in again.listing.pixels and again.fingerprint != first.fingerprint
    stamp = path.stat().st_mtime_ns + 10**9
    os.utime(path, ns=(stamp, stamp))  # same size, later date: perhaps another drawing
    assert FolderEpisodes(own, None, "test", **QUIET).fingerprint != again.fingerprint


def test_counts_are_the_masks(voc):
    data = PascalEpisodes(voc, 0, "test", **QUIET)
    listing = data.listing
    for row in range(0, len(listing.item), 7):
        ids = np.asarray(Image.open(listing.items[listing.item[row]].mask))
        assert listing.pixels[row] == (ids == listing.class_id[row]).sum()
    assert len(listing.item) == 60


def test_a_mask_of_colours_is_named_with_the_mend(tmp_path, own):
    root = trees.pascal(tmp_path / "voc")
    path = root / "SegmentationClassAug" / "2007_004001.png"
    ids = Image.open(path)
    ids.convert("RGB").save(path)
    with pytest.raises(BadImage, match=r"2007_004001\.png holds colours \(mode RGB\); expect"):
        PascalEpisodes(root, 0, "test", **QUIET)
    Image.fromarray(np.asarray(ids) * 9).save(path)
    with pytest.raises(BadImage, match=r"2007_004001\.png holds 36, 247; expected class ids 0 "):
        PascalEpisodes(root, 0, "test", **QUIET)
    path = own / "mug" / "1.png"
    Image.new("RGB", trees.SIZE[::-1], (200, 0, 0)).save(path)
    with pytest.raises(BadImage, match=r"1\.png holds colours; expected black and white"):
        FolderEpisodes(own, None, "test", **QUIET)


def test_a_mask_of_another_size_is_named_with_both_sizes(own):
    Image.new("L", (40, 30), 255).save(own / "mug" / "2.png")
    with pytest.raises(BadImage, match=r"2\.png is 30 × 40 pixels .* its picture 60 × 80"):
        FolderEpisodes(own, None, "test", **QUIET)


def test_a_picture_without_its_mask_and_a_mask_without_its_picture(own, tmp_path):
    (own / "mug" / "3.png").unlink()
    with pytest.raises(BadImage, match=r"3\.png is not there, and 3\.jpg needs it as its mask"):
        FolderEpisodes(own, None, "test", **QUIET)
    (own / "mug" / "3.jpg").rename(own / "mug" / "4.jpg")
    (own / "mug" / "5.png").write_bytes((own / "mug" / "2.png").read_bytes())
    with pytest.raises(BadImage, match=r"5\.png is a mask without its picture 5\.jpg"):
        FolderEpisodes(own, None, "test", **QUIET)
    root = trees.pascal(tmp_path / "voc")
    (root / "JPEGImages" / "2007_001001.jpg").unlink()
    with pytest.raises(BadImage, match=r"2007_001001\.jpg is not there, and 2007_001001\.png"):
        PascalEpisodes(root, 0, "test", **QUIET)


def test_a_class_with_too_few_pictures_is_named(own):
    FolderEpisodes(own, None, "test", shots=2, **QUIET)
    with pytest.raises(ValueError, match=r"fewer than 4 usable pictures .*: bowl \(3\), cup \(3\)"):
        FolderEpisodes(own, None, "test", shots=3, **QUIET)
    (own / "plate").mkdir()
    assert len(FolderEpisodes(own, None, "test", **QUIET).classes) == 3  # nothing in it
    for suffix in (".jpg", ".png"):
        (own / "plate" / f"1{suffix}").write_bytes((own / "mug" / f"1{suffix}").read_bytes())
    with pytest.raises(ValueError, match=r"2 usable pictures .*: plate \(1\)\. .*Mend: add pictu"):
        FolderEpisodes(own, None, "test", **QUIET)


def test_a_corrupt_picture_is_named_when_an_episode_needs_it(own):
    path = own / "mug" / "2.jpg"
    path.write_bytes(path.read_bytes()[:900])
    data = FolderEpisodes(own, None, "test", length=30, **QUIET)
    position = next(i for i, item in enumerate(data.listing.items) if item.image == str(path))
    needed = [i for i in range(30) if position in (data.plan(i)[1], *data.plan(i)[2])]
    assert 0 < len(needed) < 30
    for i in range(30):
        if i not in needed:
            data[i]
            continue
        with pytest.raises(BadImage, match=r"2\.jpg cannot be read .*Mend: copy or download") as e:
            data[i]
        assert e.value.path == path
        assert str(pickle.loads(pickle.dumps(e.value))) == str(e.value)  # crosses processes


def test_a_class_that_vanishes_when_resized_is_told(own):
    for number in (1, 2, 3):
        mask = np.zeros(trees.SIZE, np.uint8)
        mask[31, 41] = 255
        Image.fromarray(mask).save(own / "mug" / f"{number}.png")
    options = {"progress": False, "image_size": 16, "length": 30}
    data = FolderEpisodes(own, None, "test", **options)
    mugs = [i for i in range(30) if data.plan(i)[0] == 2]
    with pytest.raises(BadImage, match=r"so little of mug that nothing of it is left at 16 pixels"):
        for i in mugs:
            data[i]


def test_lists_are_text_never_run(tmp_path):
    root = trees.pascal(tmp_path)
    (root / "ImageSets/Segmentation/val.txt").write_text("__import__('os').abort()\n")
    with pytest.raises(BadImage, match=r"__import__\('os'\)\.abort\(\)\.jpg is not there"):
        PascalEpisodes(root, 0, "test", **QUIET)


def test_items_are_sorted_however_they_come(voc):
    data = PascalEpisodes(voc, 0, "test", **QUIET)
    source = data.source
    other = make_listing("x", reversed(source.items), source.masks, progress=False)
    assert other.items == data.listing.items and other.digest == data.listing.digest
    assert dataclasses.replace(data.listing, pixels=data.listing.pixels + 1).digest != other.digest
    assert all(a <= b for a, b in itertools.pairwise(other.item))


# ---- files left out, lists


def test_bad_masks_stop_or_are_left_out_and_told(own):
    path = own / "mug" / "2.png"
    path.write_bytes(path.read_bytes()[:60])
    (own / "cup" / "1.png").unlink()
    (own / "bowl" / "9.png").write_bytes((own / "bowl" / "3.png").read_bytes())
    Image.new("L", (9, 9)).save(own / "bowl" / "3.png")
    for _ in range(2):  # made, then read back
        data = FolderEpisodes(own, None, "test", length=30, on_bad="skip", **QUIET)
        told = {"/".join(bad.path.parts[-2:]): bad.reason for bad in data.left_out}
        assert list(told) == ["bowl/9.png", "bowl/3.png", "cup/1.png", "mug/2.png"]
        assert "is a mask without its picture 9.jpg" in told["bowl/9.png"]
        assert "is 9 × 9 pixels" in told["bowl/3.png"]
        assert "is not there, and 1.jpg needs it as its mask" in told["cup/1.png"]
        assert "cannot be read" in told["mug/2.png"]
        assert data.facts["left_out"][3] == {"file": "mug/2.png", "reason": told["mug/2.png"]}
        bad = {Path(p).parts[-2:] for p in ("bowl/3.jpg", "cup/1.jpg", "mug/2.jpg")}
        asked = {Path(data.listing.items[i].image).parts[-2:]
                 for e in map(data.plan, range(30)) for i in (e[1], *e[2])}  # fmt: skip
        assert len(asked) == 6 and not asked & bad
    with pytest.raises(BadImage):
        FolderEpisodes(own, None, "test", **QUIET)
    with pytest.raises(ValueError, match="on_bad is 'ignore'; expected one of stop, skip"):
        FolderEpisodes(own, None, "test", on_bad="ignore", **QUIET)
    (own / "cup" / "2.png").unlink()
    with pytest.raises(ValueError, match=r"cup \(1\) \(5 files were left out\)"):
        FolderEpisodes(own, None, "test", on_bad="skip", **QUIET)


def test_a_name_twice_in_a_list_is_one_picture(tmp_path):
    root = trees.pascal(tmp_path)
    path = root / "ImageSets/Segmentation/val.txt"
    once = PascalEpisodes(root, 0, "test", length=200, **QUIET)
    names = path.read_text().split()
    pairs = [f"./JPEGImages/{n}.jpg /SegmentationClassAug//{n}.png" for n in names]
    path.write_text("\n".join([*names, *names[::3], *pairs[::2], f"{names[4]}.jpg"]))
    twice = PascalEpisodes(root, 0, "test", length=200, **QUIET)
    assert twice.facts["digest"] == once.facts["digest"]
    for i in range(200):
        assert twice.plan(i) == once.plan(i)
        _, query, supports = twice.plan(i)
        images = [twice.listing.items[k].image for k in (query, *supports)]
        assert len(set(images)) == 2
    other = root / "SegmentationClassAug" / "other.png"
    other.write_bytes((root / "SegmentationClassAug" / f"{names[0]}.png").read_bytes())
    path.write_text(
        "\n".join([*names, f"JPEGImages/{names[0]}.jpg SegmentationClassAug/other.png"])
    )
    with pytest.raises(BadImage, match=r"other\.png is a second mask of .*Mend: list one"):
        PascalEpisodes(root, 0, "test", **QUIET)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
def test_lists_in_other_encodings(tmp_path, voc, encoding, ends):
    root = tmp_path / "VOC2012"
    root.mkdir()
    for folder in ("JPEGImages", "SegmentationClassAug"):
        (root / folder).symlink_to(voc / folder)
    names = (voc / "ImageSets/Segmentation/val.txt").read_text().split()
    (root / "val.txt").write_bytes((ends.join(names) + 2 * ends).encode(encoding))
    assert PascalEpisodes(root, 0, "test", **QUIET).facts["pictures"] == 60


def test_a_list_of_no_known_encoding_is_told(tmp_path):
    names = ["mug", "café", "tazza", "tasse"]
    trees.class_folders(tmp_path, names, pictures=2)
    lists = "\n".join(names[:2])
    (tmp_path / "test.txt").write_bytes(lists.encode("latin-1"))
    with pytest.raises(
        ValueError, match=r"test\.txt is not UTF-8 text \(byte 0xe9 in line 2\)\. M"
    ):
        FSSEpisodes(tmp_path, "test", **QUIET)
    decomposed = unicodedata.normalize("NFD", lists)
    (tmp_path / "test.txt").write_bytes(decomposed.encode())
    assert set(FSSEpisodes(tmp_path, "test", **QUIET).classes.values()) == {"café", "mug"}


def test_upper_case_suffixes_in_benchmarks(tmp_path):
    root = trees.pascal(tmp_path)
    before = PascalEpisodes(root, 0, "test", **QUIET)
    for number, path in enumerate(sorted((root / "JPEGImages").iterdir())):
        if number % 2:
            path.rename(path.with_suffix(".JPG"))
            mask = root / "SegmentationClassAug" / f"{path.stem}.png"
            mask.rename(mask.with_suffix(".PNG"))
    after = PascalEpisodes(root, 0, "test", **QUIET)
    assert after.facts["pictures"] == before.facts["pictures"]
    assert np.array_equal(after.listing.pixels, before.listing.pixels)

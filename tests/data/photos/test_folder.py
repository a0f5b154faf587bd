"""One's own pictures: class folders, and masks wherever people put them."""

import pickle

import numpy as np
import pytest
from PIL import Image

from hmnet_lite.data.photos.folder import FolderEpisodes
from hmnet_lite.data.photos.pictures import BadImage, read_picture
from tests.data.photos import trees
from tests.data.photos.trees import QUIET, shows


def test_own_pictures_with_and_without_folds(own):
    data = FolderEpisodes(own, None, "test", length=9, progress=False, image_size=64)
    assert data.classes == {0: "bowl", 1: "cup", 2: "mug"}
    assert all(shows(e.query_image, e.query_mask, e.class_id + 1) for e in data)
    assert FolderEpisodes(own, None, "train", **QUIET).classes == data.classes
    assert FolderEpisodes(own, 1, "test", **QUIET).classes == {1: "cup"}
    assert FolderEpisodes(own, 1, "train", **QUIET).classes == {0: "bowl", 2: "mug"}
    with pytest.raises(ValueError, match="folder has no class for split 'test' among its 3"):
        FolderEpisodes(own, 3, "test", **QUIET)


def test_pictures_taken_sideways_stand_upright_before_they_meet_their_mask(own):
    path = own / "mug" / "1.jpg"
    upright = np.asarray(Image.open(path))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise by a quarter
    Image.fromarray(np.rot90(upright)).save(path, quality=95, subsampling=0, exif=exif.tobytes())
    assert Image.open(path).size == (60, 80)
    assert np.abs(read_picture(path, upright=True).astype(int) - upright).mean() < 3
    assert read_picture(path).shape == (80, 60, 3)
    data = FolderEpisodes(own, None, "test", length=9, **QUIET)
    assert all(shows(e.query_image, e.query_mask, e.class_id + 1) for e in data)


def test_worker_processes_get_the_same_episodes(own):
    data = FolderEpisodes(own, None, "train", **QUIET)
    data.plan(0)
    copy = pickle.loads(pickle.dumps(data))
    assert copy.fingerprint == data.fingerprint
    assert np.array_equal(copy[5].query_image, data[5].query_image)


# ---- where masks may lie


def white(ids):
    return Image.fromarray((255 * (ids > 0)).astype(np.uint8))


def scene(class_id, number):
    return trees.ids_with((class_id, 10, 40 + number, 5 + number, 50))


def lay(root, picture, mask, kind="jpeg"):
    """Two classes of three pictures; picture and mask are paths with {name} and {number}."""
    for class_id, name in enumerate(("cup", "mug"), 1):
        for number in range(3):
            path = root / picture.format(name=name, number=number)
            trees.save_picture(path, scene(class_id, number))
            if kind != "jpeg":
                Image.open(path).convert("RGB").save(path, kind)
            path = root / mask.format(name=name, number=number)
            path.parent.mkdir(parents=True, exist_ok=True)
            white(scene(class_id, number)).save(path)
    return root


@pytest.mark.parametrize(
    "picture, mask, kind",
    [
        ("{name}/{number}.jpg", "{name}/{number}.png", "jpeg"),
        ("{name}/IMG_{number}.JPG", "{name}/IMG_{number}.PNG", "jpeg"),
        ("{name}/{number}.jpeg", "{name}/{number}.bmp", "jpeg"),
        ("{name}/{number}.webp", "{name}/{number}.png", "webp"),
        ("{name}/{number}.tif", "{name}/{number}.png", "tiff"),
        ("{name}/{number}.jpg", "{name}/{number}.tif", "jpeg"),
        ("{name}/{number}.jpg", "{name}/{number}_mask.png", "jpeg"),
        ("{name}/{number}.png", "{name}/{number}_mask.png", "png"),
        ("{name}/{number}.PNG", "{name}/{number}-Mask.PNG", "png"),
        ("{name}/{number}.jpg", "{name}/{number}.mask.jpg", "jpeg"),
        ("{name}/{number}.jpg", "{name}/masks/{number}.png", "jpeg"),
        ("{name}/{number}.png", "{name}/masks/{number}.png", "png"),
        ("{name}/{number}.png", "{name}/Masks/{number}_mask.png", "png"),
        ("{name}/images/{number}.jpg", "{name}/masks/{number}.png", "jpeg"),
        ("{name}/images/{number}.jpg", "{name}/labels/{number}.gif", "jpeg"),
        ("images/{name}/{number}.png", "masks/{name}/{number}.png", "png"),
        ("images/{name}/{number}.jpg", "masks/{name}/{number}_mask.png", "jpeg"),
        ("{name}/{number}.jpg", "masks/{name}/{number}.png", "jpeg"),
    ],
)
def test_masks_are_found_where_people_put_them(tmp_path, picture, mask, kind):
    root = lay(tmp_path / "mine", picture, mask, kind)
    data = FolderEpisodes(root, None, "test", length=8, **QUIET)
    assert data.classes == {0: "cup", 1: "mug"} and len(data.listing.items) == 6
    assert all(shows(e.query_image, e.query_mask, e.class_id + 1) for e in data)
    assert all(shows(e.support_images[0], e.support_masks[0], e.class_id + 1) for e in data)


def test_one_class_in_two_folders(tmp_path):
    for number in range(3):
        trees.save_picture(tmp_path / "cups" / "images" / f"{number}.jpg", scene(1, number))
        (tmp_path / "cups" / "masks").mkdir(exist_ok=True)
        white(scene(1, number)).save(tmp_path / "cups" / "masks" / f"{number}.png")
    data = FolderEpisodes(tmp_path / "cups", None, "test", length=3, **QUIET)
    assert data.classes == {0: "cups"}
    assert all(shows(e.query_image, e.query_mask, 1) for e in data)


def test_a_class_whose_name_ends_in_mask_is_a_class(tmp_path):
    trees.class_folders(tmp_path, ["gas_mask", "masks"])
    for name in ("gas_mask", "masks"):
        for suffix in ("jpg", "png"):  # a picture that is called a mask, and its mask
            (tmp_path / name / f"1.{suffix}").rename(tmp_path / name / f"face_mask.{suffix}")
    data = FolderEpisodes(tmp_path, None, "test", length=6, **QUIET)
    assert data.classes == {0: "gas_mask", 1: "masks"}
    assert all(shows(e.query_image, e.query_mask, e.class_id + 1) for e in data)


def test_names_that_three_files_share_are_told(own):
    for suffix in ("bmp", "tif"):
        Image.open(own / "mug" / "1.png").save(own / "mug" / f"1.{suffix}")
    with pytest.raises(BadImage, match=r"has a name that 1\.\w+, 1\.\w+.* share. Mend: take the"):
        FolderEpisodes(own, None, "test", **QUIET)
    left = FolderEpisodes(own, None, "test", on_bad="skip", **QUIET)
    assert len(left.listing.items) == 8 and len(left.left_out) == 1


def test_quantised_masks_of_a_whole_data_set_are_not_inverted(own):
    before = FolderEpisodes(own, None, "test", **QUIET).facts["digest"]
    for path in own.rglob("*.png"):
        Image.open(path).convert("L").quantize(2).save(path)
    assert FolderEpisodes(own, None, "test", **QUIET).facts["digest"] == before

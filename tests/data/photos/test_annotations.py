"""labelme, COCO and CVAT files of one's own pictures, in the trees their tools write."""

import base64
import io
import json

import numpy as np
import pytest
from PIL import Image

from hmnet_lite.data.photos.folder import FolderEpisodes
from hmnet_lite.data.photos.pictures import BadImage
from hmnet_lite.data.photos.report import inspect_folder
from tests.data.photos import trees
from tests.data.photos.trees import QUIET, shows

NAMES = ("cup", "mug")  # classes 1 and 2
HEIGHT, WIDTH = trees.SIZE
BOX = (8, 10, 50, 40)  # left, top, right, bottom of what every picture shows
LEFT, TOP, RIGHT, BOTTOM = BOX
CORNERS = [[LEFT, TOP], [RIGHT, TOP], [RIGHT, BOTTOM], [LEFT, BOTTOM]]
DRAWN = trees.ids_with((1, TOP, BOTTOM, LEFT, RIGHT))


def pictures(folder, count=3, suffix="jpg"):
    """(file name, class id) of pictures that show one class each."""
    made = []
    for class_id, name in enumerate(NAMES, 1):
        for number in range(count):
            path = folder / f"{name}{number}.{suffix}"
            trees.save_picture(path, DRAWN * class_id)
            made.append((path.name, class_id))
    return made


def png_text(mask):
    file = io.BytesIO()
    Image.fromarray(mask).save(file, "png")
    return base64.b64encode(file.getvalue()).decode()


LABELME = {
    "polygon": {"shape_type": "polygon", "points": CORNERS},
    "no type": {"points": CORNERS},
    "rectangle": {"shape_type": "rectangle", "points": [[RIGHT, BOTTOM], [LEFT, TOP]]},
    "mask": {
        "shape_type": "mask",
        "points": [[LEFT, TOP], [RIGHT - 1, BOTTOM - 1]],
        "mask": png_text(np.full((BOTTOM - TOP, RIGHT - LEFT), 255, np.uint8)),
    },
}


def labelme(folder, shape, **changes):
    for name, class_id in pictures(folder):
        value = {
            "version": "5.5.0", "flags": {}, "imagePath": name, "imageData": None,
            "imageHeight": HEIGHT, "imageWidth": WIDTH,
            "shapes": [{"label": NAMES[class_id - 1], "flags": {}, **shape}], **changes,
        }  # fmt: skip
        (folder / name).with_suffix(".json").write_text(json.dumps(value))


def coco(path, folder, entry, prefix="", categories=NAMES):
    """A COCO file whose categories are numbered from 7 down."""
    ids = {name: 7 - i for i, name in enumerate(categories)}
    made = pictures(folder)
    value = {
        "info": {}, "licenses": [],
        "categories": [{"id": i, "name": name, "supercategory": ""} for name, i in ids.items()],
        "images": [{"id": i, "file_name": prefix + name, "height": HEIGHT, "width": WIDTH}
                   for i, (name, _) in enumerate(made)],
        "annotations": [{"id": i, "image_id": i, "category_id": ids[NAMES[c - 1]], "iscrowd": 0,
                         "bbox": [LEFT, TOP, RIGHT - LEFT, BOTTOM - TOP], **entry}
                        for i, (_, c) in enumerate(made)],
    }  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))


def runs(ids):
    edges = np.flatnonzero(np.diff(ids.ravel() > 0, prepend=False, append=False))
    return np.diff(edges, prepend=0, append=ids.size).tolist()


COCO = {
    "polygon": {"segmentation": [[v for corner in CORNERS for v in corner]]},
    "flat polygon": {"segmentation": [v for corner in CORNERS for v in corner]},
    "run lengths": {"segmentation": {"size": [HEIGHT, WIDTH], "counts": runs(DRAWN.T)}},
    "box": {"segmentation": []},
}
WINDOW = "0," + str((BOTTOM - TOP) * (RIGHT - LEFT))
CVAT = {
    "polygon": f'<polygon label="{{}}" points="{";".join(f"{x}.0,{y}.0" for x, y in CORNERS)}"/>',
    "box": f'<box label="{{}}" xtl="{LEFT}" ytl="{TOP}" xbr="{RIGHT}" ybr="{BOTTOM}"/>',
    "mask": f'<mask label="{{}}" rle="{WINDOW}" left="{LEFT}" top="{TOP}" '
    f'width="{RIGHT - LEFT}" height="{BOTTOM - TOP}"/>',
}


def cvat(path, folder, shape):
    images = "".join(
        f'<image id="{i}" name="{name}" width="{WIDTH}" height="{HEIGHT}">'
        f"<tag label='good'/>{shape.format(NAMES[c - 1])}</image>"
        for i, (name, c) in enumerate(pictures(folder))
    )
    path.write_text(f"<?xml version='1.0'?><annotations><meta/>{images}</annotations>")


def check(root, lists):
    data = FolderEpisodes(root, None, "test", length=12, **QUIET)
    assert data.classes == {1: "cup", 2: "mug"} and data.facts["lists"] == lists
    assert len(data.listing.items) == 6
    assert (data.listing.pixels == (DRAWN > 0).sum()).all()
    for e in data:
        assert shows(e.query_image, e.query_mask, e.class_id)
        assert shows(e.support_images[0], e.support_masks[0], e.class_id)


@pytest.mark.parametrize("shape", LABELME)
def test_labelme(tmp_path, shape):
    labelme(tmp_path, LABELME[shape])
    check(tmp_path, "annotations of labelme")


def test_labelme_circles_are_round(tmp_path):
    labelme(tmp_path, {"shape_type": "circle", "points": [[40, 30], [40, 50]]})
    data = FolderEpisodes(tmp_path, None, "test", length=1, **QUIET)
    y, x = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    disc = (y - 30) ** 2 + (x - 40) ** 2 < 20**2
    assert np.mean((data[0].query_label == 1) == disc) > 0.98


def test_labelme_s_own_words_for_ignored_and_nothing(tmp_path):
    inner = {"points": [[20, 20], [30, 20], [30, 30], [20, 30]]}
    for word, value in (("__ignore__", 255), ("_background_", 0)):
        folder = tmp_path / word
        labelme(folder, LABELME["polygon"])
        for path in folder.glob("*.json"):
            content = json.loads(path.read_text())
            content["shapes"].append({"label": word, **inner})
            path.write_text(json.dumps(content))
        episode = FolderEpisodes(folder, None, "test", length=1, **QUIET)[0]
        assert (episode.query_label[20:30, 20:30] == value).all()
        assert (episode.query_label == 1).sum() == (DRAWN > 0).sum() - 100


@pytest.mark.parametrize("shape", COCO)
def test_coco_as_tools_export_it(tmp_path, shape):
    entry = COCO[shape]
    coco(tmp_path / "cvat/annotations/instances_default.json", tmp_path / "cvat/images", entry)
    coco(tmp_path / "roboflow/train/_annotations.coco.json", tmp_path / "roboflow/train", entry)
    studio = tmp_path / "studio"
    coco(studio / "result.json", studio / "images", entry, prefix="images\\")
    coco(tmp_path / "far/a/b/x.json", tmp_path / "far/pictures", entry, prefix="/data/me/")
    for tree in ("cvat", "roboflow", "studio", "far"):
        check(tmp_path / tree, "annotations of COCO")


@pytest.mark.parametrize("shape", CVAT)
def test_cvat_for_images(tmp_path, shape):
    cvat(tmp_path / "annotations.xml", tmp_path / "images", CVAT[shape])
    check(tmp_path, "annotations of CVAT")


def test_masks_go_before_annotations_and_other_json_does_not_matter(own):
    labelme(own / "mug", LABELME["polygon"])
    for path in (own / "mug").glob("mug*.jpg"):
        path.unlink()
    (own / "package.json").write_text('{"name": "pictures"}')
    with pytest.raises(BadImage, match=r"cup0\.png is not there, and cup0\.jpg needs it"):
        FolderEpisodes(own, None, "test", **QUIET)


@pytest.mark.parametrize(
    "edit, message",
    [
        (lambda v: v["shapes"][0].update(points=[[1, 2], [3, 4]]), r"shapes\[0\] \('cup'\) of c"),
        (lambda v: v["shapes"][0].update(points=[[1, 2, 3]]), r"shapes\[0\]: points is no list"),
        (lambda v: v["shapes"][0].update(points=[["1", 2]]), r"shapes\[0\]: points is no list"),
        (lambda v: v["shapes"][0].update(label=None), r"shapes\[0\]: it has no label"),
        (lambda v: v["shapes"][0].update(label="  "), r"shapes\[0\]: it has no label"),
        (lambda v: v["shapes"][0].update(points=[[float("inf"), 1]] * 2, shape_type="mask"),
         r"shapes\[0\]: points is no list"),
        (lambda v: v["shapes"][0].update(shape_type="line"), "shape_type is 'line'; expected poly"),
        (lambda v: v["shapes"][0].update(shape_type="circle"), "a circle has 4 points; expected 2"),
        (lambda v: v["shapes"][0].update(shape_type="mask", points=[[1, 2], [3, 4]], mask="?"),
         "its mask is no PNG"),
        (lambda v: v.update(imageHeight=None), "wrong at its head: height is None"),
        (lambda v: v.update(imagePath=3), "imagePath is 3; expected a name"),
        (lambda v: v.update(shapes={}), "shapes is no list"),
        (lambda v: v.update(imageHeight=61), "is 61 × 80 pixels .* its picture 60 × 80"),
        (lambda v: v.update(imagePath="lost.jpg"), r"lost\.jpg is not there, but cup0\.json annot"),
        (lambda v: v.update(imagePath="cup1.jpg"), "annotates cup1.jpg a second time"),
    ],
)  # fmt: skip
def test_malformed_labelme_is_told_and_may_be_left_out(tmp_path, edit, message):
    labelme(tmp_path, LABELME["polygon"])
    path = tmp_path / "cup0.json"
    value = json.loads(path.read_text())
    edit(value)
    path.write_text(json.dumps(value))
    with pytest.raises(BadImage, match=message) as caught:
        FolderEpisodes(tmp_path, None, "test", **QUIET)
    assert "Mend: " in caught.value.reason
    data = FolderEpisodes(tmp_path, None, "test", on_bad="skip", length=5, **QUIET)
    assert len(data.left_out) == 1 and len(set(data.listing.item.tolist())) == 5
    report = inspect_folder(tmp_path, progress=False)
    assert [c.pictures for c in report.classes] == [2, 3]
    assert any(reason == caught.value.reason for _, reason in report.left_out)


@pytest.mark.parametrize(
    "shape, message",
    [
        ('<polygon label="{}" points="1,2;3"/>', "polygon has points '1,2;3'|has 3 numbers"),
        ('<polygon label="{}" points="1,2;a,b;3,4"/>', "expected x,y;x,y"),
        ('<box label="{}" xtl="1" ytl="2" xbr="3"/>', "box has ybr None"),
        ('<box label="{}" xtl="1" ytl="2" xbr="3" ybr="9" rotation="12"/>', "a box is turned"),
        ('<points label="{}" points="1,2"/>', "a points marks no area; expected polygon, box"),
        (
            '<mask label="{}" rle="1,x" left="0" top="0" width="2" height="2"/>',
            "rle that is no",
        ),
        ('<mask label="{}" rle="1,2" left="0" top="0" width="2" height="2"/>', "do not add up"),
        ('<mask label="{}" rle="1,3" left="79" top="0" width="2" height="2"/>', "sticks out"),
        (
            '<mask label="{}" rle="9" left="inf" top="0" width="2" height="2"/>',
            "mask has left 'inf'",
        ),
        ('<mask label="{}" rle="4" left="5" top="5" width="-2" height="-2"/>', "sticks out"),
        (
            '<mask label="{}" rle="100000000000000" left="0" top="0" width="10000000" '
            'height="10000000"/>',
            "sticks out",
        ),
        ('<polygon points="1,2;3,4;5,9"/>', "a polygon has no label"),
        ('<box label=" " xtl="1" ytl="2" xbr="3" ybr="9"/>', "a box has no label"),
    ],
)
def test_malformed_cvat_is_told(tmp_path, shape, message):
    cvat(tmp_path / "annotations.xml", tmp_path, shape)
    with pytest.raises(BadImage, match=rf"annotations\.xml (is wrong|has an).*({message})"):
        FolderEpisodes(tmp_path, None, "test", **QUIET)


@pytest.mark.parametrize(
    "name, text",
    [
        ("annotations.xml", "<annotations><image"),
        ("annotations.xml", '<?xml version="1.0" encoding="klingon"?><annotations/>'),
        ("annotations.xml", '<?xml version="1.0" encoding="utf-7"?><annotations/>'),
        ("result.json", '{"images'),
        ("result.json", '{"shapes": ' + "[" * 100_000),
    ],
)
def test_broken_annotations_are_told(tmp_path, name, text):
    pictures(tmp_path)
    (tmp_path / name).write_text(text)
    with pytest.raises(BadImage, match=rf"{name} is not (XML|JSON) .*Mend: export it again"):
        FolderEpisodes(tmp_path, None, "test", **QUIET)


def test_changed_annotations_are_drawn_again(tmp_path):
    labelme(tmp_path, LABELME["polygon"])
    before = FolderEpisodes(tmp_path, None, "test", **QUIET)
    labelme(tmp_path, {"points": [[0, 0], [20, 0], [20, 20], [0, 20]]})
    after = FolderEpisodes(tmp_path, None, "test", **QUIET)
    assert (after.listing.pixels == 400).all() and after.fingerprint != before.fingerprint

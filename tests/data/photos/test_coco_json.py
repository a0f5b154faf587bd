"""COCO's JSON: classes by name, every field checked, masks drawn once."""

import json

import numpy as np
import pytest
from PIL import Image

from hmnet_lite.data.photos import coco
from hmnet_lite.data.photos.coco import CocoEpisodes
from hmnet_lite.data.photos.coco_json import CocoFile, draw_masks, read_coco
from hmnet_lite.data.photos.pictures import BadImage
from tests.data.photos import trees
from tests.data.photos.trees import QUIET, shows

CLASSES = dict(enumerate(coco.CLASSES, 1))


def draw(path):
    return draw_masks(path, path.parents[1] / "val2014", CLASSES, progress=False)


def change(path, edit):
    value = json.loads(path.read_text())
    edit(value)
    path.write_text(json.dumps(value))


def test_masks_are_drawn_once(tmp_path, cache, monkeypatch):
    path = trees.coco_json(tmp_path)
    folder, reordered = draw(path)
    assert folder.parent == cache / "coco" and not reordered
    assert len(list(folder.glob("*.png"))) == 160
    for class_id in (1, 9, 10, 80):  # around the gaps in the category ids
        for number in (0, 1):  # polygon, run lengths
            name = f"COCO_val2014_{1000 * class_id + number:012d}.png"
            expected = trees.ids_with((class_id, 10, 40 + number, 5 + number, 50))
            assert np.array_equal(np.asarray(Image.open(folder / name)), expected)
    monkeypatch.setattr(CocoFile, "draw", lambda *_: pytest.fail("drawn again"))
    assert draw(path) == (folder, False)


def test_categories_are_matched_by_name_whatever_their_ids(tmp_path):
    path = trees.coco_json(tmp_path)

    def alphabetical(value):  # as label tools number them
        names = sorted(category["name"] for category in value["categories"])
        old = {category["id"]: category["name"] for category in value["categories"]}
        for entry in value["annotations"]:
            entry["category_id"] = names.index(old[entry["category_id"]])
        spelt = {"airplane": "Aeroplane", "traffic light": "traffic_light", "tv": "TVMonitor"}
        value["categories"] = [
            {"id": i, "name": spelt.get(name, name)} for i, name in enumerate(names)
        ]

    change(path, alphabetical)
    data = CocoEpisodes(tmp_path, 0, "test", labels="json", length=12, **QUIET)
    assert all(shows(e.query_image, e.query_mask, e.class_id) for e in data)
    assert all(CLASSES[e.class_id] == e.class_name for e in data)
    assert data.facts["lists"].endswith("classes matched by name)")
    again = CocoEpisodes(tmp_path, 0, "test", labels="json", length=12, **QUIET)
    assert again.facts == data.facts


def test_annotations_of_a_picture_that_is_not_there(tmp_path):
    path = trees.coco_json(tmp_path)
    lost = sorted((tmp_path / "val2014").iterdir())[3:5]
    for picture in lost:
        picture.unlink()
    with pytest.raises(BadImage) as caught:
        draw(path)
    assert caught.value.path == lost[0]
    assert "instances_val2014.json names it (and 1 more" in str(caught.value)


@pytest.mark.parametrize(
    "edit, message",
    [
        (lambda v: v.pop("images"), "is not COCO's instance JSON (it has no 'images')"),
        (lambda v: v.update(annotations={}), "its 'annotations' is a dict"),
        (lambda v: v["images"].__setitem__(2, 7), "wrong at images[2]: it is a int"),
        (lambda v: v["images"][2].pop("id"), "wrong at images[2]: it has no 'id'"),
        (lambda v: v["images"][2].update(id=1000), "images[2]: its id 1000 was given before"),
        (lambda v: v["images"][2].update(file_name=None), "images[2]: it has no 'file_name'"),
        (lambda v: v["images"][2].update(file_name=3), "images[2]: its 'file_name' is 3"),
        (lambda v: v["images"][2].update(width="80"), "images[2]: width is '80'"),
        (lambda v: v["images"][2].update(height=0), "images[2]: the picture is 0 × 80 pixels"),
        (lambda v: v["categories"][3].pop("name"), "wrong at categories[3]: it has no 'name'"),
        (lambda v: v["categories"][3].update(name="cupp"), "category 'cupp', not one of the 80 "
         "classes. Did you mean 'cup'?"),
        (lambda v: v["categories"][3].update(name="Dog"), "has two categories that are 'dog'"),
        (lambda v: v["categories"].pop(), "annotations[158] (id 158): its category 88 is not"),
        (lambda v: v["annotations"][0].update(image_id=5), "(id 0): it annotates image 5, which"),
        (lambda v: v["annotations"][0].update(image_id=[5]), "wrong at annotations[0] (id 0): "),
        (lambda v: v["annotations"][1].pop("category_id"), "(id 1): it has no 'category_id'"),
        (lambda v: v["annotations"][1].update(category_id="2"), "(id 1): its category '2' is not"),
        (lambda v: v["annotations"][3].update(segmentation=[[1, 2, 3]]),
         "cannot be drawn, id 3 of COCO_val2014_000000002001.jpg: a polygon has 3 numbers"),
        (lambda v: v["annotations"][3].update(segmentation=[[10**400, 2, 3, 4, 5, 6]]),
         "far outside of the picture"),
        (lambda v: v["categories"][3].update(name=" dog "), "has two categories that are 'dog'"),
        (lambda v: v["annotations"][4].update(segmentation={"size": [1, 1], "counts": [1]}),
         "id 4 of COCO_val2014_000000003000.jpg: run lengths of [1, 1], the picture is [60, 80]"),
    ],
)  # fmt: skip
def test_malformed_fields_are_told_with_file_and_entry(tmp_path, edit, message):
    path = trees.coco_json(tmp_path)
    change(path, edit)
    with pytest.raises(BadImage) as caught:
        draw(path)
    assert caught.value.path == path and message in str(caught.value)
    assert "Mend: " in caught.value.reason


@pytest.mark.parametrize("content", [b"", b"[]", b"null", b"{", b"\xff\xfe\x00", b'{"images": 3}',
                                     b"[" * 100_000])  # fmt: skip
def test_what_is_no_coco_json_is_told(tmp_path, content):
    path = tmp_path / "instances_val2014.json"
    path.write_bytes(content)
    with pytest.raises(BadImage, match=r"instances_val2014\.json is not COCO's instance JSON"):
        read_coco(path)

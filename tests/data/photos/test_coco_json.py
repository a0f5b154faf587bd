"""COCO's polygons and run lengths as masks, against pycocotools' own."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from hmnet_lite.data.photos import coco_json
from hmnet_lite.data.photos.coco_json import (
    draw_masks,
    draw_objects,
    expand_counts,
    polygon_mask,
    run_length_mask,
    segmentation_mask,
)
from hmnet_lite.data.photos.pictures import BadImage
from tests.data.photos import trees

SHAPES = json.loads((Path(__file__).parents[2] / "golden" / "coco_shapes.json").read_text())
HEIGHT, WIDTH = SHAPES["size"]


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("HMNET_LITE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "coco"


@pytest.mark.parametrize("shape", SHAPES["shapes"])
def test_shapes_are_pycocotools_shapes(shape):
    counts = {"size": [HEIGHT, WIDTH], "counts": shape["counts"]}
    theirs = segmentation_mask(counts, HEIGHT, WIDTH)
    assert theirs.sum() == shape["area"]  # its compressed run lengths are read exactly
    ours = segmentation_mask(shape["polygons"], HEIGHT, WIDTH)
    assert (ours & theirs).sum() / (ours | theirs).sum() > 0.97
    # where they differ is at the edge: a neighbour has the other value
    same = np.pad(theirs, 1, "edge")
    inside = same[:-2, 1:-1] & same[2:, 1:-1] & same[1:-1, :-2] & same[1:-1, 2:] & theirs
    outside = ~(same[:-2, 1:-1] | same[2:, 1:-1] | same[1:-1, :-2] | same[1:-1, 2:] | theirs)
    assert ours[inside].all() and not ours[outside].any()


def test_a_pixel_belongs_when_its_centre_does():
    square = np.array([[1, 1], [3, 1], [3, 3], [1, 3]], float)
    expected = np.zeros((4, 5), bool)
    expected[1:3, 1:3] = True
    assert np.array_equal(polygon_mask(square, 4, 5), expected)
    assert np.array_equal(polygon_mask(square + 0.4, 4, 5), expected)
    assert np.array_equal(polygon_mask(square + 0.6, 4, 5), np.roll(expected, 1, (0, 1)))
    assert polygon_mask(square + np.array([3, 0]), 4, 5).sum() == 2  # cut at the picture's edge
    assert not polygon_mask(square + np.array([9, 0]), 4, 5).any()
    assert not polygon_mask(square - np.array([0, 9]), 4, 5).any()
    assert not polygon_mask(np.array([[1, 2], [4, 2]], float), 4, 5).any()  # no area


@given(
    points=st.lists(
        st.tuples(st.floats(-5, 30, width=32), st.floats(-5, 30, width=32)), min_size=3, max_size=9
    )
)
def test_polygons_follow_the_even_odd_rule_pixel_by_pixel(points):
    points = np.array(points, float)
    mask = polygon_mask(points, 17, 23)
    x0, y0 = points.T
    x1, y1 = np.roll(points, -1, 0).T
    for row, column in ((0, 0), (8, 11), (16, 22), (3, 17)):
        x, y = column + 0.5, row + 0.5
        crossing = (np.minimum(y0, y1) <= y) & (y < np.maximum(y0, y1))
        with np.errstate(all="ignore"):
            at = x0 + (y - y0) * (x1 - x0) / (y1 - y0)
        if np.abs(at[crossing] - x).min(initial=1) > 1e-6:  # else rounding decides
            assert mask[row, column] == (np.count_nonzero(at[crossing] < x) % 2 == 1)


def test_run_lengths_go_down_the_columns():
    mask = run_length_mask([1, 2, 3], 2, 3)
    assert mask.tolist() == [[False, True, False], [True, False, False]]
    for counts, message in (([1, 2], "add up to 3, not 2 × 3"), ([-1, 7], "add up to 6")):
        with pytest.raises(ValueError, match=message):
            run_length_mask(counts, 2, 3)
    with pytest.raises(ValueError, match=r"run lengths of \[3, 2\], the picture is \[2, 3\]"):
        segmentation_mask({"size": [3, 2], "counts": [6]}, 2, 3)
    with pytest.raises(ValueError, match="end inside a number"):
        expand_counts("aUh2b0X")


def test_the_smaller_object_is_on_top_in_any_order():
    large = (7, {"segmentation": [[0, 0, 8, 0, 8, 8, 0, 8]]})
    small = (3, {"segmentation": [[2, 2, 4, 2, 4, 4, 2, 4], [6, 6, 7, 6, 7, 7, 6, 7]]})
    for objects in ([large, small], [small, large]):
        mask = draw_objects(objects, 8, 8)
        assert mask.dtype == np.uint8
        assert (mask == 3).sum() == 5 and (mask == 7).sum() == 59 and mask[6, 6] == 3


def test_masks_are_drawn_once_and_a_stopped_run_goes_on(tmp_path, cache, monkeypatch):
    path = trees.coco_json(tmp_path)
    drawn, original = [], draw_objects

    def stops_at_fifty(*arguments):
        if len(drawn) == 50:
            raise KeyboardInterrupt
        drawn.append(arguments)
        return original(*arguments)

    monkeypatch.setattr(coco_json, "draw_objects", stops_at_fifty)
    with pytest.raises(KeyboardInterrupt):
        draw_masks(path, tmp_path / "val2014", progress=False)
    monkeypatch.setattr(coco_json, "draw_objects", lambda *a: drawn.append(a) or original(*a))
    folder = draw_masks(path, tmp_path / "val2014", progress=False)
    assert folder.parent == cache and len(drawn) == 160
    assert len(list(folder.glob("*.png"))) == 160
    for class_id in (1, 9, 10, 80):  # around the gaps in the category ids
        for number in (0, 1):  # polygon, run lengths
            name = f"COCO_val2014_{1000 * class_id + number:012d}.png"
            expected = trees.ids_with((class_id, 10, 40 + number, 5 + number, 50))
            assert np.array_equal(np.asarray(Image.open(folder / name)), expected)
    assert draw_masks(path, tmp_path / "val2014") == folder and len(drawn) == 160


def test_annotations_of_a_picture_that_is_not_there(tmp_path):
    path = trees.coco_json(tmp_path)
    lost = sorted((tmp_path / "val2014").iterdir())[3:5]
    for picture in lost:
        picture.unlink()
    with pytest.raises(BadImage) as caught:
        draw_masks(path, tmp_path / "val2014", progress=False)
    assert caught.value.path == lost[0]
    assert "instances_val2014.json names it (and 1 more" in str(caught.value)


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda v: v.pop("images"), r"is not COCO's instance JSON \(KeyError: 'images'\)"),
        (lambda v: v["categories"].pop(), r"KeyError: 88"),
        (lambda v: v["annotations"][0].update(image_id=5), "annotates image 5, which it does not"),
        (lambda v: v["annotations"][3].update(segmentation=[[1, 2, 3]]), "annotation 3: cannot"),
        (lambda v: v["annotations"][4].update(segmentation={"size": [1, 1], "counts": [1]}),
         r"annotation 4: run lengths of \[1, 1\], the picture is \[60, 80\]"),
        (lambda v: (v["categories"].pop(0), v["annotations"].__delitem__(slice(0, 2))),
         "has 79 categories; expected COCO's 80"),
    ],
)  # fmt: skip
def test_json_that_is_not_coco_s_is_told(tmp_path, change, message):
    path = trees.coco_json(tmp_path)
    value = json.loads(path.read_text())
    change(value)
    path.write_text(json.dumps(value))
    with pytest.raises(ValueError, match=message):
        draw_masks(path, tmp_path / "val2014", progress=False)


def test_a_truncated_json_is_told(tmp_path):
    path = trees.coco_json(tmp_path)
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(ValueError, match=r"instances_val2014\.json is not COCO's instance JSON"):
        draw_masks(path, tmp_path / "val2014", progress=False)

"""Polygons, boxes and run lengths as pycocotools draws them, and refusals that say why."""

import json
from pathlib import Path

import numpy as np
import pytest

from hmnet_lite.data.photos.pictures import BadImage
from hmnet_lite.data.photos.shapes import (
    box_mask,
    checked_size,
    keep_masks,
    paint,
    polygons_mask,
    run_lengths_mask,
    segmentation_mask,
)

SHAPES = json.loads((Path(__file__).parents[2] / "golden" / "coco_shapes.json").read_text())
HEIGHT, WIDTH = SHAPES["size"]


@pytest.mark.parametrize("shape", SHAPES["shapes"])
def test_shapes_are_coco_s(shape):
    entry = {"segmentation": {"size": [HEIGHT, WIDTH], "counts": shape["counts"]}}
    theirs = segmentation_mask(entry, HEIGHT, WIDTH)
    assert theirs.sum() == shape["area"]
    ours = segmentation_mask({"segmentation": shape["polygons"]}, HEIGHT, WIDTH)
    assert np.array_equal(ours, theirs)


def test_polygons_are_a_union_cut_at_the_picture_s_edge():
    expected = np.zeros((8, 9), bool)
    expected[1:3, 1:4] = expected[5:8, 6:9] = True
    mask = polygons_mask([[1, 1, 4, 1, 4, 3, 1, 3], [6, 5, 20, 5, 20, 20, 6, 20]], 8, 9)
    assert mask.dtype == bool and np.array_equal(mask, expected)
    assert np.array_equal(box_mask([1, 1, 3, 2], 8, 9), expected & (np.arange(9) < 5))


def test_run_lengths_go_down_the_columns():
    mask = run_lengths_mask({"size": [2, 3], "counts": [1, 2, 3]}, 2, 3)
    assert mask.tolist() == [[False, True, False], [True, False, False]]


@pytest.mark.parametrize(
    "entry, message",
    [
        ({"segmentation": [[1, 2, 3]]}, "a polygon has 3 numbers; expected x and y of 3 or more"),
        ({"segmentation": [[1, 2, 3, 4]]}, "a polygon has 4 numbers"),
        ({"segmentation": [[1, 2, 3, 4, 5, 6, 7]]}, "a polygon has 7 numbers"),
        ({"segmentation": [[1, 2, 3, 4, 5, "6"]]}, "a polygon holds '6'; expected numbers"),
        ({"segmentation": [[1, 2, 3, 4, 5, None]]}, "a polygon holds None"),
        ({"segmentation": [[1, 2, 3, 4, 5, float("nan")]]}, "holds nan, far outside"),
        ({"segmentation": [[1, 2, 3, 4, 5, 1e12]]}, "holds 1000000000000.0, far outside"),
        ({"segmentation": ["box"]}, "a polygon has 1 numbers"),
        ({"segmentation": [[1, 2, 3, 4, 5, 6], 7]}, "a polygon is 7; expected a list"),
        ({"segmentation": "none"}, "segmentation is 'none'; expected polygons or run lengths"),
        ({"segmentation": []}, "neither a segmentation nor a bbox"),
        ({}, "neither a segmentation nor a bbox"),
        ({"bbox": [1, 2, 3]}, r"a box is \[1, 2, 3\]; expected left, top, width, height"),
        ({"bbox": [1, 2, 3, "4"]}, "a box holds '4'"),
        (
            {"segmentation": {"size": [3, 2], "counts": [6]}},
            r"of \[3, 2\], the picture is \[2, 3\]",
        ),
        ({"segmentation": {"counts": [6]}}, "run lengths of None"),
        ({"segmentation": {"size": [2, 3], "counts": [1, 2]}}, "do not add up to 2 × 3 pixels"),
        ({"segmentation": {"size": [2, 3], "counts": [-1, 7]}}, "do not add up"),
        ({"segmentation": {"size": [2, 3], "counts": [1.5, 4.5]}}, "do not add up"),
        ({"segmentation": {"size": [2, 3]}}, "run lengths are None; expected a list or COCO's"),
        ({"segmentation": {"size": [2, 3], "counts": "aUh2b0X"}}, "end inside a number"),
        ({"segmentation": {"size": [2, 3], "counts": "a b"}}, "expected a list or COCO's text"),
        ({"segmentation": {"size": [2, 3], "counts": "03"}}, "do not add up"),
    ],
)
def test_what_cannot_be_drawn_says_why(entry, message):
    with pytest.raises(ValueError, match=message):
        segmentation_mask(entry, 2, 3)


@pytest.mark.parametrize(
    "height", [None, "60", 0, -3, 2.5, True, float("nan"), float("inf"), 10**7]
)
def test_sizes_are_checked(height):
    assert checked_size(60.0, 80) == (60, 80)
    with pytest.raises(ValueError):
        checked_size(height, 1000)


def test_the_smaller_object_is_on_top_in_any_order():
    large = (7, polygons_mask([[0, 0, 8, 0, 8, 8, 0, 8]], 8, 8))
    small = (3, polygons_mask([[2, 2, 4, 2, 4, 4, 2, 4], [6, 6, 7, 6, 7, 7, 6, 7]], 8, 8))
    for objects in ([large, small], [small, large]):
        mask = paint(objects, 8, 8)
        assert mask.dtype == np.uint8
        assert (mask == 3).sum() == 5 and (mask == 7).sum() == 59 and mask[6, 6] == 3


def test_masks_are_kept_and_a_stopped_run_goes_on(tmp_path):
    drawn = []

    def job(name, error=None):
        def draw():
            drawn.append(name)
            if error:
                raise error
            return np.full((2, 2), 9, np.uint8)

        return draw

    bad = BadImage(tmp_path / "x.json", "is wrong")
    with pytest.raises(KeyboardInterrupt):
        jobs = {"a.png": job("a"), "b.png": job("b", KeyboardInterrupt())}
        keep_masks(tmp_path / "kept", jobs, "masks", progress=False)
    jobs = {"a.png": job("a"), "b.png": job("b"), "c.png": job("c", bad)}
    for _ in range(2):  # the second time all is there, what was wrong included
        wrong = keep_masks(tmp_path / "kept", jobs, "masks", progress=False)
        assert list(wrong) == ["c.png"] and str(wrong["c.png"]) == str(bad)
        assert drawn == ["a", "b", "b", "c"]
    (tmp_path / "kept" / "a.png").unlink()
    keep_masks(tmp_path / "kept", jobs, "masks", progress=False)
    assert drawn[4:] == ["a", "c"]
    (tmp_path / "kept" / "finished.json").write_text("[1, 2")
    assert list(keep_masks(tmp_path / "kept", jobs, "masks", progress=False)) == ["c.png"]

"""Tables of pictures, pixel grids and the network's map, checked on their content."""

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_hex

from hmnet_lite.workbook.figures.parts import BLUE, WIDTH
from hmnet_lite.workbook.figures.tables import network_map, picture_table, pixel_grids


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def pictures(count, seed=0):
    rng = np.random.default_rng(seed)
    return list(rng.integers(0, 256, (count, 16, 16, 3), dtype=np.uint8))


def texts(figure):
    return [t.get_text() for ax in figure.axes for t in ax.texts]


def test_picture_table_shows_each_picture_in_its_place():
    rows = {"support": pictures(3), "query": pictures(3, seed=1)}
    masks = {"query": [np.eye(16, dtype=np.uint8)] * 3}
    captions = {"query": ["a", "b", "c"]}
    figure = picture_table(rows, ["1", "2", "3"], masks=masks, captions=captions)
    shown = [ax.images[0].get_array() for ax in figure.axes]
    for image, expected in zip(shown, [*rows["support"], *rows["query"]], strict=True):
        assert np.array_equal(image, expected)
    assert [ax.get_title() for ax in figure.axes] == ["1", "2", "3", "a", "b", "c"]
    assert [len(ax.collections) for ax in figure.axes] == [0, 0, 0, 1, 1, 1]  # the outlines
    assert texts(figure) == ["support", "query"]
    assert figure.get_figwidth() <= WIDTH + 0.01


def test_picture_table_joins_title_and_caption_in_its_first_row():
    figure = picture_table({"x": pictures(2)}, ["1", "2"], captions={"x": ["a", ""]})
    assert [ax.get_title() for ax in figure.axes] == ["1\na", "2"]


@pytest.mark.parametrize(
    "rows, columns, said",
    [
        ({}, (), "at least one"),
        ({"x": []}, (), "at least one"),
        ({"x": pictures(2), "y": pictures(3)}, (), "as many in each"),
        ({"x": pictures(2)}, ["1"], "1 column titles for 2 columns"),
    ],
)
def test_picture_table_tells_what_does_not_fit(rows, columns, said):
    with pytest.raises(ValueError, match=said):
        picture_table(rows, columns)


def test_pixel_grids_show_values_and_colours():
    figure = pixel_grids({"truth": np.array([[0, 1], [255, 1]])})
    (ax,) = figure.axes
    assert ax.get_title() == "truth"
    assert [t.get_text() for t in ax.texts] == ["0", "1", "255", "1"]
    assert [to_hex(p.get_facecolor()).upper() for p in ax.patches] == [
        "#FFFFFF", BLUE, "#FFFFFF", BLUE,
    ]  # fmt: skip
    assert [bool(p.get_hatch()) for p in ax.patches] == [False, False, True, False]


def test_network_map_names_every_part_and_what_is_trained():
    words = " ".join(texts(network_map()))
    for part in ("query", "support masks", "backbone", "prior maps", "prototype", "Mamba mixer"):
        assert part in words
    assert {"given", "frozen, learned elsewhere", "trained on episodes"} <= set(
        texts(network_map())
    )

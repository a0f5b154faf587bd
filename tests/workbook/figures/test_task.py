"""Episodes, predictions, tables of pictures and grids of pixels, checked on their content."""

from types import SimpleNamespace

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_hex, to_rgb

from hmnet_lite.workbook.figures import task as figures
from hmnet_lite.workbook.figures.palette import BLUE
from hmnet_lite.workbook.figures.parts import WIDTH
from hmnet_lite.workbook.figures.task import picture_table, pixel_grids


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def episode(shots=1, size=32):
    rng = np.random.default_rng(shots)
    mask = np.zeros((size, size), np.uint8)
    mask[8:16, 4:24] = 1
    mask[28:] = 255
    supports = np.zeros((shots, size, size), np.uint8)
    supports[:, 10:20, 10:20] = 1
    return SimpleNamespace(
        query_image=rng.integers(0, 256, (size, size, 3), dtype=np.uint8),
        query_mask=mask,
        support_images=rng.integers(0, 256, (shots, size, size, 3), dtype=np.uint8),
        support_masks=supports,
        class_name="owl",
        query_style="fluent-3d",
        support_styles=("noto",) * shots,
    )


def titles(figure):
    return [ax.get_title() for ax in figure.axes if ax.get_title()]


def contour_points(ax):
    """All corners of the outline drawn on ``ax``, (n, 2) of (x, y) in pixels; None without one."""
    drawn = [c for c in ax.collections if hasattr(c, "levels")]
    return np.concatenate([p.vertices for p in drawn[0].get_paths()]) if drawn else None


def test_episode_picture_one_shot():
    e = episode()
    figure = figures.episode_picture(e)
    assert titles(figure) == ["support · noto", "query · fluent-3d", "answer: owl"]
    support, query, answer = figure.axes
    assert np.array_equal(support.images[0].get_array(), e.support_images[0])
    assert np.array_equal(query.images[0].get_array(), e.query_image)
    assert np.array_equal(answer.images[0].get_array(), e.query_image)
    assert contour_points(query) is None, "the query must not give the answer away"
    assert contour_points(answer).min(0).tolist() == [3.5, 7.5]
    assert contour_points(support).min(0).tolist() == [9.5, 9.5]


def test_episode_picture_many_shots_stay_legible():
    figure = figures.episode_picture(episode(shots=5))
    assert titles(figure)[3:] == [
        "support 4 · noto",
        "support 5 · noto",
        "query · fluent-3d",
        "answer: owl",
    ]
    assert figure.get_figwidth() / 4 >= 2, "inches a panel"
    plain = episode(shots=2)
    plain.support_styles, plain.query_style = (), ""
    assert titles(figures.episode_picture(plain)) == [
        "support 1",
        "support 2",
        "query",
        "answer: owl",
    ]


def test_paint_prediction_pixel_by_pixel():
    image = np.full((1, 5, 3), 100, np.uint8)
    prediction = [[1, 1, 0, 0, 1]]
    target = np.array([[1, 0, 1, 0, 255]], np.uint8)
    painted = figures.paint_prediction(image, prediction, target)
    colours = [figures.HIT, figures.FALSE_ALARM, figures.MISSED]
    for at, colour in enumerate(colours):
        expected = np.round(0.75 * 255 * np.array(to_rgb(colour)) + 25)
        assert np.abs(painted[0, at] - expected).max() <= 1
    assert painted[0, 3].tolist() == painted[0, 4].tolist() == [178, 178, 178]
    assert painted.dtype == np.uint8 and image.max() == 100


def test_prediction_grid():
    episodes = [episode(1), episode(3)]
    truth = episodes[0].query_mask == 1
    half = truth.copy()
    half[:12] = False
    nothing = np.zeros_like(truth)
    blank = episode(1)
    blank.query_mask = np.zeros_like(blank.query_mask)
    figure = figures.prediction_grid(
        [*episodes, blank], {"half": [half, half, nothing], "right": [truth, truth, truth]}
    )
    assert titles(figure) == [
        "support", "query: owl", "half\nIoU 50 %", "right\nIoU 100 %",
        "support (+2)", "query: owl", "IoU 50 %", "IoU 100 %",
        "support", "query: owl", "IoU undefined", "IoU 0 %",
    ]  # fmt: skip
    shown = figure.axes[2].images[0].get_array()
    expected = figures.paint_prediction(episodes[0].query_image, half, episodes[0].query_mask)
    assert np.array_equal(shown, expected)
    (legend,) = figure.legends
    marks = dict(zip([t.get_text() for t in legend.get_texts()], legend.get_patches(), strict=True))
    assert {name: to_hex(mark.get_facecolor()).upper() for name, mark in marks.items()} == {
        "hit": figures.HIT,
        "false alarm": figures.FALSE_ALARM,
        "missed": figures.MISSED,
    }


def test_prediction_grid_tells_what_does_not_fit():
    with pytest.raises(ValueError, match="no episodes"):
        figures.prediction_grid([], {})
    with pytest.raises(ValueError, match="'mine' has 0 predictions for 1 episodes"):
        figures.prediction_grid([episode()], {"mine": []})


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

"""What all figures share: outlines, colours, small files, the reader's own style left alone."""

import io

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_hex
from PIL import Image

from hmnet_lite.workbook.figures import parts as figures
from hmnet_lite.workbook.figures.palette import BLACK, YELLOW
from hmnet_lite.workbook.figures.parts import outline
from hmnet_lite.workbook.figures.task import episode_picture, picture_table
from tests.workbook.figures.test_task import contour_points, episode


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def test_outline_runs_between_the_pixels_of_mask_and_background():
    ax = plt.subplots()[1]
    outline(ax, episode().query_mask)
    points = contour_points(ax)
    assert (points.min(0).tolist(), points.max(0).tolist()) == ([3.5, 7.5], [23.5, 15.5])
    assert to_hex(ax.collections[0].get_edgecolor()[0]).upper() == YELLOW
    (casing,) = ax.collections[0].get_path_effects()
    assert casing._gc == {"linewidth": 4, "foreground": BLACK}


def test_outline_is_closed_at_the_edge_of_the_image_and_absent_without_foreground():
    ax = plt.subplots()[1]
    outline(ax, np.ones((5, 7), np.uint8))
    points = contour_points(ax)
    assert (points.min(0).tolist(), points.max(0).tolist()) == ([-0.5, -0.5], [6.5, 4.5])
    assert (ax.get_xlim(), ax.get_ylim()) == ((-0.5, 6.5), (4.5, -0.5))
    ax = plt.subplots()[1]
    outline(ax, np.zeros((5, 7), np.uint8))
    assert contour_points(ax) is None


def test_outline_veils_exactly_the_ignored_pixels():
    ax = plt.subplots()[1]
    mask = episode().query_mask
    outline(ax, mask)
    (veil,) = ax.images
    assert np.array_equal(veil.get_array()[..., 3] > 0, mask == 255)


def test_figures_leave_the_reader_s_own_style_alone():
    before = dict(matplotlib.rcParams)
    episode_picture(episode())
    assert dict(matplotlib.rcParams) == before


def noise_figure():
    """Nothing compresses worse."""
    image = np.random.default_rng(0).integers(0, 256, (200, 200, 3), dtype=np.uint8)
    return picture_table({"noise": [image] * 3})


def test_png_keeps_full_colour_and_size_when_it_can():
    _, ax = plt.subplots(figsize=(9, 3.8))
    ax.plot([1, 2])
    image = Image.open(io.BytesIO(figures.png(ax)))
    assert (image.format, image.mode, image.size) == ("PNG", "RGB", (900, 380))


def test_png_gives_up_colours_and_then_dots_but_never_the_limit():
    figure = noise_figure()
    free = len(figures.png(figure, max_bytes=10**7))
    tight = figures.png(figure, max_bytes=free // 4)
    assert free > 100_000 and len(tight) <= free // 4
    assert Image.open(io.BytesIO(tight)).mode == "P"
    default = figures.png(figure)
    assert 20_000 < len(default) <= 100_000
    with pytest.raises(ValueError, match=r"at 50 dpi and 64 colours; expected at most 2,000"):
        figures.png(figure, max_bytes=2000)


def test_save_returns_the_path_and_writes_nothing_when_it_cannot(tmp_path):
    path = figures.save(episode_picture(episode()), tmp_path / "figures" / "a.png")
    assert path == tmp_path / "figures" / "a.png"
    assert path.read_bytes()[:4] == b"\x89PNG" and path.stat().st_size <= 100_000
    with pytest.raises(ValueError, match="show fewer or smaller pictures"):
        figures.save(noise_figure(), tmp_path / "b.png", max_bytes=2000)
    assert not (tmp_path / "b.png").exists()

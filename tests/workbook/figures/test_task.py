"""Figures are checked on their numbers: lines, bars, outlines, pixels, titles, file sizes."""

import io
from types import SimpleNamespace

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_hex, to_rgb
from matplotlib.container import BarContainer
from PIL import Image

from hmnet_lite.data.emoji.protocol import Protocol
from hmnet_lite.scoring.evaluate import Report
from hmnet_lite.scoring.metrics import Scores
from hmnet_lite.workbook.figures import task as figures
from hmnet_lite.workbook.figures.parts import BLACK, CYCLE, YELLOW, outline


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


# ---------------------------------------------------------------- pictures


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


def test_contact_sheet():
    images = [np.full((9, 9 + i, 3), 20 * i, np.uint8) for i in range(5)]
    figure = figures.contact_sheet(images, list("abcde"), columns=3)
    assert titles(figure) == list("abcde")
    assert len(figure.axes) == 6 and not figure.axes[5].axison
    for ax, image in zip(figure.axes, images, strict=False):
        assert np.array_equal(ax.images[0].get_array(), image)
    for bad in ([], ["a"]):
        with pytest.raises(ValueError, match=f"5 images and {len(bad)} titles"):
            figures.contact_sheet(images, bad)
    with pytest.raises(ValueError, match="0 images and 0 titles"):
        figures.contact_sheet([], [])


# ---------------------------------------------------------------- charts


def run(steps):
    return SimpleNamespace(
        loss=[2 - i / steps for i in range(steps)],
        iou=[i / steps for i in range(steps)],
        seconds=[30.0 * i for i in range(steps)],
    )


def test_running_mean():
    values = np.array([0.0, 3.0, 6.0, 9.0, 30.0])
    assert figures.running_mean(values, 3).tolist() == [1.5, 3.0, 6.0, 15.0, 19.5]
    assert figures.running_mean(values, 0).tolist() == values.tolist()
    assert figures.running_mean(np.full(50, 7.0), 9) == pytest.approx(7.0)


@pytest.mark.parametrize("against, scale", [("step", 1), ("seconds", 0.5)])
def test_training_curves(against, scale):
    histories = {"base": run(40), "HMNet-lite": run(60)}
    figure = figures.training_curves(histories, against=against, smooth=0.1)
    left, right = figure.axes
    raw, smooth = left.lines[2:]
    offset = 1 if against == "step" else 0
    assert raw.get_xdata() == pytest.approx(scale * (np.arange(60) + offset))
    assert raw.get_ydata() == pytest.approx(histories["HMNet-lite"].loss)
    assert smooth.get_ydata() == pytest.approx(
        figures.running_mean(histories["HMNet-lite"].loss, 6)
    )
    assert right.lines[0].get_ydata() == pytest.approx(100 * np.array(histories["base"].iou))
    assert raw.get_alpha() < 1 and smooth.get_alpha() is None
    assert left.lines[1].get_linestyle() != smooth.get_linestyle(), "not by colour alone"
    label = {"step": "step", "seconds": "training time (minutes)"}[against]
    assert left.get_xlabel() == right.get_xlabel() == label
    assert (left.get_ylabel(), right.get_ylabel()) == ("loss", "IoU of the batch (%)")
    assert right.get_ylim() == (0, 100)
    (legend,) = figure.legends
    assert [t.get_text() for t in legend.get_texts()] == ["base", "HMNet-lite"]


def test_training_curves_tell_what_does_not_fit():
    assert not figures.training_curves({"alone": run(5)}).legends
    with pytest.raises(ValueError, match="expected 'step' or 'seconds'"):
        figures.training_curves({"a": run(5)}, against="epoch")
    with pytest.raises(ValueError, match="'a' has no steps"):
        figures.training_curves({"a": run(0)})


def scored(miou):
    return Scores.from_dict({"0": [10, miou, 100, 100, 100]})


@pytest.fixture
def report():
    report = Report()
    for gap, shift in (("same", 20), ("cross", 0)):
        protocol = Protocol(episodes=10, gap=gap)
        report.add("all foreground", protocol, scored(8))
        report.add("prior mask", protocol, scored(30 + shift))
        for seed, value in enumerate((40, 44, 45)):
            report.add("HMNet-lite", protocol, scored(value + shift), seed=seed)
    report.add("every object", Protocol(episodes=10, gap="cross"), scored(31))
    return report


def bars_of(ax):
    return {
        bars.get_label(): [(bar.get_x() + bar.get_width() / 2, bar.get_height()) for bar in bars]
        for bars in ax.containers
        if isinstance(bars, BarContainer)
    }


def test_results_bars(report):
    ax = figures.results_bars(report)
    bars = bars_of(ax)
    assert list(bars) == ["prior mask", "HMNet-lite"]
    assert np.array(bars["prior mask"]) == pytest.approx(np.array([[-0.2, 50], [0.8, 30]]))
    assert np.array(bars["HMNet-lite"]) == pytest.approx(np.array([[0.2, 63], [1.2, 43]]))
    assert [t.get_text() for t in ax.texts] == ["50.0", "30.0", "63.0", "43.0"]
    assert [t.get_text() for t in ax.get_xticklabels()] == ["same", "cross"]
    assert ax.get_ylabel() == "mIoU (%), mean ± std over seeds"
    assert ax.get_ylim()[0] == 0


def test_results_bars_whiskers_are_the_spread_of_trained_methods_only(report):
    ax = figures.results_bars(report)
    whiskers = [c for c in ax.containers if not isinstance(c, BarContainer)]
    (whisker,) = whiskers
    segments = np.array(whisker.lines[2][0].get_segments())
    std = np.std([40, 44, 45], ddof=1)
    assert segments[:, :, 0] == pytest.approx(np.array([[0.2, 0.2], [1.2, 1.2]]))
    assert segments[:, :, 1] == pytest.approx(
        np.array([[63 - std, 63 + std], [43 - std, 43 + std]])
    )


def test_results_bars_floors_are_lines_where_they_were_measured(report):
    ax = figures.results_bars(report)
    floors = {
        c.get_label(): np.array(c.get_segments())
        for c in ax.collections
        if str(c.get_label()).startswith("floor: ")
    }
    assert list(floors) == ["floor: all foreground", "floor: every object"]
    assert floors["floor: all foreground"][..., 1].tolist() == [[8, 8], [8, 8]]
    assert floors["floor: every object"].tolist() == [[[0.56, 31], [1.44, 31]]]
    legend = [t.get_text() for t in ax.get_legend().get_texts()]
    assert legend == ["prior mask", "HMNet-lite", *floors]


def test_results_bars_choices(report):
    given = plt.subplots()[1]
    ax = figures.results_bars(
        report, metric="fb_iou", floors=["all foreground", "every object", "HMNet-lite"], ax=given
    )
    assert ax is given
    assert np.array(bars_of(ax)["prior mask"])[:, 1] == pytest.approx([75, 65])
    assert ax.get_ylabel() == "FB-IoU (%)", "no seeds, no spread to name"
    with pytest.raises(ValueError, match="nothing to draw bars of: the report has no rows"):
        figures.results_bars(Report())
    with pytest.raises(ValueError, match="expected one of miou, fb_iou"):
        figures.results_bars(report, metric="dice")


def test_forgetting_curve():
    x = np.arange(5) * 10
    curves = {"cross": np.linspace(1, 0, 5), "SRM": np.full(5, 0.5)}
    ax = figures.forgetting_curve(x, curves)
    assert ax.lines[0].get_xdata().tolist() == x.tolist()
    assert ax.lines[0].get_ydata().tolist() == [100, 75, 50, 25, 0]
    assert ax.lines[1].get_ydata().tolist() == [50] * 5
    assert ax.lines[0].get_linestyle() != ax.lines[1].get_linestyle()
    assert ax.get_ylabel() == "support's share of the state (%)"
    assert ax.get_xlabel() == "position along the query scan (pixels)"
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["cross", "SRM"]


@pytest.mark.parametrize(
    "curve, message",
    [
        (np.zeros(4), r"'bad' has shape \(4,\), x \(5,\)"),
        ([0, 0, 0, 0, 1.5], r"from 0\.0 to 1\.5; expected shares in \[0, 1\]"),
        ([0, 0, 0, 0, np.nan], r"from nan to nan; expected shares"),
    ],
)
def test_forgetting_curve_tells_what_does_not_fit(curve, message):
    with pytest.raises(ValueError, match=message):
        figures.forgetting_curve(np.arange(5), {"bad": curve})


# ---------------------------------------------------------------- style and files


def lightness(colour):
    """CIE L*, 0 to 100."""
    rgb = np.array(to_rgb(colour))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return 116 * np.cbrt(linear @ [0.2126, 0.7152, 0.0722]) - 16


def test_neighbouring_colours_differ_in_lightness_and_are_not_repeated():
    assert len(set(CYCLE)) == len(CYCLE)
    steps = np.abs(np.diff([lightness(colour) for colour in CYCLE]))
    assert steps.min() > 8


def test_figures_leave_the_reader_s_own_style_alone():
    before = dict(matplotlib.rcParams)
    figures.forgetting_curve(np.arange(3), {"a": np.ones(3)})
    figures.episode_picture(episode())
    assert dict(matplotlib.rcParams) == before


def noise_figure():
    """Nothing compresses worse."""
    image = np.random.default_rng(0).integers(0, 256, (200, 200, 3), dtype=np.uint8)
    return figures.contact_sheet([image] * 3, list("abc"), columns=3)


def test_png_keeps_full_colour_and_size_when_it_can():
    ax = figures.forgetting_curve(np.arange(3), {"a": np.ones(3)})
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
    with pytest.raises(ValueError, match=r"at 50 dpi and 128 colours; expected at most 2,000"):
        figures.png(figure, max_bytes=2000)


def test_save_returns_the_path_and_writes_nothing_when_it_cannot(tmp_path):
    path = figures.save(figures.episode_picture(episode()), tmp_path / "figures" / "a.png")
    assert path == tmp_path / "figures" / "a.png"
    assert path.read_bytes()[:4] == b"\x89PNG" and path.stat().st_size <= 100_000
    with pytest.raises(ValueError, match="show fewer or smaller pictures"):
        figures.save(noise_figure(), tmp_path / "b.png", max_bytes=2000)
    assert not (tmp_path / "b.png").exists()

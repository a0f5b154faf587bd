"""The analysis' figures are checked on their numbers: teeth, bands, bars, colours, loudness."""

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_hex

from hmnet_lite.workbook.figures import attention, forgetting, fused_pca, similarity
from hmnet_lite.workbook.figures.palette import BLUE, ORANGE

RNG = np.random.default_rng(0)
IMAGE = np.full((32, 64, 3), 40, np.uint8)


@pytest.fixture(autouse=True)
def close_figures():
    yield
    for number in plt.get_fignums():
        plt.figure(number).canvas.draw()  # some mistakes are made only when it is drawn
    plt.close("all")


def panel(readings=5, **more):
    values = {m: forgetting.bands(RNG.random((11, readings))) for m in ("cosine", "share")}
    at, kinds = np.array([0, 4, 4, 8, 8])[:readings], np.array([1, 0, 1, 0, 1])[:readings]
    return {"at": at, "of_support": kinds} | values | more


def test_teeth_tell_what_was_read_and_their_bands():
    other = {"share": np.full(5, 0.25)}
    seeds = {"share": np.full((2, 5), 0.5)}
    panels = {"once": panel(2), "SRM": panel(beside=other, seeds=seeds)}
    figure = forgetting.saw_teeth(panels, ["cosine", "share"])
    first, second, third, fourth = figure.axes
    assert [first.get_title(), second.get_title()] == ["once", "SRM"]
    assert third.get_ylabel() == "share (%)"
    lines = {line.get_label(): line for line in fourth.lines}
    mean = 100 * panels["SRM"]["share"][0]
    assert np.allclose(lines["after the support"].get_ydata(), mean[[0, 2, 4]])
    assert np.allclose(lines["after a query patch"].get_xdata(), [4, 8])
    assert to_hex(lines["after the support"].get_color()).upper() == BLUE
    assert to_hex(lines["after a query patch"].get_color()).upper() == ORANGE
    assert np.allclose(lines["full network"].get_ydata(), 25)
    assert np.allclose(lines["one training seed"].get_ydata(), 50)
    low, high = (100 * panels["SRM"]["share"][i] for i in (1, 2))
    y = fourth.collections[0].get_paths()[0].vertices[:, 1]
    assert np.isclose(y.min(), low[[0, 2, 4]].min()) and np.isclose(y.max(), high[[0, 2, 4]].max())
    with pytest.raises(ValueError, match=r"'cosine' of 'x' has shape \(5,\); expected \(3, 5\)"):
        forgetting.saw_teeth({"x": panel() | {"cosine": np.ones(5)}}, ["cosine"])


def test_heatmaps_hold_the_shares():
    shares = {"once": RNG.random((4, 16)), "SRM": RNG.random((4, 16))}
    figure = forgetting.where_it_lasts(shares, "abcd")
    for ax, values in zip(figure.axes, shares.values(), strict=False):
        assert np.allclose(ax.collections[0].get_array().reshape(4, 16), 100 * values)
    assert [t.get_text() for t in figure.axes[0].get_yticklabels()] == list("abcd")


def test_directions_have_a_line_each_and_bars_over_seeds():
    share = RNG.random((3, 4, 2))
    figure = forgetting.by_direction({"SRM": {"at": [64, 128], "share": share}}, "abcd")
    (ax,) = figure.axes
    for k, drawn in enumerate(ax.containers):
        line, _, (bars,) = drawn
        assert np.allclose(line.get_ydata(), 100 * share[:, k].mean(0))
        ends = np.array([segment[:, 1] for segment in bars.get_segments()])
        assert np.allclose(ends[:, 0], 100 * share[:, k].min(0))
        assert np.allclose(ends[:, 1], 100 * share[:, k].max(0))
    assert [t.get_text() for t in figure.legends[0].get_texts()] == list("abcd")


def test_before_and_after_show_means_over_seeds():
    values = {p: RNG.random((3, 2)) for p in ("all", "FG", "BG")}
    panels = {"SRM": {"before": values, "after": {p: v + 1 for p, v in values.items()}}}
    noise = {"noise": {"after": values}}
    figure = similarity.before_and_after({"core": panels | noise, "block": panels}, ("same", "x"))
    first, second, third, blank = figure.axes
    drawn = {}
    for line, _, (bars,) in first.containers:
        drawn[tuple(line.get_ydata().round(6))] = line, bars
    for part, colour in similarity.PART_COLOURS.items():
        for more in (0, 1):
            shown = 100 * (values[part] + more)
            line, bars = drawn[tuple(shown.mean(0).round(6))]
            assert to_hex(line.get_color()).upper() == colour
            ends = np.array([segment[:, 1] for segment in bars.get_segments()])
            assert np.allclose(ends, np.stack([shown.min(0), shown.max(0)], 1)), "all seeds"
    assert [first.get_ylabel(), third.get_ylabel()] == ["core", "block"]
    assert [first.get_title(), second.get_title()] == ["SRM", "noise"]
    assert not blank.axison, "the second place has no noise"
    assert [t.get_text() for t in third.get_xticklabels()] == ["same", "x"]
    assert len(figure.legends[0].get_texts()) == 4
    few = {p: v[:, :1] for p, v in values.items()}
    with pytest.raises(ValueError, match=r"before of 'x' has shape \(3, 1\); expected \(seeds, 2"):
        similarity.before_and_after({"core": {"x": {"before": few}}}, ("a", "b"))


def test_features_are_drawn_as_given():
    pictures = [(IMAGE, np.eye(32, 64, dtype=np.uint8))] * 2
    colours = {k: RNG.random((2, 4, 8, 3)) for k in ("before", "SRM")}
    likeness = {k: RNG.random((2, 4, 8)) for k in ("before", "SRM")}
    figure = fused_pca.feature_table(pictures, colours, likeness)
    axes = np.array(figure.axes[:12]).reshape(4, 3)
    assert np.allclose(axes[2, 2].images[0].get_array(), colours["SRM"][1])
    assert np.allclose(axes[3, 1].images[0].get_array(), likeness["before"][1])
    assert axes[3, 1].images[0].get_clim() == (-1, 1)
    with pytest.raises(ValueError, match="expected the same names"):
        fused_pca.feature_table(pictures, colours, {"before": likeness["before"]})


def test_clouds_share_their_axes():
    parts = {name: RNG.random((7, 2)) for name in fused_pca.CLOUDS}
    figure = fused_pca.clouds({"before": parts, "SRM": parts}, (0.5, 0.25, 0.1))
    for drawn, name in zip(figure.axes[1].collections, parts, strict=True):
        assert np.allclose(drawn.get_offsets(), parts[name])
    assert figure.get_supylabel() == "component 2 (25 % of the variance)"
    assert [t.get_text() for t in figure.legends[0].get_texts()] == list(parts)


def test_what_is_heard_is_as_opaque_as_it_is_loud():
    support, query = np.zeros((2, 2)), np.zeros((2, 4))
    support[0, 1], query[1, 2], query[0, 3] = 4.0, 3.0, 1.0
    rows = {"recaps": [(support, query)] * 2, "QIM": [None, (support, query)]}
    figure = attention.heard_table((IMAGE, IMAGE), rows, (1, 2), ("→", "all"))
    axes = np.array(figure.axes).reshape(2, 4)
    loud = [ax.images[1].get_array()[..., 3] for ax in axes[0, :2]]
    assert np.allclose(loud[0], [[0, 0.95], [0, 0]])
    assert np.isclose(loud[1][0, 3], 0.475) and loud[1][1, 2] == 0, "√(1/4); itself left out"
    (cell,) = axes[0, 1].patches
    assert cell.get_xy() == (31.5, 15.5) and (cell.get_width(), cell.get_height()) == (16, 16)
    assert axes[0, 0].get_title() == "50 %", "4 of 8 is the support's, the pixel itself counted"
    assert not axes[1, 0].images and axes[1, 2].images
    with pytest.raises(ValueError, match="'x' has 1 pairs; expected 2"):
        attention.heard_table((IMAGE, IMAGE), {"x": [None]}, (1, 2), ("→", "all"))


def test_matrices_are_scaled_and_exact_zeros_blank():
    matrix = np.array([[2.0, 1.0, 0.0], [0.02, 1.0, 1.0]])
    figure = attention.attention_matrices({"SRM": matrix})
    shown = figure.axes[0].collections[0].get_array().reshape(2, 3)
    assert np.allclose(np.ma.filled(shown, 0), matrix / 2)
    assert shown.mask.tolist() == (matrix == 0).tolist()
    assert figure.axes[0].lines[0].get_xdata()[0] == 1, "the support has one column"

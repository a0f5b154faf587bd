"""What notebook 06 draws, measures, moves and asks."""

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from torch import nn

from hmnet_lite.machine import Timeline, memory_timeline
from hmnet_lite.workbook.exercises import published as exercises
from hmnet_lite.workbook.figures.published import (
    evidence_row,
    memory_over_time,
    parameter_bars,
    parity_maps,
    published_map,
)

SHAPES = {
    "picture": (3, 473, 473), "mask": (473, 473), "low": (512, 60, 60), "mid": (1024, 60, 60),
    "deep": (2048, 60, 60), "base": (512, 60, 61), "prior": (2, 64, 64),
    "query_in": (256, 64, 64), "support_in": (256, 64, 65), "query_out": (256, 64, 66),
    "meta_logits": (2, 64, 67), "base_foreground": (1, 64, 68), "style_distance": (5,),
    "scores": (2, 473, 474),
}  # fmt: skip


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


# ---- figures --------------------------------------------------------------------------------


def test_the_map_shows_every_shape_once_and_no_text_on_another():
    figure = published_map(SHAPES)
    figure.draw_without_rendering()
    texts = figure.axes[0].texts
    shown = [text.get_text() for text in texts]
    for shape in SHAPES.values():
        assert sum(s.endswith(" × ".join(map(str, shape))) for s in shown) >= 1
    boxes = [text.get_window_extent().padded(-1) for text in texts]
    for i, box in enumerate(boxes):
        for j in range(i):
            assert not box.overlaps(boxes[j]), (shown[i], shown[j])


def test_the_map_refuses_other_shapes():
    with pytest.raises(ValueError, match=r"shapes has .* expected .*base_foreground"):
        published_map({k: v for k, v in SHAPES.items() if k != "scores"})


def test_evidence_is_on_one_scale_and_the_answer_is_scored():
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
    mask = np.zeros((8, 8), np.uint8)
    mask[2:6, 2:6] = 1
    maps = {"a": rng.random((4, 4)), "b": rng.random((8, 8)) / 10}
    answer = np.zeros((8, 8), bool)
    answer[2:6, 2:4] = True
    figure = evidence_row(image, mask, maps, answer=answer)
    titles = [ax.get_title() for ax in figure.axes[:4]]
    assert titles == ["query", "a", "b", "answer, IoU 50 %"]
    for ax, values in zip(figure.axes[1:3], maps.values(), strict=True):
        shown = ax.images[0]
        assert np.array_equal(shown.get_array(), values) and shown.get_clim() == (0, 1)
    faded = figure.axes[3].images[0].get_array()
    assert np.array_equal(faded[answer], image[answer]) and faded[~answer].min() >= 191


def test_parity_shows_both_maps_on_one_scale_and_their_difference():
    published = np.arange(12.0).reshape(3, 4)
    ours = published + 2e-6 * np.eye(3, 4)
    first, second, difference = (a.images[0] for a in parity_maps(published, ours, "x").axes[:3])
    assert first.get_clim() == second.get_clim() == (0, 11)
    assert np.allclose(difference.get_array(), 2 * np.eye(3, 4), atol=1e-6)
    assert -difference.norm.vmin == difference.norm.vmax == pytest.approx(2)
    parity_maps(published, published, "nothing differs")


def test_bars_end_at_their_sums_and_marks_stand_at_the_paper_s_numbers():
    parts = {"a": [20, 21], "b": [3, 4], "c": [1, 0.5]}
    ax = parameter_bars(parts, [4, 6], [23.0, 25.1]).axes[0]
    ends = [[bar.get_x() + bar.get_width() for bar in bars] for bars in ax.containers]
    assert ends == [[20, 21], [23, 25], [24, 25.5]]
    assert [line.get_xdata()[0] for line in ax.lines] == [23.0, 25.1]
    assert {"24.00", "25.50", "23.0", "25.1"} == {text.get_text() for text in ax.texts}


def test_memory_is_drawn_as_it_was():
    spans = (("a", 0.0, 1.0), ("b", 1.5, 2.0), ("a", 2.0, 3.0))
    timeline = Timeline(np.array([0.5, 2.5]), np.array([3_000_000, 1_000_000]), spans)
    ax = memory_over_time(timeline).axes[0]
    assert np.array_equal(ax.lines[0].get_ydata(), [3, 1])
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["a", "b"]
    assert len(ax.patches) == 3


# ---- memory over time -----------------------------------------------------------------------


class Takes(nn.Module):
    def __init__(self, floats):
        super().__init__()
        self.floats = floats

    def forward(self):
        return torch.ones(self.floats).sum()


def test_the_timeline_knows_who_held_how_much():
    small, large = Takes(100_000), Takes(1_000_000)

    def run():
        kept = torch.ones(50_000)
        small()
        large()
        small()
        return kept.sum()

    timeline = memory_timeline(run, {"small": small, "large": large})
    assert [name for name, *_ in timeline.spans] == ["small", "large", "small"]
    assert all(begin < end for _, begin, end in timeline.spans)
    assert timeline.peak("small") == pytest.approx(4 * 150_000, rel=0.01)
    assert timeline.peak("large") == timeline.peak() == pytest.approx(4 * 1_050_000, rel=0.01)
    assert timeline.live[-1] < 1000 and timeline.peak("nobody") == 0
    spent = [end - begin for name, begin, end in timeline.spans if name == "small"]
    assert len(spent) == 2 and timeline.spent("small") == pytest.approx(sum(spent))
    assert not small._forward_hooks and not small._forward_pre_hooks


# ---- the widget -----------------------------------------------------------------------------


def test_the_ensemble_explorer_believes_whom_it_is_told_to():
    pytest.importorskip("ipywidgets", reason="needs the notebooks extra")
    from hmnet_lite.workbook.widgets.published import ensemble_explorer

    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)
    mask = np.zeros((16, 16), np.uint8)
    mask[:8] = 1
    base, keep, style, picture = ensemble_explorer(
        image, mask, rng.random((16, 16)), rng.random((16, 16))
    ).children
    first = bytes(picture.value)
    assert first.startswith(b"\xff\xd8")
    style.value = 0.9
    assert bytes(picture.value) == first  # it cancels as long as w₀ = 1
    base.value = 0.5
    second = bytes(picture.value)
    assert second != first
    keep.value = 1.2
    third = bytes(picture.value)
    style.value = 0.1
    assert len({second, third, bytes(picture.value)}) == 3
    base.value, keep.value, style.value = 0, 1, 0.5
    assert bytes(picture.value) == first


# ---- the exercises --------------------------------------------------------------------------


def right_map_side(side):
    return -(-side // 8)


def right_block_parameters(dim, state):
    inner, rank = 2 * dim, -(-dim // 16)
    path = 2 * dim * inner + 10 * inner + inner * dim + 2 * (dim * dim + dim)
    return 4 * dim + 2 * inner + 2 * path + 4 * inner * (2 * rank + 3 * state + 2)


def right_in_shot_order(weights, psi):
    return weights[psi.argsort().argsort()]


def right_threshold(v, w, psi, base):
    return (w[0] * v[0] + (w[0] - 1) * v[1] * psi + w[1] * base) / (v[0] * (1 + w[0]))


ANSWERS = {
    "map_side": right_map_side,
    "block_parameters": right_block_parameters,
    "in_shot_order": right_in_shot_order,
    "threshold": right_threshold,
}


@pytest.mark.parametrize("name", ANSWERS)
def test_right_answers_are_right(name):
    verdict = getattr(exercises, name)(ANSWERS[name])
    assert verdict.right is True, verdict


@pytest.mark.parametrize("name", ANSWERS)
def test_dots_are_not_answered_yet(name):
    check = getattr(exercises, name)
    assert check(...).right is None and check(lambda *_: ...).right is None


def ssm_numbers(dim, state):
    return 4 * 2 * dim * (2 * -(-dim // 16) + 3 * state + 2)


def one_path(dim, state):
    return (right_block_parameters(dim, state) - ssm_numbers(dim, state) - 8 * dim) // 2


@pytest.mark.parametrize(
    "name, answer, said",
    [
        ("map_side", lambda side: side // 8, "rounds up"),
        ("map_side", lambda side: -(-side // 32), "dilated and halve nothing"),
        ("map_side", lambda side: side, "the backbone's map has 60"),
        ("block_parameters", lambda d, n: right_block_parameters(d, n) - ssm_numbers(d, n),
         "as in the paper's count"),
        ("block_parameters", lambda d, n: right_block_parameters(d, n) - one_path(d, n),
         "come twice"),
        ("block_parameters", lambda d, n: right_block_parameters(d, n) - 3 * ssm_numbers(d, n) // 4,
         "each of the 4 directions"),
        ("block_parameters", lambda d, n: 7, "expected 1,229,824"),
        ("in_shot_order", lambda w, psi: w, "the released code's slip"),
        ("in_shot_order", lambda w, psi: w[psi.argsort()], "The inverse"),
        ("in_shot_order", lambda w, psi: w.flip(0), "the smallest ψ gets 0.50"),
        ("in_shot_order", lambda w, psi: w[0], r"expected (4,)"),
        ("threshold", lambda v, w, psi, b: (1 + w[1] * b) / 2, "keep all four weights"),
        ("threshold", lambda v, w, psi, b: 0.5, "the scores cross at"),
    ],
)  # fmt: skip
def test_mistakes_are_named(name, answer, said):
    verdict = getattr(exercises, name)(answer)
    assert verdict.right is False and said in verdict.message, verdict

"""What notebook 01 draws, moves and asks: sampling rules, figures, the widget, the exercises."""

import math

import matplotlib.pyplot as plt
import numpy as np
import pytest

from hmnet_lite.scan.discretise import RULES, discretise, recurrence
from hmnet_lite.workbook.exercises import scan as exercises
from hmnet_lite.workbook.figures import scan as figure_scan
from hmnet_lite.workbook.widgets import parts as widgets
from tests.browser import open_notebook
from tests.project.test_browser_harness import write_notebook

SPRING = np.array([[0.0, 1.0], [-4.0, -0.4]]), np.array([0.0, 4.0])


# ---- the rules ------------------------------------------------------------------------------


def test_the_hold_of_a_leaky_tank_is_its_formula():
    A_bar, B_bar = discretise([[-0.5]], [3.0], 2.0)
    assert A_bar.item() == pytest.approx(math.exp(-1), rel=1e-12)
    assert B_bar.item() == pytest.approx(3 * (1 - math.exp(-1)) / 0.5, rel=1e-12)


def test_the_hold_needs_no_inverse():
    A_bar, B_bar = discretise([[0.0, 1.0], [0.0, 0.0]], [0.0, 1.0], 2.0)  # a cart that is pushed
    assert np.allclose(A_bar, [[1, 2], [0, 1]]) and np.allclose(B_bar, [2, 2])


def test_two_half_steps_are_one_step_for_the_hold_only():
    for rule in RULES:
        whole = recurrence(*discretise(*SPRING, 0.5, rule), [1.0, 0.3])
        halves = recurrence(*discretise(*SPRING, 0.25, rule), [1.0, 1.0, 0.3, 0.3])
        assert np.allclose(whole, halves[::2], atol=1e-12) == (rule == "zoh")


def test_all_rules_agree_in_the_limit():
    fine = {rule: recurrence(*discretise(*SPRING, 1e-4, rule), np.ones(10_000)) for rule in RULES}
    for rule in ("euler", "mamba"):
        assert np.abs(fine[rule] - fine["zoh"]).max() < 2e-3
    assert fine["zoh"].shape == (10_001, 2) and not fine["zoh"][0].any()


@pytest.mark.parametrize(
    "A, B, delta, rule, said",
    [
        ([[-1.0]], [1.0, 2.0], 1.0, "zoh", r"expected \(n, n\) and \(n,\)"),
        ([[-1.0]], [1.0], 0.0, "zoh", "positive step"),
        ([[-1.0]], [1.0], 1.0, "rk4", "one of zoh, euler, mamba"),
    ],
)
def test_bad_systems_are_refused(A, B, delta, rule, said):
    with pytest.raises(ValueError, match=said):
        discretise(A, B, delta, rule)


# ---- figures --------------------------------------------------------------------------------


def test_sampled_curves_hold_the_numbers_and_say_who_leaves():
    time = np.linspace(0, 2, 21)
    tame, wild = np.array([0.0, 0.5, 0.8]), np.array([0.0, 5.0, -20.0])
    figure = figure_scan.sampled_curves(
        time, 1 - np.exp(-time), np.ones(21), {"tame": ([0, 1, 2], tame), "wild": ([0, 1, 2], wild)}
    )
    lines = {line.get_label(): line.get_ydata() for line in figure.axes[0].lines}
    assert np.array_equal(lines["tame"], tame)
    assert np.array_equal(lines["wild (leaves the picture)"], wild)
    assert np.allclose(lines["the true curve"], 1 - np.exp(-time))
    with pytest.raises(ValueError, match="expected the same"):
        figure_scan.sampled_curves(time, time[1:], time, {})
    plt.close(figure)


def test_curves_against_the_step_leave_out_zeros():
    x = np.array([0.1, 1.0, 10.0])
    ax = figure_scan.against_step(
        x, {"error": [0.0, 1.0, np.inf]}, xlabel="x", ylabel="y", mark=(0.1, 1), mark_label="here"
    )
    (line,) = ax.lines
    assert np.array_equal(np.isnan(line.get_ydata()), [True, False, True])
    assert ax.get_xscale() == ax.get_yscale() == "log"
    assert "here" in [text.get_text() for text in ax.get_legend().get_texts()]
    plt.close(ax.figure)


def test_mixing_matrices_hide_the_future_and_share_their_scale():
    low = np.tril(np.arange(16.0).reshape(4, 4))
    figure = figure_scan.mixing_matrices({"a": low, "b": -2 * low})
    images = [ax.images[0] for ax in figure.axes[:2]]
    for image, matrix in zip(images, (low, -2 * low), strict=True):
        shown = image.get_array()
        assert np.array_equal(shown.mask, np.triu(np.ones((4, 4), bool), 1))
        assert np.array_equal(shown.filled(0), matrix)
        assert image.get_clim() == (-30, 30)
    plt.close(figure)
    with pytest.raises(ValueError, match="from the future"):
        figure_scan.mixing_matrices({"a": low.T})
    with pytest.raises(ValueError, match="expected a square matrix"):
        figure_scan.mixing_matrices({"a": low[:3]})


def test_memory_panels_show_what_is_wanted():
    inputs, marked = np.array([1.0, 5.0, 2.0, 3.0]), np.array([False, True, False, True])
    figure = figure_scan.memory_panels(inputs, marked, {"copy": inputs, "none": 0 * inputs})
    wanted, state = figure.axes[1].lines
    assert np.array_equal(wanted.get_ydata(), [np.nan, 5, 5, 3], equal_nan=True)
    assert np.array_equal(state.get_ydata(), inputs)
    assert len(figure.axes) == 3
    plt.close(figure)
    with pytest.raises(ValueError, match="'copy' has shape"):
        figure_scan.memory_panels(inputs, marked, {"copy": inputs[1:]})


def test_seed_bars_show_means_and_every_seed():
    ax = figure_scan.seed_bars({"a": [0.5, 0.7], "b": [1.0]}, chance=0.25)
    assert [patch.get_width() for patch in ax.patches] == pytest.approx([60, 100])
    assert sorted(ax.lines[0].get_xdata()) == pytest.approx([50, 70])
    assert ax.lines[-1].get_xdata()[0] == 25
    plt.close(ax.figure)
    for wrong in ([], [1.2]):
        with pytest.raises(ValueError, match="expected shares"):
            figure_scan.seed_bars({"a": wrong}, chance=0.25)


# ---- the widget -----------------------------------------------------------------------------


def test_the_widget_draws_again_for_another_step_and_another_system():
    box = widgets.discretisation_explorer(
        {"tank": (np.array([[-0.5]]), np.array([1.0])), "spring": SPRING},
        lambda time: np.where(time < 4, 1.0, 0.0),
        (0.5, 1, 2, 4),
        duration=8,
    )
    system, delta, image = box.children
    assert delta.value == 2
    seen = [bytes(image.value)]
    delta.value = 4
    seen.append(bytes(image.value))
    system.value = "spring"  # where Euler runs away
    seen.append(bytes(image.value))
    delta.value = 0.5
    seen.append(bytes(image.value))
    assert len(set(seen)) == 4
    assert all(picture[:2] == b"\xff\xd8" for picture in seen)  # JPEG


WIDGET = """
import numpy as np
from hmnet_lite.workbook.widgets.parts import discretisation_explorer

tank = np.array([[-0.5]]), np.array([1.0])
discretisation_explorer({"tank": tank}, lambda time: np.ones_like(time), (0.5, 1, 2, 4), duration=8)
"""


@pytest.mark.browser
@pytest.mark.slow
def test_the_slider_of_the_widget_moves_in_a_browser(tmp_path):
    notebook = write_notebook(tmp_path / "widget.ipynb", WIDGET)
    with open_notebook(notebook, tmp_path / "lab") as page:
        page.run_all()
        first = page.picture()
        page.press("ArrowRight")
        page.wait_for_other_picture(first)
        assert page.page.locator(".widget-readout").inner_text() == "4"
        assert page.errors == []


# ---- exercises ------------------------------------------------------------------------------


def right_hold(a, b, delta):
    return math.exp(a * delta), b * (math.expm1(a * delta) / a if a else delta)


def right_kernel(decay, drive, C, length):
    return ((decay ** np.arange(length)[:, None]) * drive * C).sum(1)


def right_latch(marked):
    return np.where(marked, 20.0, 0.0), np.full(len(marked), 1 / 20)


ANSWERS = {"hold": right_hold, "kernel": right_kernel, "latch": right_latch}


@pytest.mark.parametrize("name", ANSWERS)
def test_right_answers_are_right(name):
    assert getattr(exercises, name)(ANSWERS[name]).right is True


@pytest.mark.parametrize("name", ANSWERS)
def test_dots_are_not_answered_yet(name):
    check = getattr(exercises, name)
    assert check(...).right is None and check(lambda *_: ...).right is None


def divides(a, b, delta):
    return math.exp(a * delta), b * math.expm1(a * delta) / a


def loses_digits(a, b, delta):
    return math.exp(a * delta), b * ((math.exp(a * delta) - 1) / a if a else delta)


@pytest.mark.parametrize(
    "name, answer, said",
    [
        ("hold", divides, "only fills"),
        ("hold", loses_digits, "expm1(x)"),
        ("hold", lambda a, b, d: (1 + a * d, d * b), "Euler's 1 + aΔ"),
        ("hold", lambda a, b, d: (math.exp(a * d), d * b), "Euler's Δb"),
        ("hold", lambda a, b, d: (math.exp(a * d), float("nan")), "0/0"),
        ("hold", lambda a, b, d: math.exp(a * d), "a pair"),
        ("kernel", lambda a, b, c, n: right_kernel(a, a * b, c, n), "One step late"),
        ("kernel", lambda a, b, c, n: right_kernel(a, b, c, n)[::-1], "Back to front"),
        ("kernel", lambda a, b, c, n: right_kernel(a, 1, c, n), "B̄, what the state"),
        ("kernel", lambda a, b, c, n: right_kernel(a, b, 1, n), "C, what the output"),
        ("kernel", lambda a, b, c, n: right_kernel(a, b, c, n + 1), "one weight a lag"),
        ("kernel", lambda a, b, c, n: 2 * right_kernel(a, b, c, n), "expected"),
        ("latch", lambda m: (right_latch(m)[0], 0 * m + 1.0), "writes Δ·B·u"),
        ("latch", lambda m: (0.1 + right_latch(m)[0], right_latch(m)[1]), "neither forget nor"),
        ("latch", lambda m: (np.where(m, 1.0, 0), 0 * m + 1.0), "forget all that was there"),
        ("latch", lambda m: (np.where(m, 1.0, -1), 0 * m + 1.0), "go back in time"),
        ("latch", lambda m: right_latch(m)[0], "a pair"),
        ("latch", lambda m: (20, 0.05), "one a step"),
    ],
)
def test_mistakes_are_named(name, answer, said):
    verdict = getattr(exercises, name)(answer)
    assert verdict.right is False
    assert said in verdict.message

"""What is done to the live pictures of states in a browser, and what they must then say."""

from __future__ import annotations

from hmnet_lite.workbook.widgets.hidden import run
from hmnet_lite.workbook.widgets.recap import walk
from tests.workbook.widgets.living import find, percent, press, says


def open_state(page, data) -> list[float]:
    """The hidden-state inspector: the page's recurrence gives what `selective_scan` gives."""
    widget = find(page, "Hidden-state inspector")
    state, step = widget.locator("canvas").first, widget.get_by_label("step", exact=True)
    box = state.bounding_box()
    state.click(position={"x": 5.5 / 32 * box["width"], "y": 1.5 / 4 * box["height"]})
    press(step, "Home", *["ArrowRight"] * 25)  # step 26: the tenth pixel of the query
    times = []
    for power, recap, direction in ((0, True, 0), (2, True, 0), (2, False, 2)):
        press(widget.get_by_label("all Δ"), "Home", *["ArrowRight"] * (4 + power))
        widget.get_by_label("read the support again before every patch").set_checked(recap)
        widget.get_by_label(data["directions"][direction]).check()
        given, count = data["scans"][direction], 16
        expected = run(given, patch=data["patch"], recap=recap, factor=2.0**power)[25, 5, 1]
        says(widget, f"Channel 6, entry 2, after query pixel {26 - count}: h = ")
        words = widget.locator(".live-telling").inner_text()
        shown = float(words.split("h = ")[1].split(". This")[0])
        assert abs(shown - expected) <= 6e-3 * abs(expected) + 1e-6, (words, expected)
        times.append(float(widget.get_attribute("data-milliseconds")))
    return times


def step_through(page, data) -> list[float]:
    """The state stepper: Δ, all Δ and the step; states are the recurrence's."""
    widget, times = find(page, "State stepper"), []
    map_, step = widget.locator("canvas").first, widget.get_by_label("step", exact=True)
    press(map_, *["ArrowLeft"] * 25, "ArrowRight")  # entry 2
    press(step, "Home", *["ArrowRight"] * 25, "ArrowLeft")  # step 15
    for number, name in enumerate(data["directions"]):
        widget.get_by_label(name).check()
        h = run(data["scans"][number], patch=data["patch"], recap=False)[14, 0]
        said = f"Channel 1, entry 2, after step 15: h = {h[1]:#.3g}."
        times.append(says(widget, said))
        assert f"{h.sum():#.3g}." in widget.locator(".live-telling").inner_text()  # C = 1
    return times


def recap(page, data) -> list[float]:
    """The recap player: both lines, at a step within a recap and one beyond, for two entries."""
    widget, times = find(page, "Recap player"), []
    step, small = widget.get_by_label("step", exact=True), data["patch"]

    def words(entry, step):
        literal = walk(data, entry, literal=True)[step - 1]
        rounds, within = divmod(step - 1, 2 * small)
        affine = walk(data, entry, literal=False)
        after = affine[rounds * (1 + small) + max(0, within + 1 - small)]
        which = "support" if within < small else "query"
        pixel = within + 1 if within < small else rounds * small + within + 1 - small
        said = f"Step {step}: the literal line reads {which} pixel {pixel}, h = {literal:#.3g}. "
        if which == "support" and pixel < small:
            P, H_S = data["map"][:, entry]
            before = affine[rounds * (1 + small) - 1] if rounds else 0.0
            shown = f"{before:#.3g}" if before else "0.00"
            return said + f"The affine line is done: h = {P:#.3g} × {shown} + {H_S:#.3g} ="
        return said + f"The affine line: h = {after:#.3g}."

    press(step, "Home", *["ArrowRight"] * 25)  # the tenth pixel of the first patch
    first = len(data["entries"]) // 2
    times.append(says(widget, words(first, 26)))
    press(step, *["ArrowRight"] * 9)
    times.append(says(widget, words(first, 35)))
    widget.get_by_role("radio").first.check()
    times.append(says(widget, words(0, 35)))
    press(step, "End", "ArrowLeft", "ArrowLeft")
    press(widget.get_by_role("button"), "Enter")
    times.append(says(widget, words(0, 8 * small)))
    return times


def choose_row(page, data) -> list[float]:
    """A scan's rows and attention's: by pointing, and by keys on the other matrix."""
    widget, times = find(page, "A scan's rows and attention's"), []
    matrix = widget.locator("canvas").first

    def words(row):
        said = []
        for name, own in data["matrices"].items():
            values = abs(own[row].astype(float))
            most = values.argmax()
            share = percent(values[most] / values.sum())
            said.append(f"{name}: most from input {most + 1}, {share} of all weights")
        return f"Output {row + 1} of 16. {'; '.join(said)}."

    box = matrix.bounding_box()
    matrix.hover(position={"x": box["width"] / 2, "y": 4.5 / 16 * box["height"]})
    times.append(says(widget, words(4)))
    press(widget.locator("canvas").nth(1), *["ArrowDown"] * 25, "ArrowUp")
    times.append(says(widget, words(14)))
    return times


def attend(page, data) -> list[float]:
    """Scan as attention: a pixel by a click and by keys, and another direction."""
    widget, times = find(page, "Scan as attention"), []
    query = widget.locator("canvas").nth(1)

    def words(row, column, way):
        said = []
        for which in (way, len(data["ways"]) - 1):
            own, support = (percent(x) for x in data["shares"][which, 8 * row + column])
            said.append(
                f"{data['ways'][which]}: {own} on the pixel itself, {support} on the support"
            )
        return f"Output of row {row + 1}, column {column + 1}. {'; '.join(said)}."

    box = query.bounding_box()
    query.click(position={"x": 5.5 / 8 * box["width"], "y": 2.5 / 8 * box["height"]})
    times.append(says(widget, words(2, 5, 4)))
    page.mouse.move(0, 0)
    press(query, *["ArrowDown"] * 25, "ArrowLeft")
    times.append(says(widget, words(7, 4, 4)))
    press(widget.get_by_role("radio").nth(4), "ArrowLeft")
    times.append(says(widget, words(7, 4, 3)))
    return times


def watch(page, data) -> list[float]:
    """The training film: back to the start, one moment on, and another threshold."""
    widget, times = find(page, "Training film"), []

    def words(moment, threshold=0.5):
        said = []
        for name, answers in data["answers"].items():
            scores = []
            for p, query in zip(answers[moment], data["query"], strict=True):
                found, truth = p > 255 * threshold, query["mask"] == 1
                scores.append((found & truth).sum() / (found | truth).sum())
            said.append(f"{name}: mean IoU {percent(sum(scores) / len(scores))}")
        return f"{data['percents'][moment]} % of the training done. {'; '.join(said)}."

    done = widget.get_by_label("training done")
    press(done, *["ArrowLeft"] * 25)
    times.append(says(widget, words(0)))
    press(done, "ArrowRight")
    times.append(says(widget, words(1)))
    press(widget.get_by_label("threshold"), *["ArrowLeft"] * 25, "ArrowRight")
    times.append(says(widget, words(1, 0.1)))
    press(widget.get_by_role("button"), "Enter")
    times.append(says(widget, words(2, 0.1)))
    return times


#: as `living.DRIVES`
DRIVES = {
    "attention": attend,
    "hidden": open_state,
    "recap": recap,
    "rows": choose_row,
    "sequence": step_through,
    "training": watch,
}

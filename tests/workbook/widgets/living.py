"""What is done to each live picture in a browser, and what it must then say."""

from __future__ import annotations

import contextlib
import pickle
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from hmnet_lite.workbook.widgets.live import Live

# a page in the book's manner: its colours are variables, and the theme an attribute of the body
PAGE = """<!doctype html><html><head><meta charset="utf-8"><style>
body {{ --color-background-primary: white; --color-foreground-primary: #111111; }}
body[data-theme=dark] {{
  --color-background-primary: #131416; --color-foreground-primary: #cfd0d0;
}}
</style></head><body>{pictures}</body></html>"""
SHOW = "import pickle\nwith open({path!r}, 'rb') as file:\n    picture = pickle.load(file)\npicture"
CELLS = "() => window.jupyterapp?.shell.currentWidget.content.widgets.length ?? 0"
PIXEL = """(canvas, [x, y]) => Array.from(canvas.getContext("2d").getImageData(
    Math.floor(x * canvas.width), Math.floor(y * canvas.height), 1, 1).data)"""


def write_page(path: Path, live: Mapping[str, Live]) -> Path:
    """A page with all of them; returns its path."""
    path.write_text(PAGE.format(pictures="\n".join(x.html() for x in live.values())), "utf-8")
    return path


@contextlib.contextmanager
def open_all(lab, live: Mapping[str, Live], folder: Path, where: str) -> Iterator:
    """All of them in JupyterLab, a cell each, or on one page from a file."""
    if where == "file":
        with lab.open_file(write_page(folder / "page.html", live)) as page:
            yield page
        return
    cells = []
    for topic, picture in live.items():
        path = folder / f"{topic}.pickle"
        path.write_bytes(pickle.dumps(picture))
        cells.append(SHOW.format(path=str(path)))
    with lab.open(*cells) as page:
        page.run_all()
        yield page


def percent(share: float) -> str:
    return f"{100 * share:.{1 if share < 0.0995 else 0}f} %"


def find(page, name: str):
    """A live picture by its accessible name, in view."""
    widget = page.get_by_role("group", name=name)
    widget.scroll_into_view_if_needed()
    return widget


def says(widget, words: str) -> float:
    """Wait until it says so; how many milliseconds the last answer took."""
    widget.locator(".live-telling").get_by_text(words).wait_for(timeout=5000)
    return float(widget.get_attribute("data-milliseconds") or 0)


def press(node, *keys: str) -> None:
    node.focus()
    for key in keys:
        node.press(key)


def inspect(page, data) -> list[float]:
    """The pixel inspector: by mouse, by keyboard, and to another gap, network and path."""
    widget = find(page, "Pixel inspector")
    network, (gap, other) = data["networks"][0], data["gaps"]
    support, query = (widget.locator("canvas").nth(i) for i in (0, 1))

    def words(row, column, gap, path, network=network):
        found = data["blocks"][network][gap]["block 2"][path]
        share = found["shares"][row * found["size"][1] + column, 0]
        return (
            f"Row {row + 1}, column {column + 1} of 8 × 8, {path}: {percent(share)} of what it "
            "hears is the support's."
        )

    times = []
    box = query.bounding_box()
    query.click(position={"x": 5.5 / 8 * box["width"], "y": 2.5 / 8 * box["height"]})
    times.append(says(widget, words(2, 5, gap, "SRM")))
    before = [node.evaluate(PIXEL, [0.56, 0.56]) for node in (support, query)]
    press(query, *["ArrowDown"] * 25, "ArrowLeft")
    times.append(says(widget, words(7, 4, gap, "SRM")))
    widget.get_by_label(other.replace("_", "-")).check()
    times.append(says(widget, words(7, 4, other, "SRM")))
    assert [node.evaluate(PIXEL, [0.56, 0.56]) for node in (support, query)] != before
    press(widget.get_by_label("SRM", exact=True), "ArrowRight")
    times.append(says(widget, words(7, 4, other, "QIM")))
    press(widget.get_by_label(network), "ArrowRight")
    times.append(says(widget, words(7, 4, other, "QIM", data["networks"][1])))
    bar = widget.get_by_role("img", name="QIM").get_attribute("aria-label")
    shares = data["blocks"][data["networks"][1]][other]["block 2"]["QIM"]["shares"][7 * 8 + 4]
    assert f"own pixel {percent(shares[1])}" in bar and "query BG 0.0 %" in bar
    return times


def swap(page, data) -> list[float]:
    """Swap the support: what is shown, the gap and the threshold change the scores."""
    widget = find(page, "Swap the support")
    gap, other = data["gaps"]

    def words(shown, gap, threshold=0.5):
        mask, said = data["query"][gap]["mask"], []
        for name in data["networks"]:
            found = data["answers"][name][gap][shown] > 255 * threshold
            both, either = (found & (mask == 1)).sum(), (found | (mask == 1)).sum()
            said.append(f"{name}: IoU {percent(both / either)}")
        return f"Mixer shown: {data['shown'][shown]}. {'; '.join(said)}."

    times = [says(widget, words(0, gap))]
    widget.get_by_label("another class's").check()
    times.append(says(widget, words(1, gap)))
    press(widget.get_by_label("another class's"), "ArrowRight")
    times.append(says(widget, words(2, gap)))
    widget.get_by_label(other.replace("_", "-")).check()
    times.append(says(widget, words(2, other)))
    press(widget.get_by_label("threshold"), *["ArrowRight"] * 25, "ArrowLeft")
    times.append(says(widget, words(2, other, 0.9)))
    return times[1:]


def forget(page, data) -> list[float]:
    """The forgetting explorer: step, play, another direction and another way of reading."""
    widget = find(page, "Forgetting explorer")
    name, last = data["names"][0], len(data["ratios"]) - 1

    def words(step, ratio=last, direction=0):
        found = data["memory"][name][ratio]
        support, query = (float(found[kind][direction, step - 1]) for kind in ("support", "query"))
        said = f"After {step} of 64 pixels {percent(support / (support + query))} of the state"
        fresh = found["patch"] and (step - 1) % found["patch"] == 0
        return f"{said} is the support's{'; the support was read just before' if fresh else ''}."

    times = [says(widget, words(21))]
    red, green, blue, _ = widget.locator("canvas").nth(1).evaluate(PIXEL, [0.97, 0.97])
    assert min(red, green, blue) >= 180  # not read yet: veiled by the page's white
    slider = widget.get_by_label("pixels read")
    press(slider, "Home", *["ArrowRight"] * 25)
    times.append(says(widget, words(26)))
    press(slider, *["ArrowLeft"] * 9)
    times.append(says(widget, words(17)))
    widget.get_by_label("once").check()
    times.append(says(widget, words(17, 0)))
    widget.get_by_label(data["directions"][3]).check()
    times.append(says(widget, words(17, 0, 3)))
    press(slider, "End", "ArrowLeft", "ArrowLeft", "ArrowLeft")
    press(widget.get_by_role("button"), "Enter")
    times.append(says(widget, words(64, 0, 3)))
    widget.get_by_role("button", name="▶ play").wait_for()
    return times[1:]


def guess(page, data) -> list[float]:
    """The gap dial: nothing is told before the guess; then the guess and the answers are."""
    widget = find(page, "Gap dial")
    gap, other = data["gaps"]
    query = widget.locator("canvas").nth(1)

    def words(gap, row, column):
        mask = data["query"][gap]["mask"]
        on = mask[tuple(int((g + 0.5) / 32 * 128) for g in (row, column))] == 1
        said = []
        for name in data["methods"]:
            found = data["answers"][name][gap] > 127.5
            score = (found & (mask == 1)).sum() / (found | (mask == 1)).sum()
            said.append(f"{name}: IoU {percent(score)}")
        return f"Your point is {'on' if on else 'beside'} the thing. {'; '.join(said)}."

    says(widget, "Point at the thing in the query, then show the answers.")
    box = query.bounding_box()
    query.click(position={"x": 4.5 / 32 * box["width"], "y": 8.5 / 32 * box["height"]})
    press(query, *["ArrowRight"] * 5)
    press(widget.get_by_label("show the answers"), " ")
    times = [says(widget, words(gap, 8, 9))]
    widget.get_by_label(other.replace("_", "-")).check()
    times.append(says(widget, words(other, 8, 9)))
    press(query, *["ArrowRight"] * 25)
    times.append(says(widget, words(other, 8, 31)))
    return times


def say(page, data) -> list[float]:
    """Say it: another sentence, block, scene and threshold; the cube's colours are those kept."""
    widget = find(page, "Say it")

    def words(scene, sentence, block, threshold=0.5):
        told = data["scenes"][scene]["sentences"][sentence]
        found, mask = told["answer"] > 255 * threshold, told["mask"] == 1
        score = (found & mask).sum() / (found | mask).sum()
        return f"“{told['text']}”: IoU {percent(score)}. Block {block + 1} is shown."

    def painted(scene, sentence, block):
        """Whether the first pixel of the last step's last part has its colour."""
        cube = data["scenes"][scene]["sentences"][sentence]["cube"][block, -1, -1]
        canvas = widget.locator("canvas").nth(2)
        shown = canvas.evaluate(PIXEL, [0.96, 0.96])[:3]
        return max(abs(a - int(b)) for a, b in zip(shown, cube[-1, -1], strict=True)) <= 3

    second = data["scenes"][0]["sentences"][1]["text"]
    times = [says(widget, words(0, 0, 0))]
    widget.get_by_label(second, exact=True).check()
    times.append(says(widget, words(0, 1, 0)))
    assert painted(0, 1, 0)
    press(widget.get_by_label(second, exact=True), "ArrowLeft")
    press(widget.get_by_role("group", name="block").get_by_label("1"), "ArrowRight")
    times.append(says(widget, words(0, 0, 1)))
    assert painted(0, 0, 1)
    press(widget.get_by_role("group", name="scene").get_by_label("1"), "ArrowRight")
    times.append(says(widget, words(1, 0, 1)))
    press(widget.get_by_label("threshold"), *["ArrowRight"] * 25, "ArrowLeft")
    times.append(says(widget, words(1, 0, 1, 0.9)))
    return times[1:]


def draw(page, data) -> list[float]:
    """Draw the mask: shots, the step that is shown, noise, another gap and threshold."""
    widget = find(page, "Draw the mask")
    gap, other = data["gaps"]
    near = max(1, round(20 * data["level"])) / 20

    def words(gap, shots, noise, step, threshold=near):
        told = data["episodes"][gap]
        light = told["noise"][noise]["shots"][shots]["light"]
        found, mask = light > 255 * threshold, told["query"]["mask"] == 1
        score = (found & mask).sum() / (found | mask).sum()
        count = data["shots"][shots]
        return (
            f"{count} support{'s' * (count > 1)}, {100 * data['noise'][noise]:.0f} % noise, "
            f"threshold {threshold:.2f}: IoU {percent(score)}. Shown: {data['steps'][step]}."
        )

    times = [says(widget, words(gap, 0, 0, 2))]
    middle = widget.locator("canvas").nth(1)
    before = middle.evaluate(PIXEL, [0.5, 0.5])
    widget.get_by_label(data["steps"][0]).check()
    times.append(says(widget, words(gap, 0, 0, 0)))
    assert middle.evaluate(PIXEL, [0.5, 0.5]) != before
    press(widget.get_by_label(data["steps"][0]), "ArrowRight")
    times.append(says(widget, words(gap, 0, 0, 1)))
    widget.get_by_role("group", name="shots").get_by_label(str(data["shots"][1])).check()
    times.append(says(widget, words(gap, 1, 0, 1)))
    press(widget.get_by_label("noise"), "End")
    times.append(says(widget, words(gap, 1, len(data["noise"]) - 1, 1)))
    widget.get_by_label(other).check()
    press(widget.get_by_label("threshold"), *["ArrowRight"] * 25, "ArrowLeft")
    times.append(says(widget, words(other, 1, len(data["noise"]) - 1, 1, 0.9)))
    return times[1:]


#: topic → what to do with it: (page, data) → milliseconds of its answers
DRIVES: dict[str, Callable] = {
    "diffusion": draw,
    "qim": inspect,
    "state": forget,
    "swap": swap,
    "task": guess,
    "twister": say,
}


def type_into_all(page, live: Mapping[str, Live]) -> None:
    """Keys that would delete, cut or add cells in JupyterLab do nothing there; all have names."""
    before = page.evaluate(CELLS)
    for number in range(len(live)):
        widget = page.locator(".live").nth(number)
        widget.scroll_into_view_if_needed()
        for node in (*widget.locator("input, button, canvas[tabindex]").all(),):
            assert node.evaluate(
                "node => node.getAttribute('aria-label') || node.closest('label')?.textContent"
                " || node.textContent"
            )
        press(widget.locator("input, canvas[tabindex]").last, "d", "d", "x", "a", "b", "0", "0")
    assert page.evaluate(CELLS) == before


def check_theme_and_sharpness(page) -> None:
    """Dark when the page is; two pixels of the screen for each of the page."""
    page.locator(".live").first.wait_for()
    dark = "() => document.querySelectorAll('.live:not([data-dark])').length === 0"
    assert not page.evaluate(dark)
    page.evaluate("() => { document.body.dataset.theme = 'dark' }")
    page.wait_for_function(dark)
    wide = "canvas => canvas.width / canvas.getBoundingClientRect().width"
    for canvas in page.locator("canvas").all():
        canvas.scroll_into_view_if_needed()
        assert abs(canvas.evaluate(wide) - 2) < 0.02

"""What is done to the pictures of a network's parts and features in a browser."""

from __future__ import annotations

import numpy as np

from tests.workbook.widgets.living import PIXEL, find, press, says


def compare(page, data) -> list[float]:
    """The fusion comparer: other fusions, another episode, a pixel; the colours are those kept."""
    widget = find(page, "Fusion comparer")
    names, (_, second) = data["fusions"], data["episodes"]
    kinds = {0: "beside the thing", 1: "on the thing", 255: "on its edge"}

    def words(episode, left, right, pixel):
        part = data["part"][episode]
        cosines = [
            np.asarray(data["cosine"][names.index(n)][episode], float) for n in (left, right)
        ]
        apart = [c[part == 1].mean() - c[part == 0].mean() for c in cosines]
        own = [f"{n} {c[pixel]:.2f}" for n, c in zip((left, right), cosines, strict=True)]
        where = f"Row {pixel[0] + 1}, column {pixel[1] + 1}, {kinds[part[pixel]]}"
        return (f"{where}. Cosine with the support's mean: {', '.join(own)}. "
                f"Thing minus rest: {', '.join(f'{a:.2f}' for a in apart)}.")  # fmt: skip

    start = tuple(data["start"])
    times = [says(widget, words(0, names[0], names[-1], start))]
    press(widget.get_by_role("group", name="left").get_by_label("before"), "ArrowRight")
    times.append(says(widget, words(0, names[1], names[-1], start)))
    widget.get_by_role("group", name="right").get_by_label("QIM", exact=True).check()
    times.append(says(widget, words(0, names[1], "QIM", start)))
    widget.get_by_label(second).check()
    times.append(says(widget, words(1, names[1], "QIM", start)))
    press(widget.locator("canvas").first, *["ArrowUp"] * 25, *["ArrowLeft"] * 25, "ArrowDown")
    times.append(says(widget, words(1, names[1], "QIM", (1, 0))))
    shown = widget.locator("canvas").nth(2).evaluate(PIXEL, [0.97, 0.97])[:3]
    kept = data["colours"][names.index("QIM"), 1, -1, -1]
    assert max(abs(a - int(b)) for a, b in zip(shown, kept, strict=True)) <= 3
    widget.get_by_label("cosine with the support").check()
    widget.get_by_text("QIM: blue 1").wait_for()
    return times[1:]


def walk(page, data) -> list[float]:
    """Walk the network: by a click on the map and by keys on the list of boxes."""
    widget = find(page, "Walk the network")

    def words(stop):
        box = data["boxes"][stop]
        gives = f", gives {' × '.join(map(str, box['shape']))}" if "shape" in box else ""
        return f"{stop}, {box['kind']}{gives}. {box['text']}"

    times = [says(widget, words("block 2"))]
    chart = widget.locator("canvas").first
    box = chart.bounding_box()
    left, top, width, height = data["boxes"]["evidence"]["box"]
    middle = (left + width / 2) / 100, (top + height / 2) / 42
    chart.click(position={"x": middle[0] * box["width"], "y": middle[1] * box["height"]})
    times.append(says(widget, words("evidence")))
    title = "share of the thing among look-alikes"
    widget.get_by_label(title).check()
    widget.get_by_text(f"{title}: white is 1").wait_for()
    shown = widget.locator("canvas").nth(1).evaluate(PIXEL, [0.97, 0.97])[0]
    assert abs(shown - int(data["maps"]["evidence"][title]["values"][-1, -1])) <= 3
    press(widget.get_by_role("group", name="box").get_by_label("evidence"), "ArrowRight")
    times.append(says(widget, words("merge")))
    widget.get_by_role("group", name="box").get_by_label("support").check()
    times.append(says(widget, words("support")))
    operations = widget.get_by_role("img", name="operations").get_attribute("aria-label")
    assert operations.startswith("operations: support 0.0 %")
    return times[1:]


DRIVES = {"fused_pca": compare, "maps": walk}

"""Every control of every live picture, by mouse and by keyboard, whatever it means: it answers."""

from __future__ import annotations

from collections.abc import Callable

ANSWERED = "widget => widget.dataset.milliseconds !== undefined"


def answers(page, widget, act: Callable[[], object]) -> float:
    """Do something to a live picture and wait until it is drawn again; milliseconds it took."""
    widget.evaluate("widget => { delete widget.dataset.milliseconds; }")
    act()
    page.wait_for_function(ANSWERED, arg=widget.element_handle(), timeout=10_000)
    return float(widget.get_attribute("data-milliseconds"))


def touch(page, widget) -> list[float]:
    """All controls of one live picture; how long each answer took."""
    times: list[float] = []
    for kind, handle in HANDLES.items():
        for number in range(widget.locator(kind).count()):
            node = widget.locator(kind).nth(number)
            if node.is_visible() and node.is_enabled():
                node.scroll_into_view_if_needed()
                handle(node, lambda act: times.append(answers(page, widget, act)))
    return times


def _choice(node, answers) -> None:
    radios = node.locator("input")
    if radios.count() > 1:
        other = node.locator("input:not(:checked)").last
        number = other.evaluate("radio => [...radio.closest('fieldset')"
                                ".querySelectorAll('input')].indexOf(radio)")  # fmt: skip
        answers(radios.nth(number).click)
        assert radios.nth(number).is_checked()
        key, then = ("ArrowLeft", number - 1) if number else ("ArrowRight", 1)
        answers(lambda: radios.nth(number).press(key))
        assert radios.nth(then).is_checked()


def _slider(node, answers) -> None:
    box, before = node.bounding_box(), node.input_value()
    low, high = (float(node.get_attribute(name)) for name in ("min", "max"))
    if low == high:
        return
    far = 0.15 if float(before) > (low + high) / 2 else 0.85
    answers(lambda: node.click(position={"x": far * box["width"], "y": box["height"] / 2}))
    assert node.input_value() != before
    for key, end in (("Home", low), ("End", high)):
        node.press("ArrowLeft" if key == "End" else "ArrowRight")
        answers(lambda key=key: node.press(key))
        assert float(node.input_value()) == end


def _toggle(node, answers) -> None:
    before = node.is_checked()
    answers(node.click)
    assert node.is_checked() != before
    answers(lambda: node.press("Space"))
    assert node.is_checked() == before


def _player(node, answers) -> None:
    answers(node.click)  # it may have come to its end by now
    if "stop" in node.inner_text():
        node.press("Enter")
    answers(lambda: node.press("Enter"))
    if "stop" in node.inner_text():
        node.click()


def _canvas(node, answers) -> None:
    answers(node.click)
    answers(lambda: node.press("ArrowUp"))
    answers(lambda: node.press("ArrowRight"))


HANDLES = {
    "fieldset.live-choice": _choice,
    "input[type=range]": _slider,
    "input[type=checkbox]": _toggle,
    "button.live-play": _player,
    "canvas[tabindex]": _canvas,
}

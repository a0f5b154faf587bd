"""Automatic checks of the workbook's exercises: each says what is right, or what is wrong and why.

    answer = ...                      # in the notebook, for the reader to fill in
    exercises.iou_by_hand(answer)     # shows "Not answered yet." until they do

A check returns a `Verdict`, which is true only for a right answer.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Verdict:
    """What a check found; shown as its message."""

    right: bool | None  # None: not answered yet
    message: str

    def __bool__(self) -> bool:
        return self.right is True

    def __repr__(self) -> str:
        return {True: "✔ Right. ", False: "✘ Not yet. ", None: "… "}[self.right] + self.message


def exercise(check: Callable[..., str]) -> Callable[..., Verdict]:
    """Make a check: it raises AssertionError with what is wrong, or returns what to say if right.

    An answer that is still `...`, or a function that still returns it, is not answered yet; an
    answer that raises is wrong, and its error is told.
    """

    @functools.wraps(check)
    def run(answer: Any, *given: Any) -> Verdict:
        if answer is ...:
            return Verdict(None, "Not answered yet: replace the three dots.")
        try:
            return Verdict(True, check(answer, *given))
        except Unanswered as what:
            dots = str(what) or "the function still returns its three dots"
            return Verdict(None, f"Not answered yet: {dots}.")
        except AssertionError as wrong:
            return Verdict(False, str(wrong))
        except Exception as error:  # the reader's code may raise anything
            return Verdict(False, f"It raises {type(error).__name__}: {error}")

    return run


class Unanswered(Exception):
    """The reader's function is not written yet, or what else is still dots."""


def call(function: Callable, *arguments: Any) -> Any:
    """What the reader's function gives, if it is written."""
    result = function(*arguments)
    if result is ...:
        raise Unanswered
    if result is None:
        raise AssertionError("Your function returns None; has it a return statement?")
    return result


def near(given: Any, expected: float, tolerance: float = 1e-6) -> bool:
    """Whether the reader's number is `expected`, to `tolerance`."""
    return abs(float(given) - expected) <= tolerance

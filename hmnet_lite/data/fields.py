"""Fields of protocols and data sets: checked once, in one voice, and kept as plain values.

Every check names the field, what was given and what was expected:

    fold is 4; expected 0 to 3
    gap is 'siblings'; expected one of same, sibling, cross, held_out. Did you mean 'sibling'?
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import operator
from collections.abc import Mapping, Sequence
from typing import Any, Self


class Record:
    """What protocols share: plain values, and the way to JSON and back, all fields or none."""

    def to_dict(self) -> dict[str, Any]:
        """Every field by name, ready for JSON."""
        values = dataclasses.asdict(self)
        return {name: list(v) if isinstance(v, tuple) else v for name, v in values.items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Inverse of :meth:`to_dict`, also after a trip through JSON.

        Raises:
            ValueError: a field is unknown or missing: a record must name every one, because a
                default that changes later would silently change what an old record says.
        """
        names = [field.name for field in dataclasses.fields(cls)]
        for name in values:
            if name not in names:
                raise ValueError(f"a protocol has no field {name!r}{closest(name, names)}")
        missing = [name for name in names if name not in values]
        if missing:
            raise ValueError(
                f"the protocol lacks {', '.join(missing)}; a record names every field. Mend: for "
                f"defaults write {cls.__name__}(...) instead of from_dict"
            )
        return cls(**values)

    def keep(self, name: str, value: Any) -> None:
        """Set a field of a frozen record, while it is being made."""
        object.__setattr__(self, name, value)

    def keep_integer(self, name: str, low: int, high: int | None = None) -> None:
        """Check an integer field, and keep it as Python's own.

        (So that equality, hashing and JSON are what they seem whichever library it came from.)
        """
        self.keep(name, integer(name, getattr(self, name), low, high))


def integer(name: str, value: Any, low: int, high: int | None = None) -> int:
    """A whole number in low..high as Python's int.

    Raises:
        TypeError: it is none (a bool is none).
        ValueError: it is outside.
    """
    try:
        if isinstance(value, bool):
            raise TypeError
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} is {value!r}; expected an integer") from None
    if number < low or (high is not None and number > high):
        expected = f"at least {low}" if high is None else f"{low} to {high}"
        raise ValueError(f"{name} is {number}; expected {expected}")
    return number


def share(name: str, value: Any, low: float = 0, high: float = 1) -> float:
    """A number in low..high as Python's float.

    Raises:
        TypeError: it is no number.
        ValueError: it is outside, or NaN.
    """
    try:
        if isinstance(value, bool | str):
            raise TypeError
        number = float(value)
    except (TypeError, ValueError):
        raise TypeError(f"{name} is {value!r}; expected a number from {low} to {high}") from None
    if not math.isfinite(number) or not low <= number <= high:
        raise ValueError(f"{name} is {number}; expected {low} to {high}")
    return number


def one_of(name: str, value: Any, known: Sequence[str]) -> Any:
    """The value, which is a known word.

    Raises:
        ValueError: it is not; names the known ones, and the one nearest to what was given.
    """
    if value not in known:
        raise ValueError(
            f"{name} is {value!r}; expected one of {', '.join(known)}{closest(value, known)}"
        )
    return value


def closest(value: Any, known: Sequence[str]) -> str:
    """ ". Did you mean 'sibling'?", or nothing where no known word is near."""
    near = difflib.get_close_matches(str(value), known, n=1)
    return f". Did you mean {near[0]!r}?" if near else ""

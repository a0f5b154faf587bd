"""Options made from the config dataclasses: a new field is a new option, told by its docstring.

class Options(options_of(HMNetConfig), options_of(Protocol, leave_out=["gap"])):
    out: Path = Path("model.safetensors")

options = read(Options, ["--fold", "1"], "hmnet train")
config = picked(HMNetConfig, options)
"""

from __future__ import annotations

import dataclasses
import io
import re
import types
from collections.abc import Collection, Sequence
from contextlib import redirect_stderr
from typing import Annotated, Any, TypeVar, get_origin, get_type_hints

T = TypeVar("T")
_FRAME = re.compile(r"[─━]+|-{3,}")  # tyro draws in ASCII where the terminal knows no better


class BadOptions(ValueError):
    """What was typed is no use of the command; the message is one line."""


def options_of(cls: type, *, leave_out: Collection[str] = (), unset: bool = False) -> type:
    """A dataclass with an option for each field of a config, to inherit a command's options from.

    Args:
        cls: a dataclass whose docstring explains its fields in an Attributes or Args section.
        leave_out: fields that are no option here.
        unset: every option is None unless given, because what it falls back on is decided later.
    """
    from tyro.conf import arg

    hints, helps = get_type_hints(cls, include_extras=True), explained(cls)
    fields = []
    for field in dataclasses.fields(cls):
        if field.name in leave_out or not field.init:
            continue
        kind, default = hints[field.name], field.default
        if field.default_factory is not dataclasses.MISSING:
            default = field.default_factory()
        if unset and kind is not bool:  # (a switch is on or off)
            kind, default = kind | None, None
        told = arg(
            help=helps.get(field.name, ""),
            metavar=_metavar(kind) if _optional(kind) else None,
            help_behavior_hint="" if default is None else None,
        )
        fields.append((field.name, Annotated[kind, told], dataclasses.field(default=default)))
    return dataclasses.make_dataclass(f"{cls.__name__}Options", fields, kw_only=True)


def picked(cls: type[T], options: Any, **more: Any) -> T:
    """The config that the options spell; options that are None leave a field its default.

    Raises:
        TypeError, ValueError: the config refuses a value.
    """
    names = [field.name for field in dataclasses.fields(cls) if field.init]
    given = {name: getattr(options, name, None) for name in names}
    return cls(**{name: value for name, value in given.items() if value is not None} | more)


def explained(cls: type) -> dict[str, str]:
    """Field to its explanation, from the Attributes or Args section of a class's docstring.

    A line `small, large: what they are` explains both.
    """
    found: dict[str, str] = {}
    names: list[str] = []
    section = indent = None
    for line in (cls.__doc__ or "").expandtabs().splitlines():
        text = line.strip()
        depth = len(line) - len(line.lstrip())
        if text in ("Args:", "Attributes:"):
            section, indent, names = depth, None, []
        elif section is None or not text:
            continue
        elif depth <= section:
            section = None
        elif (indent is None or depth <= indent) and (
            match := re.match(r"([\w, ]+):\s+(.*)", text)
        ):
            indent, names = depth, re.split(r",\s*", match[1])
            found |= dict.fromkeys(names, match[2])
        else:
            found |= {name: f"{found[name]} {text}" for name in names}
    return found


def read(cls: type[T], words: Sequence[str], program: str) -> T:
    """The options that the words of a command line spell.

    Raises:
        BadOptions: an unknown option, a missing one, or a value of the wrong kind.
        SystemExit: help was asked for and printed.
    """
    import tyro

    said = io.StringIO()
    try:
        with redirect_stderr(said):
            return tyro.cli(
                cls, prog=program, args=list(words), config=(tyro.conf.FlagCreatePairsOff,)
            )
    except SystemExit as end:
        if end.code in (0, None):
            raise
        raise BadOptions(_one_line(said.getvalue(), program)) from None


def _one_line(box: str, program: str) -> str:
    """tyro's framed message as one line: what is wrong, not the help that follows it."""
    kept: list[str] = []
    for line in box.splitlines()[1:]:
        text = _FRAME.sub(" ", line).strip(" │┃╭╮╰╯|+")
        if text.startswith(("Argument helptext", "For full helptext", "Full helptext")):
            break
        kept.append(text)
    wrong, _, meant = " ".join(" ".join(kept).split()).partition(" Perhaps you meant")
    near = dict.fromkeys(re.findall(r"--[a-z][\w-]*", meant))
    guess = f"; did you mean {' or '.join(near)}?" if near else ""
    return f"{wrong.rstrip('.')}{guess} ({program} --help lists the options)"


def _optional(kind: Any) -> bool:
    return isinstance(kind, types.UnionType) and type(None) in kind.__args__


def _metavar(kind: Any) -> str:
    """INT rather than {None}|INT: leaving the option out is how to say None."""
    kinds = [k for k in kind.__args__ if k is not type(None)]
    names = (
        f"{k.__args__[0].__name__} ..." if get_origin(k) is tuple else k.__name__ for k in kinds
    )
    return "|".join(name.upper() for name in names)

"""Sphinx extension: docstrings as this package writes them."""

import re

from sphinx.application import Sphinx

BEFORE_LETTER = re.compile(r"(`[^`]+`)(?=\w)")


def mark_code(
    app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]
) -> None:
    """Put `::` before indented lines that follow an unindented paragraph and a blank line."""
    marked, last = [], " "
    for number, line in enumerate(lines):
        after_blank = number > 0 and not lines[number - 1].strip()
        if line.startswith(" ") and after_blank and not last.startswith(" "):
            marked += ["::", ""]
        marked.append(BEFORE_LETTER.sub(r"\1\\ ", line))  # `Episode`s
        last = line if line.strip() else last
    lines[:] = marked


def setup(app: Sphinx) -> dict:
    app.setup_extension("sphinx.ext.autodoc")  # it knows the event
    app.connect("autodoc-process-docstring", mark_code, priority=400)  # before napoleon
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}

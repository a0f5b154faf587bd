"""Sphinx extension: nothing that no reader needs.

Pages of code go without the spans that colour nothing, half of their bytes; the theme's scripts and
styles go without the maps that lead to how they were written.
"""

import re
from pathlib import Path

from sphinx.application import Sphinx

PLAIN = re.compile(r'<span class="(?:n|p|w)">([^<]*)</span>')  # names, brackets, white space


def thin(app: Sphinx, error: Exception | None) -> None:
    """Take it out of a book."""
    if error is None:
        for page in Path(app.outdir).rglob("*.html"):
            text = page.read_text(encoding="utf-8")
            page.write_text(PLAIN.sub(r"\1", text), encoding="utf-8")
        for path in Path(app.outdir, "_static").rglob("*.map"):
            path.unlink()


def setup(app: Sphinx) -> dict:
    app.connect("build-finished", thin)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}

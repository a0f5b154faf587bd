"""Sphinx extension: of the formulas' font, only what the pages write; the whole is 1.5 MB."""

import re
from importlib.resources import files
from pathlib import Path

from fontTools import subset
from sphinx.application import Sphinx

NAME = "STIXTwoMath-Regular.ttf"
MATH = re.compile(r"<math.*?</math>", re.DOTALL)
CODE = re.compile(r"&#x([0-9A-Fa-f]+);|&#(\d+);")


def written(folder: Path) -> set[int]:
    """Code points of all formulas of a book's pages, and the plain letters."""
    found = {*range(0x20, 0x7F), ord("√")}  # <msqrt> draws a root that nobody writes
    for page in folder.rglob("*.html"):
        for formula in MATH.findall(page.read_text(encoding="utf-8")):
            found |= {int(h, 16) if h else int(d) for h, d in CODE.findall(formula)}
            found |= set(map(ord, formula))
    return found | {_italic(point) for point in found} - {None}


def _italic(point: int) -> int | None:
    """What browsers draw for a letter that stands alone in <mi>: its mathematical italic."""
    if point == ord("h"):
        return 0x210E  # Planck's
    for first, last, italic in (("A", "Z", 0x1D434), ("a", "z", 0x1D44E), ("Α", "ω", 0x1D6E2)):
        if ord(first) <= point <= ord(last):
            # small Greek follows the capitals and nabla, without the gap that Unicode's rows have
            gap = 6 if first == "Α" and point >= ord("α") else 0
            return italic + point - ord(first) - gap
    return None


def cut(app: Sphinx, error: Exception | None) -> None:
    """Write the font's part beside the pages, tables for stretching and stacking kept."""
    if error is not None:
        return
    options = subset.Options(layout_features=["*"], notdef_outline=True)
    font = subset.load_font(str(files("ziamath") / "fonts" / NAME), options)
    cutter = subset.Subsetter(options)
    cutter.populate(unicodes=written(Path(app.outdir)))
    cutter.subset(font)
    subset.save_font(font, str(Path(app.outdir) / "_static" / NAME), options)


def setup(app: Sphinx) -> dict:
    app.connect("build-finished", cut)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}

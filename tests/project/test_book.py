"""The book: formulas, links, alternative texts; pages need no network and no server."""

import base64
import json
import re
import sys
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from tools import notebooks

pytest.importorskip("myst_nb", reason="needs the book extra")

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").rglob("*.ipynb"))
PIXEL = base64.b64encode(b"\x89PNG not really").decode()
FORMULA = re.compile(r"\$\$(.+?)\$\$|(?<![\\$])\$([^$\n]+?)\$(?!\$)", re.DOTALL)
ALIGNED = r"""
\begin{aligned}
y_t &= C_t h_t && \text{(1) read} \\
    &= \Delta_t u_t && \text{(2) write}
\end{aligned}
"""


@pytest.fixture
def tools(monkeypatch):
    """tools/book.py and book/mathml.py, which are scripts and not in a package."""
    for folder in ("tools", "book"):
        monkeypatch.syspath_prepend(str(ROOT / folder))
    import mathml

    import book

    yield book, mathml
    for name in ("book", "mathml", "notebooks"):
        sys.modules.pop(name, None)


def formulas():
    """Every formula of every notebook's text."""
    for path in NOTEBOOKS:
        for cell in json.loads(path.read_text())["cells"]:
            if cell["cell_type"] == "markdown":
                text = re.sub(r"```.*?```|`[^`]*`", "", "".join(cell["source"]), flags=re.DOTALL)
                yield from (block or inline for block, inline in FORMULA.findall(text))


def test_lines_of_a_derivation_stand_below_each_other(tools):
    _, mathml = tools
    drawn = mathml.mathml(ALIGNED, "block")
    assert drawn.count("<mtr>") == 2 and drawn.count("<mtd") >= 8
    assert "&amp;" not in drawn and ">&<" not in drawn and "&#x00394;" not in drawn.split("<mi>")[0]


@pytest.mark.parametrize("latex", [r"\nosuch{x}", r"a & b", r"\begin{gather} a \end{gather}", "{"])
def test_what_the_converter_does_not_know_is_refused(tools, latex):
    _, mathml = tools
    with pytest.raises(mathml.UnknownFormula):
        mathml.mathml(latex, "inline")


def test_every_formula_of_the_notebooks_is_known(tools):
    _, mathml = tools
    found = list(formulas())
    assert len(found) > 100
    for latex in found:
        drawn = mathml.mathml(latex, "inline")
        written = re.sub(r"<[^>]*>|&#x[0-9A-F]+;|&[lg]t;", "", drawn)
        assert "&" not in written and "\\" not in written, latex


@pytest.mark.parametrize(
    "path", sorted((ROOT / "notebooks").rglob("*.ipynb")), ids=lambda p: p.stem
)
def test_every_picture_of_a_notebook_has_an_alternative_text(path):
    for cell in nbformat.read(path, as_version=4).cells:
        for output in cell.get("outputs", []):
            for kind in output.get("data", {}):
                if kind.startswith("image/"):
                    alt = output.metadata.get(kind, {}).get("alt", "")
                    assert len(alt.split()) >= 4, cell.source[:100]


@pytest.mark.slow
def test_pages_have_formulas_links_texts_and_need_no_network(tools, tmp_path, monkeypatch):
    book, _ = tools
    text = f"# One\n\n$${ALIGNED}$$\n\n[two](01_b.ipynb), [files](../hmnet_lite/files.py)"
    alt = {"image/png": {"alt": "a pixel of no colour"}}
    picture = new_output("display_data", {"image/png": PIXEL}, metadata=alt)
    pages = {
        "00_a": [new_markdown_cell(text), new_code_cell("1", outputs=[picture])],
        "01_b": [new_markdown_cell("# Two")],
        "solutions/00_a": [new_markdown_cell("# Solution")],
    }
    executed = tmp_path / "executed"
    for name, cells in pages.items():
        path = executed / f"{name}.ipynb"
        path.parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(new_notebook(cells=cells, metadata=notebooks.METADATA), path)
    monkeypatch.setattr(book, "EXECUTED", executed)
    monkeypatch.setattr(book, "LOG", tmp_path / "log")
    source, made = tmp_path / "book-source", tmp_path / "book"
    assert book.gather(source) == book.gather(source)
    assert book.render(source, made) == 0, (tmp_path / "log").read_text()

    page = (made / "notebooks" / "00_a.html").read_text()
    assert page.count("<mtr>") == 2
    assert 'alt="a pixel of no colour"' in page
    assert 'href="01_b.html"' in page and 'href="solutions/00_a.html"' in page
    (code,) = re.findall(r'href="\.\./(_downloads/[^"]+/files\.py)"', page)
    assert (made / code).is_file()
    assert "Hybrid Mamba" in (made / "index.html").read_text()
    from fontTools.ttLib import TTFont

    font = TTFont(made / "_static" / "STIXTwoMath-Regular.ttf")
    assert {ord("Δ"), 0x1D6E5, 0x210E, ord("=")} <= set(font.getBestCmap()) and "MATH" in font
    assert (made / "_static" / "STIXTwoMath-Regular.ttf").stat().st_size < 500_000
    options = (made / "_static" / "documentation_options.js").read_text()
    assert "SHOW_SEARCH_SUMMARY: false" in options  # a local page may not fetch another
    fetched = re.compile(r'<(?:script|img|iframe)[^>]+src="(?:https?:)?//|<link[^>]+href="http')
    for html in made.rglob("*.html"):
        assert not fetched.search(html.read_text()), html.name

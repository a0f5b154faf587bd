"""The book: formulas, links, alternative texts; pages need no network and no server."""

import base64
import io
import json
import re
import sys
from pathlib import Path

import nbformat
import numpy as np
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from PIL import Image

from tests.browser import start_chromium
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
    for name in ("book", "book_check", "book_pages", "mathml", "notebooks"):
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


def test_a_norm_s_bars_are_no_taller_than_its_letter(tools):
    _, mathml = tools
    assert mathml.mathml(r"\lVert x \rVert", "block").count('stretchy="false">&#x02016;') == 2


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


@pytest.mark.parametrize(
    "body, fault",
    [
        ('<a href="two.html">', "leads to two.html, which is not there"),
        ('<a href="#two">', "leads to #two, a place that is not there"),
        ('<img src="one.html">', "no alternative text"),
        ("<math><mi>\\\\alpha</mi></math>", "a formula shows"),
        ('<script src="https://example.org/a.js">', "fetches https://example.org/a.js"),
    ],
)
def test_the_crawl_tells_what_is_wrong_with_a_page(tools, tmp_path, body, fault):
    import book_check

    good = '<a href="one.html#here" id="here">here</a> & <math><mi>&amp;#x3b1;</mi></math>'
    (tmp_path / "one.html").write_text(good.replace("&amp;#x3b1;", "α"))
    assert book_check.faults(tmp_path) == []
    (tmp_path / "one.html").write_text(body)
    (found,) = book_check.faults(tmp_path)
    assert fault in found and found.startswith("one.html: ")


def test_a_chart_is_shown_without_loss_and_a_photograph_in_fewer_bytes(tools, tmp_path):
    book, _ = tools
    chart = np.full((200, 300, 3), 255, dtype=np.uint8)
    chart[::20] = (30, 90, 160)
    noise = np.random.default_rng(0).integers(0, 256, chart.shape, dtype=np.uint8)
    for kind, pixels in (("chart", chart), ("photograph", noise)):
        Image.fromarray(pixels).save(tmp_path / f"{kind}.png")
        small = book._smaller(tmp_path / f"{kind}.png")
        assert len(small) < (tmp_path / f"{kind}.png").stat().st_size
        same = np.array_equal(np.asarray(Image.open(io.BytesIO(small)).convert("RGB")), pixels)
        assert same == (kind == "chart")


def test_a_book_s_pictures_are_in_fewer_bytes_and_named_so_in_its_pages(tools, tmp_path):
    book, _ = tools
    (tmp_path / "_images").mkdir()
    chart = np.full((200, 300, 4), 255, dtype=np.uint8)
    chart[::20] = (30, 90, 160, 0)
    for name, pixels in (("a", chart[..., :3]), ("b", chart)):
        Image.fromarray(pixels).save(tmp_path / "_images" / f"{name}.png")
    (tmp_path / "_images" / "c.png").write_text("not really")
    page = tmp_path / "notebooks" / "one.html"
    page.parent.mkdir()
    page.write_text(
        '<img alt="three blue lines" src="../_images/a.png"><a href="../_images/b.png">b</a> a.png'
    )
    book._shrink(tmp_path)
    assert {x.name for x in (tmp_path / "_images").iterdir()} == {"a.webp", "b.webp", "c.png"}
    assert page.read_text().startswith(
        '<img alt="three blue lines" src="../_images/a.webp"><a href="../_images/b.webp">'
    )
    assert page.read_text().endswith("a.png") and not book.faults(tmp_path)
    assert Image.open(tmp_path / "_images" / "b.webp").getchannel("A").getextrema() == (0, 255)


def test_what_is_wrong_with_the_book_is_said_again(tools, tmp_path, monkeypatch, capsys):
    book, _ = tools
    stamp = tmp_path / "made-from"
    stamp.write_text("as it was")
    monkeypatch.setattr(book, "ROOT", tmp_path)
    monkeypatch.setattr(book, "BOOK", tmp_path)
    monkeypatch.setattr(book, "gather", lambda: "as it was")
    monkeypatch.setattr(book, "render", lambda: pytest.fail("nothing has changed"))
    (tmp_path / "one.html").write_text('<a href="two.html">')
    for _ in range(2):
        assert book.main([]) == 0
        assert "one.html: leads to two.html, which is not there" in capsys.readouterr().err


@pytest.fixture
def made(tools, tmp_path, monkeypatch):
    """A small book."""
    book, _ = tools
    text = (
        f"# One\n\n$${ALIGNED}$$\n\n[two](01_b.ipynb), [files](../hmnet_lite/files.py), "
        "[the scan](../hmnet_lite/scan/selective.py), [words](glossary.md), "
        "[loops](../kernels/cpu/line_loops.py), [scores](../figures/emoji_fold0.json)"
    )
    alt = {"image/png": {"alt": "a pixel of no colour"}}
    picture = new_output("display_data", {"image/png": PIXEL}, metadata=alt)
    drawn = new_code_cell('show(figure("recap"), "…")\n' + "x = 1  # wide\n", outputs=[picture])
    pages = {
        "00_a": [new_markdown_cell(text), drawn],
        "01_b": [new_markdown_cell("# Two\n\nA word that is found: recapped.")],
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
    return made


@pytest.mark.slow
@pytest.mark.browser
def test_a_book_is_whole_and_alive_without_a_network(made):
    page = (made / "notebooks" / "00_a.html").read_text()
    assert page.count("<mtr>") == 2
    assert 'alt="a pixel of no colour"' in page and 'class="full-size' in page
    assert 'href="01_b.html"' in page and 'href="solutions/00_a.html"' in page
    assert 'href="../_modules/hmnet_lite/files.html"' in page  # shown, not downloaded
    assert 'href="../files/kernels/cpu/line_loops.py.html"' in page
    assert "reference download" not in page
    assert "def " in strip_tags((made / "files/kernels/cpu/line_loops.py.html").read_text())
    scores = (made / "files/figures/emoji_fold0.json.html").read_text()
    assert "held_out" in scores and "Long rows of numbers are cut" in scores
    assert len(scores) < 60_000
    assert not (made / "_downloads").exists() and not list(made.rglob("*.map"))
    assert "def write_bytes" in strip_tags((made / "_modules/hmnet_lite/files.html").read_text())
    gallery = (made / "gallery.html").read_text()
    assert 'href="notebooks/00_a.html#one"' in gallery and "a pixel of no colour" in gallery
    assert "make figures ARGS=recap" in strip_tags(gallery)
    scan = strip_tags((made / "api" / "hmnet_lite.scan.html").read_text())
    assert "(batch, channels, length) step size." in scan and "_warned" not in scan
    assert "Hybrid Mamba" in (made / "index.html").read_text()

    import book_check

    # of the notebooks that these pages lead to, this book has none
    pages = ("index.html: ", "gallery.html: ", "CONTRIBUTING.html: ")
    assert [fault for fault in book_check.faults(made) if not fault.startswith(pages)] == []

    from fontTools.ttLib import TTFont

    font = TTFont(made / "_static" / "STIXTwoMath-Regular.ttf")
    assert {*map(ord, "Δ=√"), 0x1D6E5, 0x210E} <= set(font.getBestCmap()) and "MATH" in font
    assert (made / "_static" / "STIXTwoMath-Regular.ttf").stat().st_size < 500_000
    read_in_a_browser(made)


def strip_tags(text):
    return re.sub(r"<[^>]*>", "", text)


def read_in_a_browser(made):
    """Search and copy from a file, at a desk and on a telephone; nothing else is asked for."""
    errors, asked = [], []
    with start_chromium() as chromium:
        window = chromium.new_context(viewport={"width": 390, "height": 800})
        window.grant_permissions(["clipboard-read", "clipboard-write"])
        page = window.new_page()
        page.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto((made / "search.html").as_uri() + "?q=recapped")
        page.get_by_role("link", name="Two").first.wait_for()
        for name in ("index", "gallery", "api/hmnet_lite.scan", "notebooks/00_a"):
            page.goto((made / f"{name}.html").as_uri())
            wide = page.evaluate("document.documentElement.scrollWidth")
            assert wide <= 390, f"{name} is {wide} pixels wide on a telephone of 390"
        page.get_by_role("button", name="copy").click()
        page.get_by_role("button", name="copied").wait_for()
        copied = page.evaluate("() => navigator.clipboard.readText()")
        assert copied == 'show(figure("recap"), "…")\nx = 1  # wide'
    assert errors == [] and all(url.startswith(("file:", "data:")) for url in asked)

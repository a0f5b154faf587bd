"""The harness of tests/browser.py moves a slider, sees the picture change, and sees errors."""

import nbformat
import pytest

from tests.browser import open_notebook

pytestmark = [pytest.mark.browser, pytest.mark.slow]

WIDGET = '''
import struct, zlib
import ipywidgets as widgets

def png(grey):
    """One grey pixel."""
    def chunk(kind, data):
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))
    header = struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)
    pixels = zlib.compress(bytes([0, grey]))
    parts = chunk(b"IHDR", header), chunk(b"IDAT", pixels), chunk(b"IEND", b"")
    return b"\\x89PNG\\r\\n\\x1a\\n" + b"".join(parts)

slider = widgets.IntSlider(value=3, max=10, description="grey")
image = widgets.Image(value=png(3), format="png", width=60)
slider.observe(lambda change: setattr(image, "value", png(change["new"])), "value")
widgets.VBox([slider, image])
'''


def write_notebook(path, *cells):
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    cells = [nbformat.v4.new_code_cell(cell) for cell in cells]
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), path)
    return path


def test_a_slider_moves_and_its_picture_follows(tmp_path):
    notebook = write_notebook(tmp_path / "widget.ipynb", "import torch", WIDGET)
    unchanged = notebook.read_bytes()
    with open_notebook(notebook, tmp_path / "lab") as page:
        page.run_all()
        first = page.picture()
        page.press("ArrowRight")
        second = page.wait_for_other_picture(first)
        page.press("ArrowRight")
        assert page.wait_for_other_picture(second) not in {first, second}
        assert page.page.locator(".widget-readout").inner_text() == "5"
        page.page.evaluate("() => console.error('heard')")
        assert page.errors == ["heard"]  # nothing else went wrong, and an error is noticed
        assert page.screenshot(tmp_path / "page.png").stat().st_size > 10_000
        with pytest.raises(AssertionError, match="stayed the same"):
            page.wait_for_other_picture(page.picture(), timeout=0.3)
    assert notebook.read_bytes() == unchanged


def test_a_failing_cell_is_told(tmp_path):
    notebook = write_notebook(tmp_path / "broken.ipynb", "1 / 0")
    with (
        open_notebook(notebook, tmp_path / "lab") as page,
        pytest.raises(AssertionError, match="ZeroDivisionError"),
    ):
        page.run_all()

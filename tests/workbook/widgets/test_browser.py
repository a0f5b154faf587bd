"""Every widget in a real Chromium: its controls move the picture, by keyboard and by mouse.

The first three tests are of the harness and the settings; see tests/browser.py. Live pictures are
tried twice, in JupyterLab and on a page opened from a file; what is done to each is in `living`.
"""

import re
from pathlib import Path

import nbformat
import pytest

from tests.browser import start_lab
from tests.workbook.widgets import living, living_controls, living_network, living_state

pytestmark = [pytest.mark.browser, pytest.mark.slow]

NOTEBOOKS = Path(__file__).parents[3] / "notebooks"
GREY = '''
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
EXPLORERS = {
    "discretisation_explorer": """
import numpy as np
from hmnet_lite.workbook.widgets.scan import discretisation_explorer
tank = np.array([[-0.5]]), np.array([1.0])
discretisation_explorer({"tank": tank}, lambda time: np.ones_like(time), (0.5, 1, 2, 4), duration=8)
""",
    "traversal_chooser": """
import numpy as np
from hmnet_lite.workbook.widgets.traversals import traversal_chooser
traversal_chooser(np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8))
""",
    "ensemble_explorer": """
import numpy as np
from hmnet_lite.workbook.widgets.published import ensemble_explorer
image, disc = np.full((64, 64, 3), 90, np.uint8), np.hypot(*np.mgrid[-32:32, -32:32]) < 16
few_shot = np.linspace(0, 1, 64)[None].repeat(64, 0)
ensemble_explorer(image, disc.astype(np.uint8), few_shot, few_shot.T)
""",
}


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    with start_lab(tmp_path_factory.mktemp("lab")) as running:
        yield running


def widget_cell(notebook):
    """The committed notebook's own cell that makes its widget."""
    cells = nbformat.read(NOTEBOOKS / notebook, as_version=4).cells
    (cell,) = [c.source for c in cells if c.cell_type == "code" and c.source.startswith("widgets.")]
    return cell


def test_a_slider_moves_and_its_picture_follows(lab, tmp_path):
    with lab.open("import torch", GREY) as page:
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


def test_nothing_asks_for_news(lab):
    with lab.open("1") as page:
        page.run_all()
        page.page.wait_for_timeout(1000)  # the question would come after the page is up
        assert page.page.locator(".Toastify__toast").count() == 0


def test_a_notebook_opened_again_shows_its_widget_s_picture(lab):
    with lab.open("import ipywidgets", GREY) as page:
        page.run_all()
        page.save()
    with lab.open_again(page.path) as page:
        image = page.page.locator(".jupyter-widgets.widget-image")
        image.wait_for()
        assert image.evaluate("image => image.complete && image.naturalWidth") == 1
        assert page.page.get_by_text("model not found").count() == 0
        assert page.errors == []


def test_a_failing_cell_is_told(lab):
    with lab.open("1 / 0") as page, pytest.raises(AssertionError, match="ZeroDivisionError"):
        page.run_all()


@pytest.mark.parametrize("name", EXPLORERS)
def test_a_key_on_the_slider_moves_the_picture(lab, name):
    with lab.open(EXPLORERS[name]) as page:
        page.run_all()
        before = page.picture()
        page.press("ArrowRight")
        moved = page.wait_for_other_picture(before)
        page.page.locator(".noUi-target").first.click(position={"x": 3, "y": 3})  # the mouse
        page.wait_for_other_picture(moved)
        assert page.errors == []


def test_notebook_00_turns_the_dial(lab):
    imports = "from hmnet_lite.workbook.widgets import task as widgets"
    with lab.open(imports, widget_cell("00_start_here.ipynb")) as page:
        page.run_all()
        before = page.picture()
        page.press("ArrowRight")
        sibling = page.wait_for_other_picture(before)
        page.page.get_by_label("show the answer").uncheck()
        page.wait_for_other_picture(sibling)
        assert page.errors == []


MINE = """
import torch
import hmnet_lite
from hmnet_lite.data import EmojiEpisodes
from hmnet_lite.workbook.widgets.mine import mask_it_yourself
torch.set_num_threads(1)
model = hmnet_lite.load("hmnet-lite-fold0", device="cpu")
e = EmojiEpisodes(0, "test", gap="same")[3]
mask_it_yourself(model, {"camera": e.support_images[0]}, {"query": e.query_image})
"""


def test_mask_it_yourself_takes_a_box_a_brush_and_files(lab, tmp_path):
    from PIL import Image

    from hmnet_lite.data import EmojiEpisodes

    large, letter = tmp_path / "large.png", tmp_path / "letter.png"
    image = Image.fromarray(EmojiEpisodes(0, "test", gap="same")[3].query_image)
    image.resize((2000, 2000)).save(large)
    letter.write_bytes(b"Dear reader")
    with lab.open(MINE) as page:
        page.run_all()
        widget = living.find(page.page, "Mask it yourself")
        living.says(widget, "Drag a box around the thing in the first picture")
        node = widget.locator("canvas").first
        box = node.bounding_box()
        corner = [box["x"] + 0.2 * box["width"], box["y"] + 0.2 * box["height"]]
        page.page.mouse.move(*corner)
        page.page.mouse.down()
        page.page.mouse.move(corner[0] + 0.6 * box["width"], corner[1] + 0.6 * box["height"])
        page.page.mouse.up()
        living.says(widget, "query: ")
        before = widget.locator(".live-telling").inner_text()
        living.press(widget.get_by_label("threshold"), *["ArrowRight"] * 25)
        telling = widget.locator(".live-telling")
        telling.filter(has_text=re.compile(f"^(?!{re.escape(before)}$)")).wait_for(timeout=5000)
        widget.get_by_label("look in more pictures").set_input_files(str(large))
        living.says(widget, "large.png: ")
        widget.get_by_role("button", name="clear").click()
        widget.get_by_label("a brush").check()
        living.says(widget, "Drag a box around the thing in the first picture")
        node.click()
        living.says(widget, "large.png: ")
        widget.get_by_label("or a picture of yours").set_input_files(str(letter))
        living.says(widget, "letter.png ")
        widget.get_by_label("or a picture of yours").set_input_files(str(large))
        living.says(widget, "Drag a box around the thing in the first picture")
        living.press(node, *["ArrowRight"] * 5, "Shift+ArrowDown")
        living.says(widget, "found; large.png: ")
        camera = widget.get_by_label("camera")
        assert not camera.is_checked()
        camera.check()
        living.says(widget, "Drag a box around the thing in the first picture")
        widget.get_by_text("mark the thing: camera").wait_for()
        assert page.errors == []


# ---- live pictures, in JupyterLab and from a file ---------------------------------------------


@pytest.fixture(scope="module", params=["JupyterLab", "file"])
def page(request, lab, live, tmp_path_factory):
    """One page with all live pictures, `live`."""
    folder = tmp_path_factory.mktemp("live")
    with living.open_all(lab, live, folder, request.param) as opened:
        yield opened


DRIVES = living.DRIVES | living_network.DRIVES | living_state.DRIVES


@pytest.mark.parametrize("topic", DRIVES)
def test_a_live_picture_answers(page, live, topic):
    milliseconds = DRIVES[topic](page.page, live[topic].data)
    print(f"\n{topic}: {', '.join(f'{ms:.0f}' for ms in milliseconds)} ms an answer")
    assert page.errors == []


def test_typing_in_a_live_picture_reaches_nobody_else(page, live):
    living.type_into_all(page.page, live)
    assert page.errors == []


def test_every_control_answers_to_mouse_and_keyboard(lab, live, tmp_path):
    path = living.write_page(tmp_path / "page.html", live)
    with lab.open_file(path) as page:
        for number, topic in enumerate(live):
            widget = page.page.locator(".live").nth(number)
            widget.wait_for()
            times = living_controls.touch(page.page, widget)
            print(f"\n{topic}: {len(times)} answers, the longest in {max(times):.0f} ms")
            assert len(times) >= 3, topic
        assert page.errors == []


def test_without_scripts_the_still_is_seen(lab, live, tmp_path):
    path = living.write_page(tmp_path / "page.html", live)
    with lab.open_file(path, java_script_enabled=False) as page:
        for number, picture in enumerate(live.values()):
            image = page.page.locator("[data-live] img").nth(number)
            assert image.is_visible() and image.get_attribute("alt") == picture.alt


def test_the_theme_is_the_page_s_and_the_screen_s_pixels_are_used(lab, live, tmp_path):
    path = living.write_page(tmp_path / "page.html", live)
    with lab.open_file(path, device_scale_factor=2) as page:
        living.check_theme_and_sharpness(page.page)
        assert page.errors == []

"""The widgets of notebooks 02, 03 and 06 in a real browser: a slider moves, the picture follows."""

import pytest

from tests.browser import open_notebook
from tests.project.test_browser_harness import write_notebook

pytestmark = [pytest.mark.browser, pytest.mark.slow]

CELLS = {
    "02 state_stepper": """
import numpy as np
from hmnet_lite.workbook.widgets.parts import state_stepper
u, A = np.linspace(-1, 1, 16), -np.arange(1.0, 5)
state_stepper(u, {"slow": np.full(16, 0.1), "fast": np.full(16, 0.5)}, A, start=5)
""",
    "03 traversal_chooser": """
import numpy as np
from hmnet_lite.workbook.widgets.parts import traversal_chooser
traversal_chooser(np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8))
""",
    "06 ensemble_explorer": """
import numpy as np
from hmnet_lite.workbook.widgets.published import ensemble_explorer
image, disc = np.full((64, 64, 3), 90, np.uint8), np.hypot(*np.mgrid[-32:32, -32:32]) < 16
few_shot = np.linspace(0, 1, 64)[None].repeat(64, 0)
ensemble_explorer(image, disc.astype(np.uint8), few_shot, few_shot.T)
""",
}


@pytest.mark.parametrize("name", CELLS)
def test_a_slider_moves_the_picture(tmp_path, name):
    path = write_notebook(tmp_path / "widget.ipynb", CELLS[name])
    with open_notebook(path, tmp_path / "lab") as page:
        page.run_all()
        before = page.picture()
        page.press("ArrowRight")
        page.wait_for_other_picture(before)
        assert page.errors == []

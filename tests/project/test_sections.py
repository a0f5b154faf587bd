"""Sections that carry numbers are counted through: none is lost when a cell is written anew."""

import json
import re
from pathlib import Path

import pytest

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_no_number_is_left_out(path):
    cells = json.loads(path.read_text("utf-8"))["cells"]
    text = "\n\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "markdown")
    numbers = [int(n) for n in re.findall(r"^## (\d+) · ", text, re.MULTILINE)]
    assert numbers == list(range(1, len(numbers) + 1))

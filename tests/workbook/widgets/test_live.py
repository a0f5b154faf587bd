"""What all live pictures share: data travel whole, and a notebook keeps the still."""

import base64
import gzip
import json
import struct

import numpy as np
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output

from hmnet_lite.workbook.widgets.live import Live, Picture, module, pack
from tools import notebooks

STILL = b"\x89PNG not really"


def unpack(block):
    """The tree of `pack`, arrays as arrays and pictures as bytes: what live.js does."""
    raw = gzip.decompress(block)
    start = struct.unpack_from("<I", raw)[0]

    def walk(node):
        if isinstance(node, list):
            return [walk(x) for x in node]
        if isinstance(node, dict) and "picture" in node:
            offset, length = node["picture"]
            return raw[start + offset : start + offset + length]
        if isinstance(node, dict) and "array" in node:
            dtype, shape, offset = node["array"]
            count = int(np.prod(shape))
            return np.frombuffer(raw, dtype, count, start + offset).reshape(shape)
        return {k: walk(v) for k, v in node.items()} if isinstance(node, dict) else node

    assert start % 4 == 0, "float32 begins at multiples of four"
    return walk(json.loads(raw[4:start]))


def test_a_tree_comes_back_as_it_was():
    rng = np.random.default_rng(0)
    data = {
        "a": rng.integers(0, 256, (3, 5), dtype=np.uint8), "b": [rng.random(4).astype("f2"), "Δ"],
        "c": {"d": rng.random((2, 3), dtype=np.float32), "e": 1.5},
        "f": Picture(np.full((4, 6, 3), 90, np.uint8)),
    }  # fmt: skip
    back = unpack(pack(data))
    assert np.array_equal(back["a"], data["a"]) and np.array_equal(back["c"]["d"], data["c"]["d"])
    assert np.array_equal(back["b"][0], data["b"][0]) and back["b"][1:] == ["Δ"]
    assert back["c"]["e"] == 1.5 and back["f"][8:12] == b"WEBP"
    assert pack(data) == pack(data), "the same data, the same page"


def test_other_types_are_refused():
    with pytest.raises(TypeError, match=r"array of int64.*uint8, float16, float32"):
        pack({"a": np.arange(3)})


def test_the_output_has_module_data_and_still():
    live = Live("qim", {"a": np.zeros(3, np.uint8)}, STILL, 'a "still" of zeros')
    data, metadata = live._repr_mimebundle_()
    page = data["text/html"]
    assert module("qim") in page and base64.b64encode(pack(live.data)).decode() in page
    assert 'alt="a &quot;still&quot; of zeros"' in page and "http" not in page
    assert base64.b64decode(data["image/png"]) == STILL
    assert metadata["image/png"]["alt"] == live.alt


def test_a_committed_notebook_keeps_the_still_and_a_page_all_of_it():
    live = Live("qim", {"a": np.zeros(3, np.uint8)}, STILL, "a still of nothing at all")
    data, metadata = live._repr_mimebundle_()
    cell = new_code_cell("x", outputs=[new_output("execute_result", data, metadata=metadata)])
    notebook = new_notebook(cells=[cell])
    notebooks.freeze_widgets(notebook)
    assert "text/html" in cell.outputs[0]["data"], "what the book is made of"
    (kept,) = notebooks.strip(notebook).cells[0].outputs
    assert set(kept["data"]) == {"image/png", "text/plain"}
    assert kept.metadata["image/png"]["alt"] == live.alt

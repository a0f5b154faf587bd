"""Mask it yourself: encoded once, the answers are those of `hmnet_lite.segment`."""

import matplotlib

matplotlib.use("Agg")

import numpy as np
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output
from PIL import Image

import hmnet_lite
from hmnet_lite.workbook.widgets.mine import Search, mask_it_yourself
from tests.workbook.widgets.test_live import unpack
from tools import notebooks


@pytest.fixture
def pictures(episodes):
    return episodes["same"].support_images[0], episodes["same"].query_image[:96]


def box_mask(size):
    mask = np.zeros(size, np.uint8)
    mask[20:70, 30:90] = 1
    return mask


def test_the_answer_is_segment_s(networks, pictures, episodes):
    model, (support, query) = networks["state alone"], pictures
    search, mask = Search(model, side=128), episodes["same"].support_masks[0]
    found = search.find(search.encode(support), mask, search.encode(query))
    expected = hmnet_lite.segment(model, query, support, mask, side=128, probabilities=True)
    assert found.shape == (96, 128) and np.abs(found - expected).max() < 1e-4


def test_the_page_s_questions_are_answered(networks, pictures, tmp_path):
    support, query = pictures
    widget = mask_it_yourself(networks["state alone"], {"one": support}, {"other": query}, side=128)
    told = []
    widget.send = lambda content, buffers=(): told.append((content, buffers))
    mask = box_mask((128, 128))
    widget.hear({"kind": "mask", "number": 3}, [mask.tobytes()])
    (content, (raw,)) = told.pop()
    expected = widget.search.find(widget.support, mask, widget.queries[0])
    (answer,) = unpack(raw)["answers"]
    assert content == {"kind": "answers", "number": 3}
    assert np.array_equal(answer > 127.5, expected.astype(float) > 0.5)

    path = tmp_path / "large.png"
    Image.fromarray(support).resize((600, 300)).save(path)
    raw, name = path.read_bytes(), {"kind": "upload", "role": "query", "name": "large.png"}
    widget.hear(name | {"last": False}, [raw[:1000]])
    assert not told
    widget.hear(name | {"last": True}, [raw[1000:]])
    assert told.pop()[0] == {"kind": "picture", "role": "query", "name": "large.png"}
    assert widget.queries[-1].size == (64, 128), "read reduced, not cut"


def test_what_is_no_picture_is_told_by_its_name(networks, pictures):
    widget = mask_it_yourself(networks["state alone"], {"one": pictures[0]}, {"a": pictures[1]})
    told = []
    widget.send = lambda content, buffers=(): told.append(content)
    upload = {"kind": "upload", "role": "support", "name": "letter.png", "last": True}
    widget.hear(upload, [b"Dear reader"])
    assert told[0]["kind"] == "trouble" and told[0]["text"].startswith("letter.png ")
    widget.hear({"kind": "mask", "number": 1}, [bytes(256 * 256)])
    assert "mark the thing" in told[1]["text"]


def test_a_notebook_keeps_a_still(networks, pictures):
    widget = mask_it_yourself(networks["state alone"], {"one": pictures[0]}, {"a": pictures[1]})
    data, metadata = widget._repr_mimebundle_()
    (kind,) = [k for k in data if k.startswith("image/")]
    assert len(metadata[kind]["alt"].split()) > 4 and len(data[kind]) < 60_000
    shown = new_output("display_data", data, metadata=metadata)
    notebook = new_notebook(cells=[new_code_cell("x", outputs=[shown])])
    notebooks.freeze_widgets(notebook)
    (kept,) = notebook.cells[0].outputs
    assert set(kept.data) == {"text/plain", kind}

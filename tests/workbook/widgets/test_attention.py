"""Scan as attention: the rows are those of the matrices that give the scan's outputs."""

import matplotlib

matplotlib.use("Agg")

import numpy as np
import pytest
import torch

from hmnet_lite import selective_scan
from hmnet_lite.analysis.attention import implicit_attention, scan_matrix, softmax_attention
from hmnet_lite.analysis.look import look
from hmnet_lite.analysis.split import one_direction
from hmnet_lite.maps import reading_order
from hmnet_lite.workbook.widgets.attention import image_attention, rows_data, sequence_attention

PIXEL = 8 * 2 + 5


@pytest.fixture(scope="module")
def seen(networks, episodes):
    return look(networks["state alone"], [episodes["held_out"]])


def test_the_matrix_is_the_scan(seen):
    scan = one_direction(seen.blocks[0].record["query_scan"](), 2)
    u, delta, A, B, C, _ = scan
    expected = selective_scan(u, delta, A, B, C, backend="reference")
    found = (scan_matrix(scan) @ u[..., None]).squeeze(-1)
    assert torch.allclose(found, expected, atol=1e-4 * expected.abs().max().item())
    with pytest.raises(ValueError, match="one direction"):
        scan_matrix(seen.blocks[0].record["query_scan"]())


def test_attention_s_rows_add_up_to_one_and_look_back_where_told(seen):
    scan = one_direction(seen.blocks[0].record["query_scan"](), 0)
    soft, causal = softmax_attention(scan), softmax_attention(scan, causal=True)
    assert torch.allclose(soft.sum(-1), torch.ones(1, 64)) and (soft > 0).all()
    assert torch.equal(causal.triu(1), torch.zeros_like(causal)) and causal[0, 0, 0] == 1
    ratio = soft[0, 9, 3] / soft[0, 9, 7]
    assert causal[0, 9, 3] / causal[0, 9, 7] == pytest.approx(ratio.item(), rel=1e-4)


def test_a_self_block_s_rows(seen):
    data = rows_data(seen.blocks[0].record["query_scan"](), (8, 8))
    assert data["ways"][-2:] == ["all scans", "attention"] and "support" not in data
    line, order = one_direction(seen.blocks[0].record["query_scan"](), 1), reading_order(8, 8)[1]
    weights = torch.zeros(64)
    step = order.tolist().index(PIXEL)
    weights[order] = scan_matrix(line)[0].abs().mean(0)[step]
    root = (weights / weights.max()).sqrt().numpy()
    assert np.abs(data["query"][1, PIXEL] / 255 - root).max() < 0.5 / 15 + 2e-3
    assert data["shares"][1, PIXEL, 0] == pytest.approx(
        (weights[PIXEL] / weights.sum()).item(), rel=1e-4
    )
    assert (data["shares"][..., 1] == 0).all()


def test_a_hybrid_block_s_rows_begin_with_the_support(seen):
    hybrid = seen.hybrid[0]
    support, query, patch = hybrid.scans()
    cut = {"support_size": (4, 4), "ratio": 2, "segment": patch}
    data = rows_data(query, (8, 8), support=support, **cut)
    assert data["support"].shape == (6, 64, 16) and data["query"].shape == (6, 64, 64)
    parts = implicit_attention(one_direction(support, 3), one_direction(query, 3), segment=patch)
    step = reading_order(8, 8, 2)[3].tolist().index(PIXEL)
    sizes = [x[0].abs().mean(0)[step].sum() for x in (parts.support, parts.query)]
    assert data["shares"][3, PIXEL, 1] == pytest.approx((sizes[0] / sum(sizes)).item(), rel=1e-4)


def test_it_is_made_of_sequences_and_of_pictures(networks, episodes):
    matrices = {"scan": np.tril(np.ones((4, 4))), "attention": np.eye(4)}
    assert list(sequence_attention(matrices).data["matrices"]) == ["scan", "attention"]
    live = image_attention(networks["state alone"], episodes["same"], hybrid=True)
    assert live.data["given"]["image"].image.shape == (128, 128, 3)

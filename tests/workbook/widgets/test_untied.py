"""Widgets of networks whose support is not as many times smaller as their query has patches."""

import numpy as np
import pytest
import torch

from hmnet_lite.analysis.look import look
from hmnet_lite.workbook.widgets.attention import image_attention
from hmnet_lite.workbook.widgets.hidden import hidden_state, run
from hmnet_lite.workbook.widgets.qim import blocks_data
from hmnet_lite.workbook.widgets.recap import recap_data
from tests.workbook.widgets.conftest import network


@pytest.fixture(scope="module")
def close():
    """Four patches, each after a whole support; QIM at full size."""
    return network(support_ratio=1, qim_ratio=1)


@pytest.fixture(scope="module")
def seen(close, episodes):
    return look(close, [episodes["same"]])


def test_the_state_is_walked_over_the_whole_support(close, episodes):
    live = hidden_state(close, episodes["same"])
    given = live.data["scans"][0]
    assert given["support"]["size"] == [8, 8] and live.data["patch"] == 16
    assert len(run(given, patch=16, recap=True)) == 4 * 64 + 64


def test_a_patch_is_the_query_s(seen):
    data = recap_data(seen.hybrid[0])
    assert data["patch"] == 16 and data["sizes"] == {"support": [8, 8], "query": [8, 8]}
    assert len(data["steps"]["support"]) == 64


def test_rows_hear_every_pixel_of_the_support(close, episodes):
    data = image_attention(close, episodes["same"], hybrid=True).data
    assert data["sizes"]["support"] == [8, 8] and data["support"].shape[1:] == (64, 64)


def test_both_paths_have_maps_of_their_size(seen):
    (paths,) = blocks_data(seen, 0).values()
    for path in paths.values():
        for kind in ("support", "query"):
            assert path[f"{kind}_size"] == [8, 8] and path[kind].shape[1:] == (64, 64)
    heard = paths["QIM"]["query"][0]
    assert np.array_equal(heard > 0, np.diag(np.diag(heard)) > 0), "itself alone, at full size"


def test_qim_of_each_direction_is_not_taken_apart(episodes):
    model = network(qim="each")
    (paths,) = blocks_data(look(model, [episodes["same"]]), 0).values()
    assert list(paths) == ["SRM"]
    assert torch.isfinite(torch.from_numpy(paths["SRM"]["shares"])).all()

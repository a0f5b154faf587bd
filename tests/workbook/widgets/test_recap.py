"""The recap player's two lines are one state, that of the block's scan."""

import matplotlib

matplotlib.use("Agg")

import numpy as np
import pytest

from hmnet_lite.analysis.look import look
from hmnet_lite.analysis.split import one_direction, split_state
from hmnet_lite.workbook.widgets.recap import recap_data, recap_player, walk


@pytest.fixture(scope="module")
def hybrid(networks, episodes):
    return look(networks["state alone"], list(episodes.values())).hybrid[0]


@pytest.mark.parametrize("direction, ratio", [(0, 2), (3, 4)])
def test_both_lines_are_the_split_s_state(hybrid, direction, ratio):
    data = recap_data(hybrid, direction=direction, episode=1, ratio=ratio)
    support, query, patch = hybrid.scans(ratio)
    parts = split_state(*(one_direction(s, direction) for s in (support, query)), segment=patch)
    small = data["patch"]
    assert small == patch == 64 // ratio**2 and len(data["entries"]) >= 2
    for i, (channel, n) in enumerate(data["entries"]):
        expected = parts.whole[1, channel, :, n].numpy()
        literal = walk(data, i, literal=True).reshape(ratio**2, -1)
        affine = walk(data, i, literal=False).reshape(ratio**2, -1)
        assert literal.shape[1] == 2 * small and affine.shape[1] == 1 + small
        assert np.allclose(affine[:, 1:].ravel(), expected, rtol=1e-4, atol=1e-6)
        assert np.allclose(literal[:, small:].ravel(), expected, rtol=1e-4, atol=1e-6)
        assert np.allclose(literal[:, small - 1], affine[:, 0], rtol=1e-4, atol=1e-6)


def test_it_opens_with_the_network_s_own_ratio(networks, episodes):
    live = recap_player(networks["state alone"], episodes["same"])
    assert live.data["patch"] == 16 and sorted(live.data["orders"]["query"]) == list(range(64))

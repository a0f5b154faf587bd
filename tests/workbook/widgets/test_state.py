"""The forgetting explorer's numbers are those of the analysis."""

import matplotlib

matplotlib.use("Agg")

import numpy as np
import pytest

from hmnet_lite.analysis.forgetting import forgetting
from hmnet_lite.analysis.look import look
from hmnet_lite.analysis.split import one_direction, split_state
from hmnet_lite.workbook.widgets.state import forgetting_explorer, memory, orders


@pytest.fixture(scope="module")
def hybrid(networks, episodes):
    return look(networks["state alone"], list(episodes.values())).hybrid[0]


@pytest.mark.parametrize("ratio", [1, 2])
def test_the_parts_are_those_of_the_split(hybrid, ratio):
    found = memory(hybrid, 1, ratio)
    support, query, _ = hybrid.scans(ratio)
    assert found["patch"] == (16 if ratio == 2 else 0)
    for k in (0, 3):
        parts = split_state(
            *(one_direction(s, k) for s in (support, query)), segment=found["patch"]
        )
        pairs = (("support", parts.support_kept()), ("query", parts.query_written()))
        for name, expected in pairs:
            assert np.allclose(found[name][k], expected[1], rtol=2e-3, atol=1e-4)  # float16
        share = parts.support_share()[1].numpy()
        sizes = (found[name][k].astype(float) for name in ("support", "query"))
        of_support, of_query = sizes
        assert np.allclose(of_support / (of_support + of_query), share, atol=2e-3)


def test_the_paper_s_measure_is_the_analysis_s(hybrid):
    found, readings = memory(hybrid, 0, 2), forgetting(hybrid, 2)
    assert np.allclose(found["cosine"], readings.max_cosine()[0], atol=1e-3)
    assert found["at"].tolist() == readings.at.tolist() and found["cosine"].max() <= 1


def test_every_pixel_is_read_once():
    for ratio in (1, 2, 4):
        assert (np.sort(orders((8, 8), ratio), axis=1) == np.arange(64)).all()


def test_the_explorer_opens_with_the_last_ratio(networks, episodes):
    live = forgetting_explorer(networks["state alone"], episodes, ratios=(1, 2))
    assert live.data["names"] == list(episodes) and live.still[:2] in {b"\x89P", b"\xff\xd8"}
    assert [own["patch"] for own in live.data["memory"]["same"]] == [0, 16]
    assert len(live.data["directions"]) == 4 and len(live.still) <= 100_000

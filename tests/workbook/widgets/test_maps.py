"""Walk the network: what a box tells is what the walk measured."""

import matplotlib

matplotlib.use("Agg")

import numpy as np
import pytest

from hmnet_lite.analysis.walk import walk
from hmnet_lite.workbook.widgets.maps import BOXES, EVIDENCE, walk_data, walk_the_network


@pytest.fixture(scope="module")
def stops(networks, episodes):
    return walk(networks["state alone"], episodes["same"])


def test_every_stop_has_a_box_and_its_numbers(stops):
    data = walk_data(stops)
    assert list(data["boxes"]) == list(BOXES)
    for stop in stops:
        box = data["boxes"][stop.name]
        assert (box["trained"], box["frozen"]) == (stop.trained, stop.frozen)
        assert (box["operations"], box["shape"]) == (stop.operations, stop.shape)
    assert "shape" not in data["boxes"]["query"], "what is given costs nothing"


def test_maps_lie_on_the_picture_they_are_of(stops):
    maps = walk_data(stops)["maps"]
    assert maps["metric"]["support"]["of"] == "support"
    assert maps["merge"]["support"]["of"] == "zoomed" and maps["merge"]["query"]["of"] == "query"
    assert list(maps["evidence"]) == list(EVIDENCE)
    evidence = next(stop for stop in stops if stop.name == "evidence").maps["query"]
    for title, k in EVIDENCE.items():
        expected = evidence[-k].clamp(0, 1).numpy()
        assert np.abs(maps["evidence"][title]["values"] / 255 - expected).max() <= 0.5 / 255 + 1e-6
    assert maps["block 2"]["QIM"]["values"].shape == (4, 4, 3)
    assert maps["decoder"]["probability"]["values"].ndim == 2


def test_the_still_shows_every_part(networks, episodes):
    live = walk_the_network(networks["state alone"], episodes["same"])
    assert live.topic == "maps" and live.still[:2] in {b"\x89P", b"\xff\xd8"}
    assert set(live.data["pictures"]) == {"query", "support", "zoomed"}

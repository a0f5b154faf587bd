"""The pixel inspector's numbers are those of the analysis."""

import matplotlib

matplotlib.use("Agg")

import numpy as np
import pytest
import torch

from hmnet_lite.analysis.look import look
from hmnet_lite.analysis.split import heard, split_output
from hmnet_lite.maps import from_sequences, to_sequences
from hmnet_lite.workbook.widgets.qim import LEVELS, WRITERS, blocks_data, pixel_inspector

PIXEL = (2, 5)


@pytest.fixture(scope="module")
def seen(networks, episodes):
    return look(networks["state alone"], list(episodes.values()))


def test_maps_are_as_loud_as_the_pixels_are_heard(seen):
    hybrid = seen.hybrid[0]
    path = blocks_data(seen, 1)["block 2"]["SRM"]
    assert (path["size"], path["support_size"]) == ([8, 8], [4, 4])
    support, query, _ = hybrid.scans()
    maps = heard(support, query, PIXEL, ((4, 4), (8, 8)), ratio=2)
    loud = [m[1].norm(dim=0).flatten().numpy() for m in maps]
    output = PIXEL[0] * 8 + PIXEL[1]
    own, loud[1][output] = loud[1][output], 0
    loudest = max(x.max() for x in loud)
    for kind, expected in zip(("support", "query"), loud, strict=True):
        values, half = path[kind][0, output] / 255, 0.5 / LEVELS + 1e-3  # rounded roots
        if kind == "query":
            assert values[output] == pytest.approx(min(1, own / loudest) ** 0.5, abs=half)
            values[output] = 0
        assert np.abs(values - np.sqrt(expected / loudest)).max() < half


def test_shares_are_those_of_the_split(seen):
    hybrid = seen.hybrid[0]
    support, query, segment = hybrid.scans()
    marked = (seen.query_class >= 0.5)[:, None].float()
    lines = to_sequences(marked, 2).squeeze(2)
    parts = split_output(support, query, lines, segment=segment)
    sums = {
        name: sum(from_sequences(part.unflatten(1, (4, -1)), 8, 8, 2))[0].norm(dim=0)
        for name, part in parts.items()
    }
    total = sum(sums[name] for name in ("support", "own", "marked", "rest"))
    path = blocks_data(seen, 0)["block 2"]["SRM"]
    for i, name in enumerate(("support", "own", "marked", "rest")):
        expected = (sums[name] / total).flatten().numpy()
        assert np.abs(path["shares"][:, i] - expected).max() < 1e-4, WRITERS[i]
    skip = (sums["skip"] / total).flatten().numpy()
    assert np.allclose(path["skip"], skip, rtol=2e-3, atol=1e-4)  # float16


def test_in_qim_nobody_else_of_the_query_is_heard(seen):
    path = blocks_data(seen, 0)["block 2"]["QIM"]
    assert path["query"].shape == (1, 64, 16) and (path["query"] > 0).sum(-1).max() <= 4
    assert (path["shares"][:, 2:] == 0).all()
    assert np.allclose(path["shares"].sum(1), 1, atol=1e-5)


def test_the_inspector_has_every_network_and_gap(networks, episodes):
    live = pixel_inspector(networks, episodes, start=PIXEL)
    assert live.data["start"] == [2, 5] and live.still[:2] in {b"\x89P", b"\xff\xd8"}
    assert len(live.still) <= 100_000 and len(live.alt.split()) > 5
    for name in networks:
        assert set(live.data["blocks"][name]) == {"same", "held_out"}
    assert set(live.data["pictures"]["same"]) == {"query", "whole", "zoomed"}
    middle = pixel_inspector({"one": networks["state alone"]}, episodes)
    row, column = middle.data["start"]
    with torch.no_grad():
        assert look(networks["state alone"], [episodes["same"]]).query_class[0, row, column] >= 0.5

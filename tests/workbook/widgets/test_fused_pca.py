"""The fusion comparer shows what the analysis finds."""

import matplotlib

matplotlib.use("Agg")

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from hmnet_lite.analysis.fused_pca import fit_basis, to_prototype
from hmnet_lite.analysis.fusion import FUSIONS, fusions
from hmnet_lite.analysis.look import look
from hmnet_lite.workbook.widgets.fused_pca import comparer_data, fusion_comparer


@pytest.fixture(scope="module")
def seen(networks, episodes):
    return look(networks["state alone"], list(episodes.values()))


def test_colours_are_of_one_basis(networks, episodes, seen):
    data = comparer_data(networks["state alone"], episodes)
    fused = fusions(seen.hybrid[0], seen.support_class)
    unit = {name: F.normalize(x, dim=1) for name, x in fused.items()}
    basis = fit_basis(unit.values())
    assert data["fusions"] == list(FUSIONS)
    assert data["colours"].shape == (len(FUSIONS), 2, 8, 8, 3)
    for colours, x in zip(data["colours"], unit.values(), strict=True):
        assert np.abs(colours / 255 - basis.colours(x)).max() <= 0.5 / 255 + 1e-9
    assert data["explained"] == pytest.approx(basis.explained.tolist())


def test_cosines_and_parts_are_the_analysis(networks, episodes, seen):
    data = comparer_data(networks["state alone"], episodes)
    fused = fusions(seen.hybrid[0], seen.support_class)
    support = seen.hybrid[0].record["scan_in_support"]
    for cosine, x in zip(data["cosine"], fused.values(), strict=True):
        expected = to_prototype(x, support, seen.support_class)
        assert torch.allclose(torch.from_numpy(cosine).float(), expected, atol=1e-3)
    assert ((seen.query_class > 0.5).numpy() == (data["part"] == 1)).all()
    assert not (data["part"] == 0)[(seen.query_class > 0).numpy()].all()
    assert data["part"][0][tuple(data["start"])] == 1


def test_every_episode_has_its_line_on_the_still(networks, episodes):
    live = fusion_comparer(networks["state alone"], episodes)
    assert live.data["episodes"] == list(episodes) and len(live.data["query"]) == 2
    assert live.still[:2] in {b"\x89P", b"\xff\xd8"}

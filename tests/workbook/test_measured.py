"""The analysis' numbers, on small untrained networks and two episodes: they draw their figures."""

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch

from hmnet_lite import HMNet, HMNetConfig
from hmnet_lite.data.emoji.protocol import Protocol
from hmnet_lite.models.features import CachedFeatures
from hmnet_lite.workbook import make, measured

SWITCHES = {
    "both": {}, "cross": {"srm": "basic", "qim": "off"},
    "srm": {"qim": "off"}, "qim": {"srm": "off"},
}  # fmt: skip


@pytest.fixture(autouse=True)
def small(monkeypatch, tmp_path_factory):
    """Two episodes of 128 pixels, and networks that nobody trained, of every arm."""
    folder = tmp_path_factory.getbasetemp() / "measured"

    def network(name):
        arm = next((a for a in SWITCHES if f"-{a}-" in name), "both")
        torch.manual_seed(0)
        switches = {"recap_ratio": 2, "start": "matching"} | SWITCHES[arm]
        model = HMNet(HMNetConfig(dim=16, state=4, **switches)).eval()
        model.mixer.start_matching()
        return model

    def features(gap, episodes):
        protocol = Protocol(gap=gap, episodes=episodes, image_size=128)
        return CachedFeatures(protocol.build(), folder=folder, workers=1, progress=False)

    def sources(*names, **more):
        return {"networks": dict.fromkeys(names, "?"), "fold": 0, "gap": "cross"} | more

    for name, stand_in in dict(network=network, features=features, sources=sources).items():
        monkeypatch.setattr(measured, name, stand_in)
    monkeypatch.setattr(measured, "SHOWN", (0, 1))
    monkeypatch.setattr(measured, "EPISODES", 2)
    measured.fused_basis.cache_clear()
    yield
    measured.fused_basis.cache_clear()
    plt.close("all")


@pytest.mark.parametrize("name", ["support_forgetting", "where_it_lasts", "fused_pca",
                                  "fused_clouds"])  # fmt: skip
def test_numbers_of_two_episodes_draw_their_figure(name):
    numbers = make.plain(make.FIGURES[name].compute(2))
    assert numbers["from"]["episodes"] == 2 and numbers["from"]["networks"]
    assert make.figure(name, numbers).axes


def test_one_pixel_s_attention_draws_its_figure():
    numbers = make.plain(measured.implicit_attention(0))
    assert list(numbers["rows"]) == ["read once", "recaps", "QIM"]
    assert make.figure("implicit_attention", numbers).axes
    own = np.array(numbers["rows"]["QIM"][2][1])
    assert np.count_nonzero(own) == 1, "QIM hears no other query pixel"


def test_similarity_has_every_arm_seed_gap_and_part():
    numbers = make.plain(measured.support_similarity(2, seeds=(0, 1)))
    titles = ["concatenation", "SRM", "QIM", "SRM + QIM", "control: noise"]
    assert list(numbers["panels"]) == titles
    assert np.shape(numbers["panels"]["SRM"]["after"]["BG"]) == (2, 4)
    assert make.figure("support_similarity", numbers).axes


def test_a_network_that_is_not_shipped_is_named(monkeypatch, tmp_path):
    monkeypatch.undo()
    monkeypatch.setattr("hmnet_lite.training.zoo.models_folder", lambda: tmp_path)
    measured.network.cache_clear()
    with pytest.raises(ValueError, match=r"there is no model 'hmnet-state-cross-fold0-seed0'"):
        measured.network(measured.state_network("cross"))
    assert measured.shipped_seeds() == (0,)

"""A walk through HMNet-lite: its parts are all of the network, and give what it computes."""

import pytest
import torch

from hmnet_lite import HMNet, HMNetConfig
from hmnet_lite.analysis.costs import count_flops
from hmnet_lite.analysis.walk import walk
from hmnet_lite.data import EmojiEpisodes
from hmnet_lite.models.features import to_tensor


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return HMNet(HMNetConfig(dim=16, state=4, recap_ratio=2)).eval()


@pytest.fixture(scope="module")
def episode():
    return EmojiEpisodes(0, "test", gap="same", image_size=128)[3]


@pytest.fixture(scope="module")
def stops(model, episode):
    return {stop.name: stop for stop in walk(model, episode)}


@pytest.fixture(scope="module")
def given(episode):
    images = to_tensor(episode.query_image)[None], to_tensor(episode.support_images[0])[None, None]
    return *images, torch.from_numpy(episode.support_masks)[None]


def test_the_parts_add_up_to_the_network(model, stops, given):
    assert list(stops) == [
        "backbone",
        "metric",
        "evidence",
        "merge",
        "block 1",
        "block 2",
        "decoder",
    ]
    parameters, found = list(model.parameters()), stops.values()
    assert sum(s.trained for s in found) == sum(p.numel() for p in parameters if p.requires_grad)
    fixed = sum(p.numel() for p in parameters if not p.requires_grad)
    assert sum(s.frozen for s in found) == fixed + sum(b.numel() for b in model.buffers())
    assert stops["backbone"].trained == 0 < stops["backbone"].frozen
    assert stops["metric"].trained == 0 < stops["block 2"].trained
    with count_flops() as counter:
        model(*given)
    assert sum(s.operations for s in found) == counter.get_total_flops()
    assert all(s.operations > 0 and s.seconds >= 0 for s in found)


def test_the_maps_are_the_network_s(model, stops, given):
    with torch.no_grad():
        expected = model(*given).softmax(1)[0, 1:]
        deep = model.backbone(given[0]).deep
    assert torch.allclose(stops["decoder"].maps["probability"], expected, atol=1e-5)
    assert torch.allclose(stops["backbone"].maps["query"], deep[0], atol=1e-5)
    assert stops["evidence"].shape == (28, 8, 8) and stops["merge"].shape == (16, 8, 8)
    assert list(stops["block 1"].maps) == ["query", "support"]
    assert list(stops["block 2"].maps) == ["query", "SRM", "QIM"]
    assert stops["block 2"].maps["QIM"].shape == (32, 4, 4)


def test_a_network_without_a_mixer_has_no_blocks(episode):
    names = [stop.name for stop in walk(HMNet(HMNetConfig(depth=0)).eval(), episode)]
    assert names == ["backbone", "metric", "evidence", "merge", "decoder"]

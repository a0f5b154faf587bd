"""Hidden shortcuts: such an episode's prototype and prior reach nobody, and which ones is told by
number."""

import pytest
import torch

from hmnet_lite import HMNet, HMNetConfig
from hmnet_lite.models.backbones import Features
from hmnet_lite.models.features import Batch
from hmnet_lite.training.hiding import Hiding
from hmnet_lite.training.losses import episode_loss


class Numbered:
    """Episodes that say their number."""

    fingerprint, classes = "numbered", {1: "one"}

    def batch(self, numbers, seed, device):
        rows = torch.tensor(list(numbers), dtype=torch.float32)
        return Batch(Features(rows, rows), rows, rows, rows)


def hidden(how, numbers, episodes=4000, seed=0):
    return Hiding(Numbered(), how, episodes).batch(numbers, seed, "cpu").hidden


def test_half_hides_half_and_fading_ever_fewer():
    assert 0.45 < hidden("half", range(4000)).float().mean() < 0.55
    faded = hidden("fading", range(5000)).float()
    for start in (0, 1000, 2000, 3000):
        assert abs(faded[start : start + 1000].mean() - (0.875 - start / 4000)) < 0.06
    assert not faded[4000:].any()


@pytest.mark.parametrize("how", ["half", "fading"])
def test_who_is_hidden_depends_on_seed_and_number_alone(how):
    whole = hidden(how, range(40))
    assert torch.equal(hidden(how, range(1, 40, 2)), whole[1::2])
    assert not torch.equal(hidden(how, range(40), seed=1), whole)


def test_twice_gives_every_episode_both_ways():
    batch = Hiding(Numbered(), "twice", 9).batch([5, 7], 0, "cpu")
    assert batch.query_masks.tolist() == [5, 7, 5, 7]
    assert batch.hidden.tolist() == [False, False, True, True]


def test_what_cannot_be_hidden_is_told():
    with pytest.raises(ValueError, match=r"hide='third' is not known; choose one of half, fading"):
        Hiding(Numbered(), "third", 9)
    with pytest.raises(ValueError, match="episodes is 0; expected those of the whole training"):
        Hiding(Numbered(), "half", 0)
    names = {Hiding(Numbered(), how, n).fingerprint for how in ("half", "fading") for n in (8, 9)}
    assert len(names) == 4, "a run would go on with other episodes hidden"


@pytest.fixture
def given():
    """Two episodes and a network whose mixer and shortcuts are all awake."""
    torch.manual_seed(0)
    network = HMNet(HMNetConfig(dim=16, state=4, start="matching")).eval()
    deep, fine = network.backbone.deep_channels, network.backbone.fine_channels
    query = Features(torch.randn(2, fine, 16, 16), torch.randn(2, deep, 8, 8))
    masks = torch.zeros(2, 1, 128, 128, dtype=torch.uint8)
    masks[..., 32:96, 32:96] = 1
    return network, query, torch.randn(2, 1, deep, 8, 8), masks


@torch.no_grad()
def test_hidden_the_support_arrives_by_the_mixer_alone(given):
    network, query, support, masks = given
    hide, heard = torch.tensor([True, False]), (support, masks)
    ours = network.segment(query, support, masks, heard, hide)
    other = network.segment(query, torch.randn_like(support), masks, heard, hide)
    assert torch.equal(ours[0], other[0]), "prototype or prior of a hidden episode arrived"
    assert not torch.allclose(ours[1], other[1])
    shown = network.segment(query, support, masks)
    torch.testing.assert_close(ours[1], shown[1])
    assert not torch.allclose(ours[0], shown[0])
    deaf = network.segment(query, support, masks, (torch.randn_like(support), masks), hide)
    assert not torch.allclose(ours[0], deaf[0]), "the mixer is still shown its support"


def test_the_loss_of_both_ways_is_the_mean_of_the_two(given):
    network, query, support, masks = given
    target = masks[:, 0]

    def loss(hidden, rows=(0, 1)):
        rows = list(rows)
        batch = Batch(Features(*(x[rows] for x in query)), support[rows], masks[rows], target[rows],
                      hidden)  # fmt: skip
        return episode_loss(network, batch)[0]

    shown, unseen = loss(None), loss(torch.tensor([True, True]))
    both = loss(torch.tensor([False, False, True, True]), (0, 1, 0, 1))
    torch.testing.assert_close(both, (shown + unseen) / 2)
    assert not torch.isclose(shown, unseen)

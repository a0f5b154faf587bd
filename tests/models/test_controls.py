"""Controls have the Mamba mixer's size and call, and read no more than they say."""

import pytest
import torch

from hmnet_lite import HMNet, HMNetConfig
from hmnet_lite.models.controls import CORES, ControlMixer, trained

CONFIGS = {
    "as shipped": HMNetConfig(),
    "small": HMNetConfig(dim=16, state=4),
    "deep, own parameters": HMNetConfig(depth=4, qim="own"),
    "self blocks alone": HMNetConfig(srm="off", qim="off"),
}


@pytest.mark.parametrize("kind", CORES)
@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_a_control_is_as_large_as_the_mamba_mixer(config, kind):
    ours = trained(HMNet(config).mixer)
    theirs = trained(ControlMixer(config, kind))
    assert abs(theirs - ours) <= 0.05 * ours, (ours, theirs)


def maps(seed=0):
    g = torch.Generator().manual_seed(seed)
    return torch.randn(2, 16, 8, 8, generator=g), torch.randn(2, 16, 8, 8, generator=g)


def mixer(kind, **switches):
    torch.manual_seed(0)
    return ControlMixer(HMNetConfig(dim=16, state=4, **switches), kind)


@pytest.mark.parametrize("kind", CORES)
def test_a_control_reads_the_support_unless_nothing_may(kind):
    query, support = maps()
    for switches, reads in (
        ({}, True),
        (dict(srm="off", qim="off"), False),
        (dict(depth=1), False),
    ):
        net = mixer(kind, **switches)
        one, other = net(query, support), net(query, support.flip(0))
        assert one.shape == query.shape and one.is_contiguous()
        assert torch.equal(one, other) != reads


@pytest.mark.parametrize("kind, radius", [("mlp", 0), ("convolution", 6), ("attention", 8)])
def test_who_hears_whom(kind, radius):
    """Of the query: the pixel alone, two windows of seven, everybody."""
    query, support = maps()
    query.requires_grad_()
    mixer(kind)(query, support)[0, :, 0, 0].square().sum().backward()
    heard = query.grad[0].abs().sum(0) > 0
    assert heard[: radius + 1, : radius + 1].all()
    assert not heard[radius + 1 :].any() and not heard[:, radius + 1 :].any()


@pytest.mark.parametrize("kind", CORES)
def test_a_silent_start_adds_nothing_and_still_learns(kind):
    query, support = maps()
    net = mixer(kind)
    net.start_silent()
    mixed = net(query, support)
    assert torch.equal(mixed, net.norm(query))
    (mixed * torch.randn(mixed.shape)).sum().backward()
    assert net.blocks[1].core.out.weight.grad.abs().max() > 0


def test_attention_may_start_as_a_matcher():
    net = mixer("attention")
    net.start_matching()
    for block in net.blocks:
        assert torch.equal(block.core.key.weight, block.core.query.weight)


def test_what_does_not_fit_is_told():
    query, support = maps()
    with pytest.raises(ValueError, match="expected both"):
        mixer("mlp")(query, support[..., 1:])
    with pytest.raises(ValueError, match="kind is 'sum'; expected one of convolution, mlp"):
        ControlMixer(HMNetConfig(), "sum")
    with pytest.raises(ValueError, match="mixer='sum'; expected mamba, convolution"):
        HMNetConfig(mixer="sum")

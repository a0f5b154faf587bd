"""Controls have the Mamba mixer's size and call, and read no more than they say."""

import pytest
import torch

from hmnet_lite import HMNet, HMNetConfig
from hmnet_lite.models.controls import CORES, ControlMixer, trained
from hmnet_lite.models.remamba import twister as words
from hmnet_lite.models.remamba.config import ReMamberConfig

CONFIGS = {
    "as shipped": HMNetConfig(),
    "small": HMNetConfig(dim=16, state=4),
    "deep, own parameters": HMNetConfig(depth=4, qim="own"),
    "self blocks alone": HMNetConfig(srm="off", qim="off"),
}


@pytest.mark.parametrize("kind", CORES)
@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_a_control_is_as_large_as_the_mamba_mixer(config, kind):
    if kind == "twister" and config.dim == 16:
        pytest.skip("what the twister has at any width is more than that")
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
    net = mixer("twister")
    net.start_matching()
    assert torch.equal(net.blocks[1].core.of_support.weight, net.blocks[1].core.of_query.weight)


def test_the_twister_is_the_one_of_words_with_a_support_for_them():
    """ReMamber's layer, its weights taken from here, its words the support's pooled pixels."""
    core = mixer("twister").blocks[1].core.eval()
    config = ReMamberConfig(dim=16, inner=core.spatial.conv.in_channels, state=16)
    layer = words.Twister(config, tokens=64)
    with torch.no_grad():
        for theirs, ours in ((layer.cube.of_image, core.of_query),
                             (layer.cube.of_text, core.of_support)):  # fmt: skip
            theirs.weight.copy_(ours.weight[..., 0, 0])
        layer.cube.sentence.weight.copy_(torch.eye(16))
        layer.cube.sentence.bias.zero_()
        layer.cube.convolve.weight[:, :64] = core.convolve.weight
        layer.cube.convolve.bias.copy_(core.convolve.bias)
        for part in ("channel", "spatial"):
            getattr(layer, part).load_state_dict(getattr(core, part).state_dict())
        query, support = maps()
        tokens = support.flatten(2).mT  # 8 × 8 already
        cube = layer.cube(query, tokens, support.mean((2, 3)), torch.zeros(2, 64, 8, 8))
        torch.testing.assert_close(core(query, support), core.out(layer.twist(cube)))


def test_what_does_not_fit_is_told():
    query, support = maps()
    with pytest.raises(ValueError, match="expected both"):
        mixer("mlp")(query, support[..., 1:])
    with pytest.raises(ValueError, match="kind is 'sum'; expected one of convolution, mlp"):
        ControlMixer(HMNetConfig(), "sum")
    with pytest.raises(ValueError, match="mixer='sum'; expected mamba, convolution"):
        HMNetConfig(mixer="sum")
    for switch in (dict(pool_shots="states"), dict(generated=True)):
        with pytest.raises(ValueError, match="needs mixer='mamba'; it is 'attention'"):
            HMNetConfig(mixer="attention", **switch)

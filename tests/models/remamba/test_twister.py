"""The twisting layer equals its literal version; every arm hears the text and learns."""

import pytest
import torch

from hmnet_lite.models.remamba.config import ReMamberConfig
from hmnet_lite.models.remamba.literal import literal_twister
from hmnet_lite.models.remamba.rivals import fusion
from hmnet_lite.record import Recorder, begin_block

TINY = dict(dim=16, inner=8, state=4, token_side=3)
TOKENS = 5


def inputs(height=6, width=7, dtype=torch.float32):
    torch.manual_seed(0)
    shapes = [(2, 16, height, width), (2, TOKENS, 16), (2, 16), (2, TOKENS, height, width)]
    return [torch.randn(shape, dtype=dtype) for shape in shapes]


def layer_of(**switches):
    torch.manual_seed(1)
    return fusion(ReMamberConfig(**TINY | switches), TOKENS)


def test_the_twister_equals_the_literal_one_with_gradients():
    layer, given = layer_of(), [x.requires_grad_() for x in inputs()]
    wanted = [*given, *layer.parameters()]
    results = []
    for compute in (layer, lambda *x: literal_twister(layer, *x)):
        out = compute(*given)
        weights = torch.linspace(-1, 1, out.numel()).view_as(out)
        gradients = torch.autograd.grad((out * weights).sum(), wanted)
        results.append([out, *gradients])
    for fast, literal in zip(*results, strict=True):
        scale = literal.abs().max().clamp_min(1)
        assert (fast - literal).abs().max() / scale < 1e-5


ARMS = [
    *(dict(fusion=name) for name in ("attention", "in-context", "norm")),
    *(dict(scans=name) for name in ("channel", "spatial", "parallel", "channel-spatial",
                                    "spatial-channel")),
    dict(global_text=False), dict(local_text=False), dict(permuted=True),
]  # fmt: skip


@pytest.mark.parametrize("arm", ARMS, ids=lambda arm: "-".join(map(str, arm.values())))
def test_every_arm_hears_the_text(arm):
    layer, (visual, tokens, sentence, grounded) = layer_of(**arm), inputs()
    out = layer(visual, tokens, sentence, grounded)
    assert out.shape == visual.shape and out.isfinite().all()
    other = layer(visual, tokens.flip(1), sentence.neg(), grounded)
    assert not torch.allclose(out, other)
    out.sum().backward()


def test_the_in_context_arm_reads_the_text_first():
    """A state begun by the text is what tokens prepended to the pixels would leave."""
    layer, (visual, tokens, *_) = layer_of(fusion="in-context"), inputs()
    short, long = (layer.spatial(visual, layer.into(x)) for x in (tokens[:, 1:], tokens))
    assert not torch.allclose(short, long)
    nothing = layer.spatial(visual, torch.zeros(2, TOKENS, 8))
    assert torch.allclose(nothing, layer.spatial(visual), atol=1e-6)  # u = 0 writes nothing


def test_without_a_part_the_cube_has_zeros_there():
    given = inputs()
    for name, part in (("global_text", slice(16, 32)), ("local_text", slice(32, 48))):
        cube = layer_of(**{name: False}).cube(*given)
        assert not cube[:, part].any() and cube[:, :16].equal(given[0])


def test_the_cube_can_be_watched():
    with Recorder() as seen:
        begin_block()
        layer_of()(*inputs())
    assert {"cube", "cube_channel", "cube_spatial"} <= seen.blocks[0].keys()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (dict(dim=20), "dim=20; expected a positive multiple of 16"),
        (dict(depths=()), r"depths=\(\); expected a number of layers for each block"),
        (dict(fusion="twist"), "fusion='twist'; expected one of"),
        (dict(scans="both"), "scans='both'; expected one of"),
        (dict(token_side=17), "token_side=17; expected 1 to 16"),
    ],
)
def test_a_config_says_what_is_wrong(wrong, message):
    with pytest.raises(ValueError, match=message):
        ReMamberConfig(**wrong)

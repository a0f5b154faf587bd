"""The twisting layer equals its literal version; every arm hears the text and learns."""

import pytest
import torch

from hmnet_lite.maps import from_sequences, resize
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
    *(dict(fusion=name) for name in ("attention", "in-context", "norm", "srm", "qim", "srm-qim")),
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


@pytest.mark.parametrize("name", ["in-context", "srm", "qim", "srm-qim"])
def test_tokens_after_the_end_are_not_read(name):
    layer, (visual, tokens, sentence, grounded) = layer_of(fusion=name), inputs()
    tokens[:, 3:] = grounded[:, 3:] = 0  # two that are none
    expected = layer(visual, tokens[:, :3], sentence, grounded[:, :3])
    torch.testing.assert_close(layer(visual, tokens, sentence, grounded), expected)


@pytest.mark.parametrize("name", ["srm", "qim", "srm-qim"])
def test_srm_and_qim_of_words_equal_their_wording(name):
    """The tokens again before every patch, in one long line; each pixel and the state alone."""
    layer = layer_of(fusion=name, recap_ratio=2).spatial.double()
    torch.manual_seed(2)
    x, text = torch.randn(2, 8, 4, 6).double(), torch.randn(2, TOKENS, 8).double()
    told = [tuple(part[:, k] for part in split(layer.ssm, text.mT)) for k in range(4)]
    states = [literal(layer.ssm, k, told[k])[1] for k in range(4)]
    reading = layer.ssm.read(x)
    u, delta, _, B, C, _ = reading.sequences(2 if layer.srm else 1)
    maps = []
    for k in range(4):
        own = [v.unflatten(1, (4, -1))[:, k] for v in (u, delta)] + [v[:, k] for v in (B, C)]
        length = 6 if layer.srm else 24  # 4 patches of 2 × 3 pixels
        patches = [tuple(v[..., i : i + length] for v in own) for i in range(0, 24, length)]
        parts = [p for patch in patches for p in ((told[k], patch) if layer.srm else (patch,))]
        line = [torch.cat(v, dim=-1) for v in zip(*parts, strict=True)]
        y = literal(layer.ssm, k, line)[0]
        if layer.srm:
            y = torch.cat([y[..., i + TOKENS : i + TOKENS + 6] for i in
                           range(0, 4 * (6 + TOKENS), 6 + TOKENS)], dim=-1)  # fmt: skip
        maps.append(y)
    y = torch.stack(maps, dim=1)
    expected = sum(from_sequences(y, 4, 6, 2 if layer.srm else 1))
    if layer.qim:
        small = resize(x, 2, 3).flatten(2)
        u, delta, B, C = (part[:, 0] for part in split(layer.ssm, small))
        A, D, H = layer.ssm.A[0], layer.ssm.D[0], torch.stack(states).mean(0)
        met = torch.einsum("bnt,bctn,bcn->bct", C, (delta[..., None] * A[:, None]).exp(), H)
        met = met + (B * C).sum(1, keepdim=True) * delta * u + D[:, None] * u
        expected = expected + resize(met.unflatten(2, (2, 3)), 4, 6)
    found = layer.scan(x, layer._read(text))
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-8)


def split(ssm, x):
    """(batch, channels, length) → u, delta, B, C, (batch, directions, any, length) each."""
    u, delta, _, B, C, _ = ssm(x[:, None].expand(-1, 4, -1, -1))
    return u.unflatten(1, (4, -1)), delta.unflatten(1, (4, -1)), B, C


def literal(ssm, k, line):
    """One direction's scan of u, delta, B, C, step by step: y and the last state."""
    u, delta, B, C = line
    h, ys = u.new_zeros(*u.shape[:2], ssm.state), []
    for t in range(u.shape[-1]):
        step = delta[..., t, None]
        h = (step * ssm.A[k]).exp() * h + step * u[..., t, None] * B[:, None, :, t]
        ys.append((h * C[:, None, :, t]).sum(-1))
    return torch.stack(ys, dim=-1) + ssm.D[k][:, None] * u, h


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
        (dict(recap_ratio=0), "recap_ratio=0; expected 1 to 64"),
    ],
)
def test_a_config_says_what_is_wrong(wrong, message):
    with pytest.raises(ValueError, match=message):
        ReMamberConfig(**wrong)

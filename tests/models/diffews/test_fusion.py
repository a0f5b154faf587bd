"""KV fusion is plain attention over the two sequences put together, whatever the shots."""

import pytest
import torch
from einops import rearrange

from hmnet_lite.models.diffews.fusion import (
    SHARP,
    FusedAttention,
    Together,
    copied,
    fuse,
    likeness,
    literal,
)
from hmnet_lite.models.diffews.library import diffusers
from hmnet_lite.record import Recorder

HEADS, CHANNELS, PIXELS = 2, 8, 16


@pytest.fixture(scope="module")
def layer():
    diffusers()
    from diffusers.models.attention_processor import Attention

    torch.manual_seed(0)
    return Attention(CHANNELS, heads=HEADS, dim_head=CHANNELS // HEADS, processor=FusedAttention())


def pictures(queries, shots):
    torch.manual_seed(shots)
    return torch.randn(queries * (1 + shots), PIXELS, CHANNELS, requires_grad=True)


def by_hand(layer, query, heard):
    """The query's attention to a sequence, from the layer's own matrices."""
    q, k, v = layer.to_q(query), layer.to_k(heard), layer.to_v(heard)
    q, k, v = (rearrange(x, "n (m d) -> m n d", m=HEADS) for x in (q, k, v))
    return layer.to_out[0](rearrange(literal(q, k, v), "m n d -> n (m d)"))


def gradients(layer, out, x):
    return torch.autograd.grad(out.square().sum(), [x, *layer.parameters()], retain_graph=True)


@pytest.mark.parametrize("shots", [1, 2, 5])
@pytest.mark.parametrize("both", [False, True])
def test_fusion_is_attention_over_both_sequences(layer, shots, both):
    x = pictures(3, shots)
    out = layer(x, together=Together(shots, both))
    expected = list(x)
    for i in range(3):
        own = [x[i], *x[3 + i * shots : 3 + (i + 1) * shots]]
        expected[i] = by_hand(layer, x[i], torch.cat(own))
        for j in range(shots):
            heard = torch.cat(own) if both else own[1 + j]
            expected[3 + i * shots + j] = by_hand(layer, own[1 + j], heard)
    expected = torch.stack(expected)
    assert torch.allclose(out, expected, atol=1e-5)
    pairs = zip(gradients(layer, out, x), gradients(layer, expected, x), strict=True)
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in pairs)


def test_without_supports_it_is_the_library_s_own_attention(layer):
    from diffusers.models.attention_processor import AttnProcessor2_0

    x, text = pictures(4, 0), torch.randn(4, 3, CHANNELS)
    processor = AttnProcessor2_0()
    for heard in (None, text):
        ours = layer(x, heard)
        assert torch.allclose(ours, processor(layer, x, heard), atol=1e-6)


def test_what_is_hidden_of_a_support_is_not_heard(layer):
    x = pictures(2, 2).detach()
    keep = torch.zeros(2, 2, 4, 4)
    keep[:, :, 1, 1:3] = 1
    other = x.clone()
    hidden = (keep == 0).flatten(2).flatten(0, 1)
    other[2:][hidden] = torch.randn(int(hidden.sum()), CHANNELS)
    told = Together(2, keep=keep)
    assert torch.allclose(layer(x, together=told)[:2], layer(other, together=told)[:2], atol=1e-6)
    free = Together(2)
    assert not torch.allclose(layer(x, together=free)[:2], layer(other, together=free)[:2])


def test_on_smaller_maps_the_smallest_object_is_still_heard(layer):
    keep = torch.zeros(1, 1, 8, 8)
    keep[0, 0, 5, 5] = 0.1  # a tenth of one latent, on a map of 4 × 4
    x = pictures(1, 1).detach()
    one, other = x.clone(), x.clone()
    other[1, 10] += 1  # row 2, column 2 of 4 × 4
    told = Together(1, keep=keep)
    assert not torch.equal(layer(one, together=told)[0], layer(other, together=told)[0])


def test_sampled_keys_are_as_many_as_of_one_support(layer):
    x = pictures(2, 3).detach()
    heads = [torch.randn(8, HEADS, PIXELS, 4) for _ in range(3)]
    torch.manual_seed(1)
    out = fuse(*heads, Together(3, sampled=True))
    torch.manual_seed(1)
    some = torch.randperm(3 * PIXELS)[:PIXELS]
    for i in range(2):
        k, v = (torch.cat([t[i], torch.cat([*t[2 + 3 * i : 5 + 3 * i]], 1)[:, some]], 1)
                for t in heads[1:])  # fmt: skip
        assert torch.allclose(out[i], literal(heads[0][i], k, v), atol=1e-5)
    same = layer(x[:4], together=Together(1, sampled=True))
    assert torch.equal(same, layer(x[:4], together=Together(1)))


def test_the_first_guess_is_attention_of_the_latents_themselves():
    query, supports, told = (
        torch.randn(2, 6, 4, 4),
        torch.randn(2, 3, 6, 4, 4),
        torch.rand(2, 3, 6, 4, 4),
    )
    guess = copied(likeness(query, supports), told)
    for i in range(2):
        unit = [x / x.norm(dim=0) for x in (query[i], *supports[i])]
        q, k = unit[0].flatten(1).T, torch.cat([x.flatten(1).T for x in unit[1:]])
        v = torch.cat([x.flatten(1).T for x in told[i]])
        expected = literal(SHARP * q * q.shape[-1] ** 0.5, k, v)
        assert torch.allclose(guess[i].flatten(1).T, expected, atol=1e-5)
    own = copied(likeness(query, query[:, None]), told[:, :1])  # a pixel finds itself
    assert (own - told[:, 0]).abs().mean() < (told[:, 0] - told[:, 0].flip(-1)).abs().mean()


def test_a_recorder_hears_who_asked_what(layer):
    x = pictures(2, 2).detach()
    with Recorder() as seen:
        out = layer(x, together=Together(2))
    assert torch.equal(out, layer(x, together=Together(2)))
    (block,) = seen.blocks
    assert block["asked"].shape == (2, HEADS, PIXELS, 4)
    assert block["keys"].shape == (2, HEADS, 3 * PIXELS, 4)


def test_a_batch_of_another_size_is_refused(layer):
    with pytest.raises(ValueError, match=r"5 pictures .* expected a multiple of 2"):
        layer(torch.randn(5, PIXELS, CHANNELS), together=Together(1))

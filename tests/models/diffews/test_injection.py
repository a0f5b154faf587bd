"""What the UNet is given, in every arm, against the paper's arms written out by hand."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from einops import rearrange

from hmnet_lite.models.diffews.config import DiffewSConfig
from hmnet_lite.models.diffews.fusion import FusedAttention, copied, likeness, literal
from hmnet_lite.models.diffews.library import diffusers
from hmnet_lite.models.diffews.masks import told_image
from hmnet_lite.models.diffews.model import DiffewS

TINY = DiffewSConfig(channels=8, blocks=(16, 32), heads=2, tokens=16, guess="none")
QUERIES, SHOTS = 2, 3


@pytest.fixture(scope="module")
def given():
    torch.manual_seed(0)
    supports = torch.randn(QUERIES, SHOTS, 8, 4, 4)
    inside = torch.rand(QUERIES, SHOTS, 4, 4)
    return torch.randn(QUERIES, 8, 4, 4), supports, torch.randn_like(supports), inside


def told_to_the_unet(config, given):
    """The pictures, times and words that it is called with, and the model."""
    torch.manual_seed(0)
    model, heard = DiffewS(config).eval(), {}

    def spy(pictures, times, words, cross_attention_kwargs=None):
        heard.update(pictures=pictures, times=times, words=words, more=cross_attention_kwargs)
        return SimpleNamespace(sample=pictures[:, :8])

    model.unet.forward = spy
    query, supports, told, inside = given
    with torch.no_grad():
        heard["out"] = model.step(query, None, 7, supports, told, inside)
    return heard, model


@pytest.mark.parametrize(
    "injection",
    ["concatenation", "multiplication-rgb", "multiplication-latent", "attention-mask", "addition"],
)
def test_a_support_s_mask_comes_in_as_the_arm_says(given, injection):
    query, supports, told, inside = given
    heard, _ = told_to_the_unet(replace(TINY, injection=injection), given)
    assert heard["times"].tolist() == [7] * QUERIES * (1 + SHOTS)
    pictures = heard["pictures"]
    assert pictures.shape == (QUERIES * (1 + SHOTS), 16, 4, 4)
    assert torch.equal(pictures[:QUERIES, :8], query) and not pictures[:QUERIES, 8:].any()
    for i in range(QUERIES):
        for j in range(SHOTS):
            picture, mask = supports[i, j], told[i, j]
            nothing = torch.zeros_like(picture)
            expected = {
                "concatenation": [picture, mask],
                "multiplication-rgb": [mask, nothing],  # the encoder has seen the object alone
                "multiplication-latent": [picture * inside[i, j], nothing],
                "attention-mask": [picture, nothing],
                "addition": [picture + mask, nothing],
            }[injection]
            ours = pictures[QUERIES + i * SHOTS + j]
            assert torch.equal(ours, torch.cat(expected)), (i, j)
    keep = heard["more"]["together"].keep
    assert (keep is inside) if injection == "attention-mask" else (keep is None)
    assert torch.equal(heard["out"], query)


def test_for_multiplication_the_object_alone_is_encoded():
    images, masks = torch.rand(2, 3, 8, 8), torch.zeros(2, 8, 8, dtype=torch.uint8)
    masks[:, 2:5], masks[:, 6] = 1, 255
    drawn = told_image("multiplication-rgb", images, masks)
    assert torch.equal(drawn[:, :, 2:5], images[:, :, 2:5])
    assert not drawn[:, :, :2].any() and not drawn[:, :, 5:].any()
    white = told_image("addition", images, masks)
    assert torch.equal(white, (masks == 1).float()[:, None].expand(-1, 3, -1, -1))


def test_the_first_guess_is_beside_the_query(given):
    query, supports, told, _ = given
    heard, _ = told_to_the_unet(replace(TINY, guess="matched"), given)
    assert torch.equal(heard["pictures"][:QUERIES, 8:], copied(likeness(query, supports), told))


def test_tokens_are_the_supports_of_each_query_in_order(given):
    query, supports, told, _ = given
    heard, model = told_to_the_unet(replace(TINY, interaction="tokens"), given)
    assert torch.equal(heard["pictures"][:, :8], query) and len(heard["pictures"]) == QUERIES
    words = heard["words"]
    assert words.shape == (QUERIES, 1 + SHOTS * 4, 16)  # 4 × 4 latents, one token for 2 × 2
    with torch.no_grad():
        for i in range(QUERIES):
            assert torch.equal(words[i, 0], model.nothing[0, 0])
            for j in range(SHOTS):
                own = torch.cat([supports[i, j], told[i, j]])[None]
                expected = rearrange(model.to_tokens(own)[0], "c h w -> (h w) c")
                assert torch.allclose(words[i, 1 + 4 * j : 5 + 4 * j], expected, atol=1e-6)


def test_tokens_are_heard_by_plain_attention_with_gradients():
    diffusers()
    from diffusers.models.attention_processor import Attention

    torch.manual_seed(0)
    layer = Attention(
        8, cross_attention_dim=16, heads=2, dim_head=4, processor=FusedAttention()
    )  # fmt: skip
    x = torch.randn(2, 9, 8, requires_grad=True)
    words = torch.randn(2, 13, 16, requires_grad=True)
    q, k, v = layer.to_q(x), layer.to_k(words), layer.to_v(words)
    q, k, v = (rearrange(t, "b n (m d) -> b m n d", m=2) for t in (q, k, v))
    expected = layer.to_out[0](rearrange(literal(q, k, v), "b m n d -> b n (m d)"))
    ours = layer(x, words)
    assert torch.allclose(ours, expected, atol=1e-5)
    learned = [x, words, *layer.parameters()]
    grads = [torch.autograd.grad(t.square().sum(), learned) for t in (ours, expected)]
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(*grads, strict=True))

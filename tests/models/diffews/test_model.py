"""DiffewS: every arm runs and differs, and what is given wrongly is told."""

import builtins
from dataclasses import replace

import pytest
import torch

from hmnet_lite.models.diffews.config import DiffewSConfig
from hmnet_lite.models.diffews.fusion import SHARP
from hmnet_lite.models.diffews.model import DiffewS
from hmnet_lite.record import Recorder

TINY = DiffewSConfig(channels=8, blocks=(16, 32), heads=2, tokens=16)


@pytest.fixture(scope="module")
def episode():
    generator = torch.Generator().manual_seed(0)
    query = torch.rand(2, 3, 64, 64, generator=generator)
    supports = torch.rand(2, 2, 3, 64, 64, generator=generator)
    masks = torch.zeros(2, 2, 64, 64, dtype=torch.uint8)
    masks[..., 10:30, 20:50] = 1
    return query, supports, masks


def made(config):
    torch.manual_seed(0)
    model = DiffewS(config).eval()
    if model.backbone is not None:
        model.autoencoder.fit(model.backbone(torch.rand(4, 3, 64, 64)))
    return model


@pytest.fixture(scope="module")
def plain(episode):
    with torch.no_grad():
        return made(TINY)(*episode)


@pytest.mark.parametrize(
    "arm",
    [
        {"guess": "none"}, {"guess": "metric"}, {"interaction": "qkv"}, {"interaction": "tokens"},
        {"injection": "multiplication-rgb"},
        {"injection": "multiplication-latent"}, {"injection": "attention-mask"},
        {"injection": "addition"}, {"mask_image": "real-on-black"},
        {"mask_image": "black-on-real"}, {"mask_image": "added"}, {"threshold": "absolute"},
        {"support_keys": "sampled"}, {"generation": "image-to-mask", "sampling_steps": 2},
        {"generation": "noise-to-mask", "sampling_steps": 2}, {"timestep": 999},
    ],
    ids=lambda arm: " ".join(map(str, arm.values())),
)  # fmt: skip
def test_every_arm_gives_an_answer_of_its_own(arm, episode, plain):
    with torch.no_grad():
        out = made(replace(TINY, **arm))(*episode)
    assert out.shape == (2, 2, 64, 64) and out.isfinite().all() and not out[:, 0].any()
    if arm != {"mask_image": "real-on-black"}:  # another picture to learn, read the same way
        assert not torch.allclose(out, plain, atol=1e-5)


def test_the_supports_and_their_masks_are_heard(episode, plain):
    query, supports, masks = episode
    model = made(TINY)
    with torch.no_grad():
        assert torch.equal(model(*episode), plain)
        alone = model(query[:1], supports[:1], masks[:1])
        assert torch.allclose(alone, plain[:1], atol=1e-5)
        swapped = model(query, supports.flip(1), masks.flip(1))
        assert torch.allclose(swapped, plain, atol=1e-5)  # their order is nothing
        for other in (
            model(query, supports.flip(0), masks),
            model(query, supports, masks.flip(-1)),
        ):
            assert not torch.allclose(other, plain, atol=1e-5)


def test_every_weight_of_the_unet_learns():
    model = made(TINY)
    x = torch.randn(2, 8, 4, 4)
    model.step(x, None, 1, x[:, None], x[:, None], torch.ones(2, 1, 4, 4)).square().sum().backward()
    deaf = {"attn2.to_q", "attn2.to_k", "norm2"}  # one token leaves nothing to choose
    silent = {n for n, p in model.unet.named_parameters() if p.grad is None or not p.grad.any()}
    assert all(any(word in name for word in deaf) for name in silent), silent


def test_the_guess_by_the_metric_copies_by_the_mean_cosine_of_its_depths(episode):
    query, supports, _ = episode
    model = made(replace(TINY, guess="metric"))
    model.metric.fit(torch.rand(12, 384), torch.arange(12) % 3)
    with torch.no_grad():
        seen, other = model.look(query), model.look(supports.flatten(0, 1))
        found = model.alike(seen, other, (2, 2))
        depths = zip(model.metric(seen.deep), model.metric(other.deep), strict=True)
        cosines = torch.stack([torch.einsum("bcq,bscp->bsqp", a.flatten(2),
                                            b.unflatten(0, (2, 2)).flatten(3))
                               for a, b in depths])  # fmt: skip
        assert torch.allclose(found, cosines.mean(0), atol=1e-5)
        told = torch.zeros(2, 2, 8, 4, 4)
        told[:, 1, :, 2, 3] = 1  # one pixel of the second support
        guess = model.guess(query, supports, told, found)
        weights = (SHARP * found).transpose(1, 2).flatten(2).softmax(-1)
        assert torch.allclose(guess[:, 0].flatten(1), weights[..., 16 + 2 * 4 + 3], atol=1e-6)
        with pytest.raises(ValueError, match=r"expected alike=model\.alike"):
            model.guess(query, supports, told)


def test_pixels_are_encoded_at_half_size_and_given_back(episode):
    model = made(replace(TINY, latents="pixels", channels=4))
    assert model.backbone is None and model.autoencoder.stride == 16
    before = model.autoencoder.digest
    with torch.no_grad():
        model.autoencoder.fit(episode[0])
        latents = model.encode(episode[0])
        assert latents.shape == (2, 4, 4, 4) and latents.std() == pytest.approx(1, abs=1e-4)
        assert model.decode(latents).shape == (2, 3, 32, 32)
        assert model(*episode).shape == (2, 2, 64, 64)
    assert model.autoencoder.digest != before


def test_a_recorder_hears_every_layer_and_the_picture(episode):
    model = made(TINY)
    with Recorder() as seen, torch.no_grad():
        model(*episode)
    assert [b["asked"].shape[2] for b in seen.blocks] == [16, 4, 4, 4, 4, 16, 16]
    assert seen.network["generated"].shape == (2, 3, 32, 32)


def test_latents_are_the_features_first_components():
    model = made(TINY)
    with torch.no_grad():
        features = model.backbone(torch.rand(4, 3, 64, 64))
        model.autoencoder.fit(features)
        latents = model.autoencoder.encode(features)
    flat = latents.transpose(0, 1).flatten(1)
    for part in (flat[:6], flat[6:]):  # deep, then fine
        spread = torch.cov(part)
        assert torch.allclose(spread, spread.diag().diag(), atol=1e-3)
        assert spread.diag().mean() == pytest.approx(1, abs=1e-3)
        assert (spread.diag().diff() < 1e-4).all()


@pytest.mark.parametrize(
    "wrong, told",
    [
        ({"blocks": (20,)}, "expected multiples of 16"),
        ({"heads": 5}, "cannot be shared equally by heads=5"),
        ({"level": 1.5}, "level=1.5; expected 0 to 1"),
        ({"timestep": 1000}, "timestep=1000; expected 0 to 999"),
        ({"guess": "metric", "latents": "pixels"}, "which latents='pixels' have none of"),
        ({"injection": "magic"}, "injection='magic'; expected one of"),
        ({"interaction": "tokens", "injection": "attention-mask"}, "expected another injection"),
    ],
)
def test_a_switch_that_is_none_is_refused(wrong, told):
    with pytest.raises(ValueError, match=told):
        DiffewSConfig(**wrong)


def test_masks_of_another_size_are_refused(episode):
    query, supports, masks = episode
    with pytest.raises(ValueError, match=r"support_masks has shape .* as the pictures"):
        made(TINY)(query, supports, masks[..., :32])
    with pytest.raises(ValueError, match="multiples of 32"):
        made(TINY)(query[..., :48], supports[..., :48], masks[..., :48])


def test_without_diffusers_one_line_names_the_extra(monkeypatch):
    there = builtins.__import__

    def without(name, *rest, **more):
        if name.startswith("diffusers"):
            raise ModuleNotFoundError("No module named 'diffusers'", name="diffusers")
        return there(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(
        ImportError, match=r"needs diffusers; .* 'hmnet-lite\[diffusion\]'"
    ) as caught:
        DiffewS(TINY)
    assert "\n" not in str(caught.value)

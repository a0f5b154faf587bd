"""The published shape against plain second writings, and VMamba's names read into it."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from hmnet_lite.analysis.remamba_costs import VMAMBA_BASE, remamba_costs, vmamba_costs
from hmnet_lite.models.remamba.published import PublishedConfig, PublishedReMamber
from hmnet_lite.models.remamba.weights import remamba_from_state_dict
from hmnet_lite.models.state_dicts import CheckpointMismatch
from hmnet_lite.record import Recorder

DIMS, DEPTHS = (4, 6, 8, 10), (1, 2, 1, 1)
SMALL = PublishedConfig(DIMS, DEPTHS, state=2, twist_state=2, token_side=2, text=5, tokens=4,
                        decoder=4)  # fmt: skip


def synthetic(seed: int = 0) -> dict[str, torch.Tensor]:
    """A small VMamba by its authors' names, random."""
    generator = torch.Generator().manual_seed(seed)
    shapes: dict[str, tuple[int, ...]] = {}

    def conv_and_norm(prefix: str, conv: int, norm: int, channels: int, out: int) -> None:
        shapes[f"{prefix}.{conv}.weight"] = (out, channels, 3, 3)
        shapes[f"{prefix}.{conv}.bias"] = (out,)
        shapes[f"{prefix}.{norm}.weight"] = shapes[f"{prefix}.{norm}.bias"] = (out,)

    conv_and_norm("patch_embed", 0, 2, 3, DIMS[0] // 2)
    conv_and_norm("patch_embed", 5, 7, DIMS[0] // 2, DIMS[0])
    for i, (dim, depth) in enumerate(zip(DIMS, DEPTHS, strict=True)):
        inner, rank = 2 * dim, math.ceil(dim / 16)
        for j in range(depth):
            block = {
                "norm.weight": (dim,), "norm.bias": (dim,),
                "op.in_proj.weight": (inner, dim), "op.conv2d.weight": (inner, 1, 3, 3),
                "op.x_proj_weight": (4, rank + 4, inner), "op.dt_projs_weight": (4, inner, rank),
                "op.dt_projs_bias": (4, inner), "op.A_logs": (4 * inner, 2), "op.Ds": (4 * inner,),
                "op.out_norm.weight": (inner,), "op.out_norm.bias": (inner,),
                "op.out_proj.weight": (dim, inner), "norm2.weight": (dim,), "norm2.bias": (dim,),
                "mlp.fc1.weight": (4 * dim, dim), "mlp.fc1.bias": (4 * dim,),
                "mlp.fc2.weight": (dim, 4 * dim), "mlp.fc2.bias": (dim,),
            }  # fmt: skip
            shapes |= {f"layers.{i}.blocks.{j}.{name}": shape for name, shape in block.items()}
        if i < 3:
            conv_and_norm(f"layers.{i}.downsample", 1, 3, dim, DIMS[i + 1])
    return {k: 0.4 * torch.randn(shape, generator=generator) for k, shape in shapes.items()}


def literal_stages(w: dict[str, torch.Tensor], image: torch.Tensor) -> list[torch.Tensor]:
    """VMamba by its names, a loop over time; maps (batch, dim, h, w) of each stage."""

    def norm(x, name):  # over the channels
        weight, bias = w[f"{name}.weight"], w[f"{name}.bias"]
        return F.layer_norm(x.permute(0, 2, 3, 1), weight.shape, weight, bias).permute(0, 3, 1, 2)

    def halve(x, conv, after):
        x = F.conv2d(x, w[f"{conv}.weight"], w[f"{conv}.bias"], stride=2, padding=1)
        return norm(x, after)

    def point(x, weight, bias=None):
        return F.conv2d(x, weight[..., None, None], bias)

    def scan(x, at):
        b, c, h, width = x.shape
        lines = [x.flatten(2), x.mT.flatten(2)]
        total = 0
        for k in range(4):
            line = lines[k % 2].flip(-1) if k >= 2 else lines[k % 2]
            got = w[f"{at}.x_proj_weight"][k] @ line
            rank = got.shape[1] - 4
            dt, B, C = got.split([rank, 2, 2], dim=1)
            bias = w[f"{at}.dt_projs_bias"][k][:, None]
            delta = F.softplus(w[f"{at}.dt_projs_weight"][k] @ dt + bias)
            A = -w[f"{at}.A_logs"].view(4, c, 2)[k].exp()
            state, ys = x.new_zeros(b, c, 2), []
            for t in range(line.shape[-1]):
                step = delta[..., t, None]
                state = (step * A).exp() * state + step * line[..., t, None] * B[:, None, :, t]
                ys.append((state * C[:, None, :, t]).sum(-1))
            y = torch.stack(ys, -1) + w[f"{at}.Ds"].view(4, c)[k][:, None] * line
            y = y.flip(-1) if k >= 2 else y
            total = total + (y.unflatten(2, (width, h)).mT if k % 2 else y.unflatten(2, (h, width)))
        return total

    x = halve(image, "patch_embed.0", "patch_embed.2")
    x = halve(F.gelu(x), "patch_embed.5", "patch_embed.7")
    maps = []
    for i, depth in enumerate(DEPTHS):
        for j in range(depth):
            at = f"layers.{i}.blocks.{j}"
            y = point(norm(x, f"{at}.norm"), w[f"{at}.op.in_proj.weight"])
            y = F.silu(F.conv2d(y, w[f"{at}.op.conv2d.weight"], padding=1, groups=y.shape[1]))
            y = norm(scan(y, f"{at}.op"), f"{at}.op.out_norm")
            x = x + point(y, w[f"{at}.op.out_proj.weight"])
            y = point(norm(x, f"{at}.norm2"), w[f"{at}.mlp.fc1.weight"], w[f"{at}.mlp.fc1.bias"])
            x = x + point(F.gelu(y), w[f"{at}.mlp.fc2.weight"], w[f"{at}.mlp.fc2.bias"])
        maps.append(x)
        if i < 3:
            x = halve(x, f"layers.{i}.downsample.1", f"layers.{i}.downsample.3")
    return maps


def test_vmambas_weights_compute_what_vmamba_computes():
    weights = synthetic()
    other = {"classifier.head.weight": torch.zeros(2, 10), "text.0.bias": torch.zeros(3)}
    model, unread = remamba_from_state_dict({**weights, **other}, config=SMALL)
    assert unread == sorted(other)
    image = torch.randn(2, 3, 32, 64)
    x, found = image.permute(0, 2, 3, 1), []
    with torch.no_grad():
        for stage in model.stages:
            x = stage(x)
            found.append(x.permute(0, 3, 1, 2))
        expected = literal_stages(weights, image)
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("before", ["module.", "backbone.", "module.image_encoder."])
def test_names_before_the_names_and_convolutions_for_matrices_are_understood(before):
    weights = synthetic()
    points = {
        k: v[..., None, None] if k.endswith(("in_proj.weight", "out_proj.weight")) else v
        for k, v in weights.items()
    }
    plain, _ = remamba_from_state_dict(weights, config=SMALL)
    model, unread = remamba_from_state_dict({before + k: v for k, v in points.items()})
    assert not unread and model.config.dims == DIMS and model.config.state == 2
    for name, value in plain.stages.state_dict().items():
        assert torch.equal(model.stages.state_dict()[name], value), name


def spoil(weights: dict, how: str) -> dict:
    if how == "nested":
        return {"model": weights, "epoch": 1}
    if how == "first form":
        return {k.replace(".op.", ".self_attention."): v for k, v in weights.items()}
    if how == "another":
        return {"conv1.weight": torch.zeros(3)}
    if how == "a stage less":
        return {k: v for k, v in weights.items() if not k.startswith("layers.3.")}
    if how == "cut":
        return {k: v for k, v in weights.items() if k != "layers.1.blocks.1.op.Ds"}
    if how == "more":
        return weights | {"layers.0.blocks.0.op.gate.weight": torch.zeros(2)}
    weights["layers.0.blocks.0.mlp.fc1.weight"] = torch.zeros(8, 4)
    return weights


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ("nested", r"pass its \['model'\]"),
        ("first form", "first form .* expected the second"),
        ("another", "no VMamba among the 1 names given; expected names such as"),
        ("a stage less", r"layers in stages \[0, 1, 2\]; expected stages 0 to 3"),
        ("cut", "missing layers.1.blocks.1.op.Ds, unexpected none"),
        ("more", "missing none, unexpected layers.0.blocks.0.op.gate.weight"),
        ("misshapen", r"fc1.weight has shape \(8, 4\); expected \(16, 4\)"),
    ],
)
def test_what_is_no_vmamba_is_refused_with_its_names(how, says):
    with pytest.raises(CheckpointMismatch, match=says):
        remamba_from_state_dict(spoil(synthetic(), how), config=SMALL)


def test_pictures_and_tokens_become_logits_and_every_weight_learns():
    torch.manual_seed(0)
    model = PublishedReMamber(SMALL)
    images, tokens = torch.rand(2, 3, 64, 32), torch.randn(2, 3, 5)
    with Recorder() as seen:
        logits = model(images, tokens)
    assert logits.shape == (2, 2, 64, 32)
    assert [block["cube"].shape[1] for block in seen.blocks] == [3 * dim for dim in DIMS]
    logits.square().mean().backward()
    assert [n for n, x in model.named_parameters() if x.grad is None or not x.grad.any()] == []
    with torch.no_grad():
        model.eval()
        longer = model(images, F.pad(tokens, (0, 0, 0, 1)))  # a word of zeros is none
        other = model(images, tokens.flip(0))
    torch.testing.assert_close(longer, logits.detach())
    assert (other - logits).abs().max() > 1e-4  # the words decide


@pytest.mark.parametrize(
    ("images", "tokens", "says"),
    [
        ((1, 3, 48, 32), (1, 3, 5), "multiples of 32"),
        ((1, 3, 32, 32), (1, 3, 6), r"expected \(1, words, 5\)"),
        ((1, 3, 32, 32), (2, 3, 5), r"expected \(1, words, 5\)"),
        ((1, 3, 32, 32), (1, 9, 5), "holds 9 words; expected 1 to 4"),
    ],
)
def test_wrong_input_is_named(images, tokens, says):
    with pytest.raises(ValueError, match=says):
        PublishedReMamber(SMALL)(torch.rand(images), torch.rand(tokens))


@pytest.mark.parametrize(
    ("fields", "says"),
    [({"dims": (4, 8)}, "four of each"), ({"depths": (1, 0, 1, 1)}, "a layer or more"),
     ({"text": 0}, "text=0; expected at least 1"), ({"backend": "x"}, "backend='x'")],
)  # fmt: skip
def test_wrong_sizes_are_named(fields, says):
    with pytest.raises(ValueError, match=says):
        PublishedConfig(**fields)


def test_vmambas_base_size_is_counted_as_its_authors_count_it():
    counted = vmamba_costs(remamba_costs(VMAMBA_BASE["side"]), width=1024)
    assert counted.parameters == pytest.approx(VMAMBA_BASE["parameters"], rel=0.01)
    assert counted.operations == pytest.approx(VMAMBA_BASE["operations"], rel=0.01)
    with pytest.raises(ValueError, match="side=100; expected a multiple of 32"):
        remamba_costs(100)


def test_operations_are_those_of_the_layers_that_run():
    """Every linear layer and convolution, counted as it runs; the selection and scans by hand."""
    model, work = PublishedReMamber(SMALL), []

    def count(layer, args, out):
        pixels = out.numel() // (out.shape[1] if isinstance(layer, nn.Conv2d) else out.shape[-1])
        work.append(pixels * layer.weight.numel())

    for layer in model.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d):
            layer.register_forward_hook(count)
    side = 64
    with torch.no_grad():
        model(torch.rand(1, 3, side, side), torch.rand(1, SMALL.tokens, SMALL.text))
    by_hand = 0
    for i, (dim, depth) in enumerate(zip(DIMS, DEPTHS, strict=True)):
        pixels, inner, rank = (side // 4 // 2**i) ** 2, 2 * dim, math.ceil(dim / 16)
        one = inner * (2 * rank + 2 * SMALL.state) + inner * (9 * SMALL.state + 1)
        by_hand += 4 * pixels * one * (depth + 1)  # the twist scans the pixels, too
        by_hand += pixels * dim * SMALL.tokens  # pixels times words
        by_hand += 3 * dim * 4 * ((2 * 1 + 2 * 2) + (9 * 2 + 1))  # along the channels: 4 features
    assert sum(part.operations for part in remamba_costs(side, SMALL)) == sum(work) + by_hand
    total = sum(x.numel() for x in model.parameters())
    assert sum(part.parameters for part in remamba_costs(side, SMALL)) == total

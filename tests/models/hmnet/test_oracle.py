"""The oracle of the released HMNet against the released numbers, and its other variants."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from tests.golden.synth import synth_input, synth_state_dict
from tests.golden.variants import VGG16, synth_weights, variant_names, vgg16_names
from tests.models.hmnet.oracle import mixer, published_forward, resnet50, vgg16

GOLDEN = Path(__file__).parents[2] / "golden"
NAMES = json.loads((GOLDEN / "hmnet_r50_1shot.names.json").read_text())
SEED = 5


def disc(side, k=0):
    """Support mask k of the golden run, (side, side)."""
    y, x = np.mgrid[:side, :side] / side
    inside = (x - 0.5 - 0.05 * k) ** 2 + (y - 0.45) ** 2 < (0.2 + 0.02 * k) ** 2
    return torch.from_numpy(inside.astype(np.float32))


def image(tag, *shape):
    return torch.from_numpy(synth_input(tag, shape, SEED))


@pytest.fixture(scope="module")
def weights():
    """Of ResNet-50 with one and with five shots: a name's numbers depend on nothing else."""
    return synth_weights(variant_names(NAMES, shots=5), SEED)


@pytest.fixture(autouse=True)
def no_grad():
    with torch.no_grad():
        yield


def scale_error(ours, golden):
    """Largest difference, relative to the tensor's own scale."""
    golden = torch.from_numpy(golden)
    assert ours.shape == golden.shape
    return float((ours - golden).abs().max() / golden.abs().max())


@pytest.mark.slow
def test_oracle_matches_the_released_model(weights):
    golden = np.load(GOLDEN / "hmnet_r50_1shot.npz")
    ours = published_forward(
        weights,
        image("query", 1, 3, 473, 473),
        image("support", 1, 1, 3, 473, 473),
        disc(473)[None, None],
    )
    assert ours["final"].shape == (1, 2, 473, 473)
    final = ours["final"][..., ::8, ::8]
    assert (final - torch.from_numpy(golden["final_8"])).abs().max() < 1e-5
    # Measured: up to 5e-6, of which the released float32 numbers' own rounding is the most.
    for name in ("mixer_query_in", "mixer_support_in", "mixer_out"):
        assert scale_error(ours[name][:, ::8, ::4, ::4], golden[name]) < 2e-5, name
    for name in ("prior", "meta_logits"):
        assert scale_error(ours[name], golden[name]) < 2e-5, name


@pytest.mark.parametrize(
    "case, arrays, side, seed",
    [("mixer_d2_c16", "mixer_d2_c16_8x8", 8, 1), ("mixer_d4_c16", "mixer_d4_c16_16x16", 16, 2)],
)
def test_oracle_matches_the_released_mixer(case, arrays, side, seed):
    w = synth_state_dict(GOLDEN / f"{case}.names.json", seed)
    w = {k: torch.from_numpy(v) for k, v in w.items()}
    query, support = (
        torch.from_numpy(synth_input(tag, (2, 16, side, side), seed))
        for tag in ("query", "support")
    )
    golden = np.load(GOLDEN / f"{arrays}.npz")["output"]
    assert scale_error(mixer(w, query, support), golden) < 1e-5


def small_run(weights, supports, masks, **kwargs):
    query = image("query", 1, 3, 65, 65)
    return published_forward(weights, query, supports, masks, mixer_side=8, **kwargs)


def test_equal_shots_are_one_shot(weights):
    support, mask = image("support", 1, 1, 3, 65, 65), disc(65)[None, None]
    one = small_run(weights, support, mask)
    five = small_run(weights, support.repeat(1, 5, 1, 1, 1), mask.repeat(1, 5, 1, 1), shots=5)
    for name in one.keys() - {"psi"}:
        torch.testing.assert_close(five[name], one[name])


def test_order_of_shots_matters_only_to_the_published_reweighting(weights):
    """Reversing the shots reverses ψ but not its weights: the slip of the released code."""
    supports = image("support", 1, 5, 3, 65, 65) * torch.arange(1.0, 6).view(5, 1, 1, 1)
    masks = torch.stack([disc(65, k) for k in range(5)])[None]
    runs = [
        small_run(weights, x, m, shots=5)
        for x, m in ((supports, masks), (supports.flip(1), masks.flip(1)))
    ]
    for name in ("prior", "mixer_query_in", "mixer_support_in", "meta_logits"):
        torch.testing.assert_close(runs[0][name], runs[1][name], atol=1e-4, rtol=1e-4)
    psi = [run["psi"][0] for run in runs]
    torch.testing.assert_close(psi[0], psi[1].flip(0))
    x = psi[0].sort().values
    for i in "02":
        x = weights[f"kshot_rw.{i}.weight"][..., 0, 0] @ x + weights[f"kshot_rw.{i}.bias"]
        x = x.relu() if i == "0" else x.softmax(0)
    # fg = gram_merge[P_fg, ψ̄], so the two runs' fg differ by its second weight times that of ψ̄
    apart = weights["gram_merge.weight"].flatten()[1] * (x @ (psi[0] - psi[1]))
    assert apart.abs() > 1e-4
    fg = runs[0]["final"][:, 1] - runs[1]["final"][:, 1]
    torch.testing.assert_close(fg, apart.expand_as(fg), atol=1e-5, rtol=0)


def test_images_of_a_batch_are_independent(weights):
    supports, masks = (
        image("support", 2, 1, 3, 65, 65),
        torch.stack([disc(65), disc(65, 3)])[:, None],
    )
    query = image("query", 2, 3, 65, 65)
    both = published_forward(weights, query, supports, masks, mixer_side=8)
    for i in range(2):
        alone = published_forward(
            weights, *(x[i : i + 1] for x in (query, supports, masks)), mixer_side=8
        )
        for name in alone:
            torch.testing.assert_close(both[name][i], alone[name][0], atol=1e-5, rtol=1e-4)


def vgg16_modules():
    """Slices of VGG-16-BN's features, built of torch's own modules."""
    layers, before = [], 3
    for widths in VGG16:
        layer = []
        for channels in widths:
            layer += [
                nn.Conv2d(before, channels, 3, padding=1),
                nn.BatchNorm2d(channels),
                nn.ReLU(),
            ]
            before = channels
        layers.append(nn.Sequential(*layer, nn.MaxPool2d(2, 2, ceil_mode=True)))
    del layers[-1][-1]
    return nn.ModuleDict({f"layer{i}": layer for i, layer in enumerate(layers)}).eval()


def test_vgg16_is_the_usual_vgg16_bn():
    names = vgg16_names()
    learned = {k: v for k, v in names.items() if k.rsplit(".", 1)[1] in ("weight", "bias")}
    # what torchvision's vgg16_bn().features has: 14,714,688 in convolutions, 2 × 4,224 in BN
    assert sum(int(np.prod(v)) for v in learned.values()) == 14_714_688 + 2 * 4_224
    modules, w = vgg16_modules(), synth_weights(names, SEED)
    assert [len(m) for m in modules.values()] == [7, 7, 10, 10, 9]  # the ends of the slices
    modules.load_state_dict(w)  # strict: the same names and shapes
    x = image("query", 1, 3, 75, 75)
    maps = [x]
    for layer in modules.values():
        maps.append(layer(maps[-1]))
    del maps[0]
    assert [tuple(m.shape[1:]) for m in maps[2:]] == [(256, 10, 10), (512, 5, 5), (512, 5, 5)]
    f2, f3, f4 = vgg16(w, x)
    torch.testing.assert_close(f3, maps[3])
    torch.testing.assert_close(f4, maps[4])
    assert f2.shape == (1, 256, 5, 5)
    torch.testing.assert_close(f2[..., ::4, ::4], maps[2][..., ::9, ::9])  # corners stay corners


@pytest.mark.parametrize("shots", [1, 5])
def test_vgg16_variant_has_every_name_it_needs(shots):
    names = variant_names(NAMES, backbone="vgg16", shots=shots)
    w = Recorder(synth_weights(names, SEED))
    supports, masks = image("support", 1, shots, 3, 65, 65), disc(65).expand(1, shots, -1, -1)
    out = small_run(w, supports, masks, backbone="vgg16", shots=shots)
    assert all(v.isfinite().all() for v in out.values())
    assert out["final"].shape == (1, 2, 65, 65)
    unused = names.keys() - w.used
    assert all(k.endswith("num_batches_tracked") for k in unused)


class Recorder(dict):
    """A dict that knows which of its keys were asked for."""

    def __init__(self, *args):
        super().__init__(*args)
        self.used = set()

    def __getitem__(self, key):
        self.used.add(key)
        return super().__getitem__(key)

    def get(self, key, default=None):
        self.used.add(key)
        return super().get(key, default)


def test_resnet50_is_at_stride_eight(weights):
    f2, f3, f4 = resnet50(weights, image("query", 1, 3, 81, 97))
    assert [tuple(f.shape[1:]) for f in (f2, f3, f4)] == [
        (512, 11, 13),
        (1024, 11, 13),
        (2048, 11, 13),
    ]


def test_unknown_backbone_is_refused():
    with pytest.raises(ValueError, match=r"no released variant .* 'resnet18'"):
        variant_names(NAMES, backbone="resnet18")

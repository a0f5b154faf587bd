"""Mixed precision, other defaults, compilers: the state stays float32 and nothing breaks."""

import subprocess
import sys

import pytest
import torch

from hmnet_lite import HMNet, HMNetConfig, MambaMixer
from hmnet_lite.maps import inside, patch_starts, reading_order
from hmnet_lite.record import Recorder

BACKENDS = ("cpu", "chunked", "reference")


def mixer_and_maps(side=8, **options):
    torch.manual_seed(0)
    mixer = MambaMixer(32, 2, state=4, recap_ratio=2, **options)
    return mixer, torch.randn(2, 1, 32, side, side).unbind(0)


@pytest.mark.parametrize("backend", BACKENDS)
def test_autocast_trains_and_keeps_the_state_in_float32(backend):
    mixer, maps = mixer_and_maps(backend=backend)
    exact = mixer(*maps)
    with torch.autocast("cpu", torch.bfloat16), Recorder() as seen:
        mixed = mixer(*maps)
    mixed.float().square().mean().backward()
    hybrid = seen.blocks[1]
    assert hybrid["scan_in_query"].dtype == torch.bfloat16, "around the scan: mixed"
    for name in ("support_state", "support_keep"):
        assert hybrid[name].dtype == torch.float32
    assert (mixed - exact).abs().max() / exact.abs().max() < 0.05
    trained = [p for p in mixer.parameters() if p.requires_grad]
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in trained)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
@pytest.mark.parametrize("backend", ["auto", "chunked"])
def test_a_whole_mixer_in_another_precision(dtype, backend):
    mixer, maps = mixer_and_maps(backend=backend)
    exact = mixer(*maps)
    with Recorder() as seen:
        out = mixer.to(dtype)(*(x.to(dtype) for x in maps))
    full = torch.float64 if dtype == torch.float64 else torch.float32
    assert out.dtype == dtype and seen.blocks[1]["support_state"].dtype == full
    assert (out - exact).abs().max() / exact.abs().max() < (1e-5 if full == dtype else 0.05)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_a_whole_network_in_another_precision(dtype):
    torch.manual_seed(0)
    model = HMNet(HMNetConfig(state=4)).eval()
    query, supports = torch.rand(1, 3, 64, 64), torch.rand(1, 1, 3, 64, 64)
    masks = torch.zeros(1, 1, 64, 64)
    masks[..., :32, :32] = 1
    with torch.no_grad():
        exact = model(query, supports, masks)
        with torch.autocast("cpu", torch.bfloat16):
            assert torch.isfinite(model(query, supports, masks)).all()
        logits = model.to(dtype)(query, supports, masks)
    assert logits.dtype == dtype
    assert (logits - exact).abs().max() < (1e-4 if dtype == torch.float64 else 0.2)


def test_supports_may_have_another_size_than_the_query():
    model = HMNet(HMNetConfig(state=4)).eval()
    masks = torch.zeros(1, 2, 96, 64)
    masks[..., :32, :32] = 1
    logits = model(torch.rand(1, 3, 64, 80), torch.rand(1, 2, 3, 96, 64), masks)
    assert logits.shape == (1, 2, 64, 80)


def test_every_trained_parameter_gets_a_gradient():
    """Plain distributed training refuses a network with parameters that nothing depends on."""
    for depth in (1, 2, 3):
        mixer = MambaMixer(16, depth, recap_ratio=2)
        mixer(*torch.randn(2, 1, 16, 4, 4)).square().sum().backward()
        lacking = [n for n, p in mixer.named_parameters() if p.requires_grad and p.grad is None]
        assert lacking == []


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16])
def test_the_default_dtype_is_the_reader_s_own_business(dtype):
    mixer, maps = mixer_and_maps()
    expected = mixer(*maps)
    try:
        torch.set_default_dtype(dtype)
        found = mixer(*maps)
        found.sum().backward()
    finally:
        torch.set_default_dtype(torch.float32)
    assert torch.equal(found, expected)


def test_the_default_device_does_not_spoil_what_is_remembered():
    for remembered in (reading_order, patch_starts, inside):
        with torch.device("meta"):
            first = remembered(13, 11, 3)
        assert first.device.type == "cpu"
    mixer, maps = mixer_and_maps(side=11)
    with torch.device("meta"):
        mixer(*maps)


COMPILED = """
import torch
from hmnet_lite import selective_scan
torch.manual_seed(0)
u, delta = torch.randn(2, 6, 40), torch.rand(2, 6, 40)
A, (B, C) = -torch.rand(6, 4), torch.randn(2, 2, 1, 4, 40)
compiled = torch.compile(selective_scan, backend="aot_eager", fullgraph=True)
assert torch.allclose(compiled(u, delta, A, B, C), selective_scan(u, delta, A, B, C), atol=1e-6)
leaf = u.clone().requires_grad_()
compiled(leaf, delta, A, B, C).sum().backward()
plain = u.clone().requires_grad_()
selective_scan(plain, delta, A, B, C).sum().backward()
assert torch.allclose(leaf.grad, plain.grad, atol=1e-6)

class Scan(torch.nn.Module):
    def forward(self, *x):
        return selective_scan(*x)

exported = torch.export.export(Scan(), (u, delta, A, B, C)).module()
assert torch.allclose(exported(u, delta, A, B, C), selective_scan(u, delta, A, B, C), atol=1e-6)
"""

NETWORK = """
import torch
from hmnet_lite import HMNet, HMNetConfig
torch.manual_seed(0)
model = HMNet(HMNetConfig(state=4)).eval()
query, supports = torch.rand(1, 3, 64, 64), torch.rand(1, 1, 3, 64, 64)
masks = torch.zeros(1, 1, 64, 64)
masks[..., :32, :32] = 1
compiled = torch.compile(model, backend="aot_eager")
inputs = (query, supports, masks)
with torch.no_grad():
    assert torch.allclose(compiled(*inputs), model(*inputs), atol=1e-4)
"""


@pytest.mark.slow
@pytest.mark.parametrize("code", [COMPILED, NETWORK], ids=["scan", "network"])
def test_it_compiles_in_a_fresh_process(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr

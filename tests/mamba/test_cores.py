"""Two ways to run a block's core: the map read in place, and its sequences laid out."""

from functools import partial
from itertools import pairwise

import pytest
import torch

from hmnet_lite.analysis.split import one_direction
from hmnet_lite.mamba.blocks import HybridMambaBlock, SelfMambaBlock
from hmnet_lite.mamba.ssm import MapReading
from hmnet_lite.maps import (
    patch_size,
    patch_starts,
    reading_order,
    to_sequences,
)
from hmnet_lite.scan.map_scan import reads_maps
from hmnet_lite.scan.selective import selective_scan
from tests.mamba.parts import small_mixer


def _by(way, reading, ratio=1, recap=None, last_state=False):
    options = dict(last_state=last_state) if way is MapReading.scan_sequences else {}
    return way(reading, ratio, recap=recap, **options)


def cores(block, size, *, gradients=True):
    """(name, value in place, value by sequences) of both outputs and of every gradient."""
    torch.manual_seed(1)
    maps = torch.randn(2, 2, 2 * 16, *size).unbind(0)
    weights = torch.randn(2, 2, 2 * 16, *size)
    results = []
    ways = (MapReading.scan_in_place, MapReading.scan_sequences)
    for way in ways:
        # channels-last in memory, as a block makes them
        leaves = [x.contiguous(memory_format=torch.channels_last).requires_grad_() for x in maps]
        block.scan = partial(_by, way)
        outputs = block.core(*leaves)
        named = dict(zip(("out_query", "out_support"), outputs, strict=True))
        if gradients:
            total = sum((w * y).sum() for w, y in zip(weights, outputs, strict=True))
            own = [(n, p) for n, p in block.named_parameters() if n.startswith("ssm")]
            names = ["query", "support", *(n for n, _ in own)]
            inputs = [*leaves, *(p for _, p in own)]
            named |= zip(names, torch.autograd.grad(total, inputs), strict=True)
        results.append(named)
    return [(name, results[0][name], results[1][name]) for name in results[0]]


KINDS = [
    (SelfMambaBlock, {}, (5, 7)),
    (SelfMambaBlock, dict(directions=1), (4, 6)),
    (HybridMambaBlock, {}, (8, 8)),
    (HybridMambaBlock, dict(recap_ratio=3), (7, 11)),
    (HybridMambaBlock, dict(recap_ratio=2, directions=2, detach_support_state=False), (5, 6)),
    (HybridMambaBlock, dict(srm="basic", recap_ratio=2, qim="own"), (5, 6)),
    (HybridMambaBlock, dict(srm="off", recap_ratio=2, published_skip=True), (5, 6)),
    (HybridMambaBlock, dict(qim="off", recap_ratio=2), (5, 6)),
]


@pytest.mark.parametrize("kind, options, size", KINDS)
def test_reading_in_place_equals_laying_out_sequences(kind, options, size):
    torch.manual_seed(0)
    block = kind(16, state=5, **options)
    torch.nn.init.uniform_(block.ssm.D)  # apart, so that a mixed-up direction shows
    for name, ours, readable in cores(block, size):
        error = (ours - readable).abs().max() / readable.abs().max()
        assert error < 1e-5, f"{name}: {error:.1e}"


def test_an_uneven_map_is_scanned_patch_by_patch_without_its_padding():
    """Against SRM written down once more: only real pixels, a recap before each patch."""
    torch.manual_seed(0)
    block = HybridMambaBlock(8, state=3, recap_ratio=2, qim="off")
    query, support = torch.randn(2, 1, 16, 5, 7).unbind(0)
    ours, _ = block.core(query, support)
    order, starts = reading_order(5, 7, 2), patch_starts(5, 7, 2).tolist()
    small = to_sequences(torch.nn.functional.interpolate(
        support, patch_size(5, 7, 2), mode="bilinear", align_corners=True))  # fmt: skip
    u, delta, A, B, C, D = block.ssm(query.flatten(2)[:, :, order].transpose(1, 2))
    expected = torch.zeros(16, 35)
    for k in range(4):
        one = slice(16 * k, 16 * (k + 1))
        read = one_direction(block.ssm(small), k)
        h = torch.zeros(1, 16, 3)
        for i, j in pairwise(starts[k]):
            _, h = selective_scan(*read, initial_state=h, return_last_state=True)
            y, h = selective_scan(
                u[:, one, i:j], delta[:, one, i:j], A[one], B[:, k : k + 1, :, i:j],
                C[:, k : k + 1, :, i:j], D[one], initial_state=h, return_last_state=True,
            )  # fmt: skip
            expected[:, order[k, i:j]] += y[0]
    torch.testing.assert_close(ours[0].flatten(1), expected, rtol=1e-5, atol=1e-5)


def test_the_core_reads_in_place_where_the_compiled_scan_serves():
    x, double = torch.randn(1, 16, 4, 4), torch.randn(1, 16, 4, 4, dtype=torch.float64)
    for backend, in_place in (("auto", True), ("cpu", True), ("chunked", False)):
        assert reads_maps(x, backend) == in_place
    assert not reads_maps(double)


def test_an_evaluation_does_not_spoil_the_training_after_it():
    """Orders are remembered between calls; made in inference mode they must still serve."""
    mixer, x = small_mixer(), torch.randn(1, 16, 14, 6)
    with torch.inference_mode():
        mixer(x, x)
    assert not reading_order(14, 6, 2).is_inference()
    mixer(x, x).sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in mixer.blocks[1].ssm.parameters())

"""Sizes that only a GPU takes: more batch rows than an axis of a grid, more elements than 2³¹.

Every step forgets all before it, so that what is right is known step by step.
"""

import pytest
import torch

from tests.scan.conformance import INTERPRETED, TRITON, relative

SHAPES = [(3, 2, 2, 9)] if INTERPRETED else [(70_000, 1, 16, 2), (1, 2048, 16, 2**20 + 8)]


@pytest.mark.parametrize("where", [TRITON])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_sizes_that_16_or_32_bits_cannot_count(where, shape):
    from hmnet_kernels.gpu.scan import selective_scan_triton

    batch, channels, state, length = shape
    device = "cpu" if INTERPRETED else "cuda"
    if not INTERPRETED and torch.cuda.mem_get_info()[0] < 30 * batch * channels * length:
        pytest.skip("needs a GPU with 64 GB free")
    g = torch.Generator(device).manual_seed(0)

    def normal(*sizes, dtype=torch.float32):
        return torch.randn(*sizes, device=device, dtype=dtype, generator=g)

    u = normal(batch, channels, length, dtype=torch.bfloat16).requires_grad_()
    delta = torch.rand(u.shape, device=device, dtype=torch.bfloat16, generator=g).add_(0.5)
    B, C = (normal(batch, 1, state, length) for _ in "BC")
    A = torch.full((channels, state), -1e30, device=device)
    y, last = selective_scan_triton(u, delta, A, B, C, return_last_state=True)
    y.sum().backward()
    for part in (slice(None, 1000), slice(-1000, None)):  # the first and the last lines and steps
        lines = (slice(-1, None) if part.start else slice(1),) * 2
        here = (*lines, part)
        step, gain = delta[here].double(), (B * C)[lines[0], :, :, part].double().sum(2)
        assert relative(y[here], step * u[here].double() * gain) < 1e-2
        assert relative(u.grad[here], step * gain) < 1e-2
    drive = (delta[..., -1] * u[..., -1].double())[..., None] * B[:, 0, None, :, -1]
    assert relative(last, drive) < 1e-6

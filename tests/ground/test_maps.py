"""Traversals: every direction visits every pixel once, patch by patch, and leads back."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hmnet_lite.maps import (
    from_sequences,
    inside,
    patch_size,
    patch_starts,
    reading_order,
    reading_times,
    resize,
    resize_by_products,
    to_sequences,
)


def test_reading_orders_of_a_small_map_by_hand():
    assert reading_order(2, 3).tolist() == [
        [0, 1, 2, 3, 4, 5], [0, 3, 1, 4, 2, 5], [5, 4, 3, 2, 1, 0], [5, 2, 4, 1, 3, 0],
    ]  # fmt: skip
    # 4 x 4 in 2 x 2 patches: patches and pixels by rows, then both by columns
    rows, columns, *_ = reading_order(4, 4, 2).tolist()
    assert rows == [0, 1, 4, 5, 2, 3, 6, 7, 8, 9, 12, 13, 10, 11, 14, 15]
    assert columns == [0, 4, 1, 5, 8, 12, 9, 13, 2, 6, 3, 7, 10, 14, 11, 15]


SIDES = st.integers(4, 11)
RATIOS = st.integers(1, 4)


@given(SIDES, SIDES, RATIOS)
def test_orders_visit_every_pixel_once_and_patches_in_one_run(height, width, ratio):
    order, starts = reading_order(height, width, ratio), patch_starts(height, width, ratio)
    assert (order.sort(dim=1).values == torch.arange(height * width)).all()
    h, w = patch_size(height, width, ratio)
    across = -(-width // w)
    for line, begin in zip(order, starts.tolist(), strict=True):
        patch = line // width // h * across + line % width // w
        runs = [patch[i:j].unique().tolist() for i, j in pairwise(begin)]
        assert sorted(runs) == [[i] for i in range(across * -(-height // h))]
    # directions 2 and 3 are 0 and 1 read backwards, patches and all
    assert torch.equal(order[2:], order[:2].flip(-1))
    assert torch.equal(starts[2:], height * width - starts[:2].flip(-1))


@given(SIDES, SIDES, RATIOS)
def test_sequences_and_back_is_the_identity(height, width, ratio):
    x = torch.randn(2, 3, height, width)
    lines = to_sequences(x, ratio)
    back = from_sequences(lines, height, width, ratio)
    assert len(back) == 4 and all(torch.equal(y, x) for y in back)
    real, order = inside(height, width, ratio), reading_order(height, width, ratio)
    for k in range(4):
        assert torch.equal(lines[:, k][..., real[k]], x.flatten(2)[..., order[k]])
        assert (lines[:, k][..., ~real[k]] == 0).all()


def test_an_uneven_map_by_hand():
    """3 × 5 at α = 2: patches of 2 × 3, the lower ones one row high, the right ones two wide."""
    assert reading_order(3, 5, 2)[0].tolist() == [
        0, 1, 2, 5, 6, 7, 3, 4, 8, 9, 10, 11, 12, 13, 14,
    ]  # fmt: skip
    assert patch_starts(3, 5, 2)[0].tolist() == [0, 6, 10, 13, 15]
    assert to_sequences(torch.ones(1, 1, 3, 5), 2)[0, 0, 0].tolist() == [
        1, 1, 1, 1, 1, 1, 1, 1, 0, 1, 1, 0, 1, 1, 1, 0, 0, 0, 1, 1, 0, 0, 0, 0,
    ]  # fmt: skip


@pytest.mark.parametrize("size, ratio", [((3, 8), 4), ((8, 3), 4), ((8, 8), 0)])
def test_maps_smaller_than_the_ratio_are_refused(size, ratio):
    with pytest.raises(ValueError, match=f"cannot be cut with a recap ratio of {ratio}: .*enlarge"):
        to_sequences(torch.zeros(1, 1, *size), ratio)


def test_reading_times_invert_an_order():
    order = np.array([2, 0, 3, 1])
    assert reading_times(order).tolist() == [1, 3, 0, 2]


@pytest.mark.parametrize("size, other", [((8, 8), (2, 2)), ((3, 5), (7, 4)), ((4, 6), (1, 9)),
                                         ((1, 3), (5, 5))])  # fmt: skip
def test_resizing_by_products_is_resizing(size, other):
    """Values, gradients and memory: what a GPU does, against what PyTorch does."""
    torch.manual_seed(0)
    x = torch.randn(2, 3, *size).contiguous(memory_format=torch.channels_last).requires_grad_()
    ours, plain = resize_by_products(x, *other), resize(x, *other)
    torch.testing.assert_close(ours, plain, rtol=1e-5, atol=1e-6)
    assert ours.is_contiguous(memory_format=torch.channels_last)
    weight = torch.randn_like(plain)
    grads = [torch.autograd.grad((y * weight).sum(), x)[0] for y in (ours, plain)]
    torch.testing.assert_close(*grads, rtol=1e-5, atol=1e-6)
    low = x.detach().bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        kept = resize_by_products(low.float(), *other)
    assert kept.dtype == torch.float32, "mixed precision does not round a map on its way"
    assert resize_by_products(low, *other).dtype == torch.bfloat16

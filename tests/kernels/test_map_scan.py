"""Scans that read a map where it lies, against sequences laid out and scanned one by one."""

from itertools import pairwise

import pytest
import torch

from hmnet_kernels import map_scan_cpu
from hmnet_lite.maps import patch_starts, reading_order
from tests.oracle import loop64

pytest.importorskip("numba", reason="the compiled CPU scan needs numba")

NAMES = ("u", "low_rank", "delta_weight", "A", "B", "C", "D", "delta_bias", "P", "S")


def problem(
    batch=2, height=5, width=7, channels=20, state=6, directions=4, ratio=2, rank=3, seed=0
):
    """Every argument, by name."""
    g = torch.Generator().manual_seed(seed)
    pixels, lines = height * width, directions * channels

    def normal(*shape):
        return torch.randn(*shape, generator=g)

    return {
        "u": normal(batch, pixels, channels),
        "low_rank": normal(batch, directions, pixels, rank),
        "delta_weight": normal(lines, rank),
        "A": -torch.exp(normal(lines, state)),
        "B": normal(batch, directions, pixels, state),
        "C": normal(batch, directions, pixels, state),
        "D": normal(lines),
        "delta_bias": normal(lines) - 2,
        "P": torch.sigmoid(normal(batch, lines, state)),
        "S": normal(batch, lines, state),
        "order": reading_order(height, width, ratio)[:directions],
        "starts": patch_starts(height, width, ratio)[:directions],
    }


def run(x, **change):
    x = x | change
    recap = None if x["P"] is None else (x["P"], x["S"])
    rest = {k: x[k] for k in ("order", "starts", "delta_bias")}
    return map_scan_cpu(
        x["u"],
        x["low_rank"],
        x["delta_weight"],
        x["A"],
        x["B"],
        x["C"],
        x["D"],
        **rest,
        delta_softplus=True,
        recap=recap,
    )


def readable(x):
    """The same from the definition: each direction's sequence, patch by patch, in float64."""
    channels = x["u"].shape[-1]
    y, states = torch.zeros(x["u"].shape, dtype=torch.float64), []
    for k, (order, starts) in enumerate(zip(x["order"], x["starts"].tolist(), strict=True)):
        own = slice(k * channels, (k + 1) * channels)
        h = torch.zeros(len(y), channels, x["A"].shape[1], dtype=torch.float64)
        for i, j in pairwise(starts):
            if x["P"] is not None:
                h = x["P"][:, own].double() * h + x["S"][:, own].double()
            pixels = order[i:j]
            delta = x["low_rank"][:, k, pixels].double() @ x["delta_weight"][own].double().mT
            bias = None if x["delta_bias"] is None else x["delta_bias"][own]
            out, h = loop64(
                x["u"][:, pixels].mT, delta.mT, x["A"][own],
                x["B"][:, k, pixels].mT[:, None], x["C"][:, k, pixels].mT[:, None],
                None if x["D"] is None else x["D"][own], delta_bias=bias, delta_softplus=True,
                initial_state=h,
            )  # fmt: skip
            y = y.index_add(1, pixels, out.mT)
        states.append(h)
    return y, torch.cat(states, dim=1)


SHAPES = [
    dict(),
    dict(channels=16, state=16, rank=16, height=8, width=9, ratio=1),  # whole lanes, several tiles
    dict(channels=3, state=1, directions=2, ratio=3),
    dict(batch=1, channels=33, state=17, directions=1, height=4, width=4, ratio=4),
]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("left_out", [(), ("P", "S"), ("D", "delta_bias")])
def test_values_and_gradients_match_the_definition(shape, left_out):
    x = problem(**shape) | dict.fromkeys(left_out)
    leaves = [x[name].requires_grad_() for name in NAMES if x[name] is not None]
    ours, truth = run(x), readable(x)
    weights = [torch.randn(t.shape) for t in ours]
    grads = [
        torch.autograd.grad(sum((w * t).sum() for w, t in zip(weights, out, strict=True)), leaves)
        for out in (ours, truth)
    ]
    for a, b in zip((*ours, *grads[0]), (*truth, *grads[1]), strict=True):
        assert (a - b).abs().max() <= 1e-5 * b.abs().max()


@pytest.mark.parametrize("name", ["y", "last_state"])
def test_gradient_of_one_output_alone(name):
    x = problem()
    x["u"].requires_grad_()
    k = ("y", "last_state").index(name)
    (ours,) = torch.autograd.grad(run(x)[k].sum(), x["u"])
    (truth,) = torch.autograd.grad(readable(x)[k].sum(), x["u"])
    torch.testing.assert_close(ours, truth, rtol=1e-4, atol=1e-5)


def test_threads_agree_to_the_bit():
    x = problem(batch=1, height=16, width=16, channels=96, state=16)
    results = []
    threads = torch.get_num_threads()
    try:
        for count in (1, 3):
            torch.set_num_threads(count)
            results.append(run(x))
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


def test_nan_stays_in_its_channel():
    x = problem()
    x["u"][0, 3, 1] = torch.nan
    y, last = run(x)
    assert torch.isnan(y[0, :, 1]).any() and torch.isnan(last).any()
    assert torch.isfinite(y[:, :, 2]).all() and torch.isfinite(y[1]).all()


@pytest.mark.parametrize(
    "change, error, words",
    [
        (dict(u=torch.zeros(2, 35, 20).double()), TypeError, r"u is torch.float64 on cpu; .*float"),
        (dict(A=torch.zeros(20, 6)), ValueError, r"A has shape \(20, 6\), expected .*\(80, 6\)"),
        (dict(B=torch.zeros(2, 4, 6, 35)), ValueError, r"B has shape .* expected .*pixels, state"),
        (dict(S=None), ValueError, r"recap is a pair"),
        (dict(order=torch.zeros(4, 35).long()), ValueError, r"name each of the 35 pixels once"),
        (dict(order=torch.zeros(4, 34).long()), ValueError, r"expected int64 \(directions, pix"),
        (dict(starts=torch.tensor([[0, 36]] * 4)), ValueError, r"rising from 0 to 35"),
        (dict(starts=torch.tensor([[0, 9, 5, 35]] * 4)), ValueError, r"rising from 0 to 35"),
    ],
)
def test_bad_input_is_named(change, error, words):
    with pytest.raises(error, match=words):
        run(problem(), **change)

"""The kernels' own call: recaps of any segment, optional arguments, bad input, threads.

What a scan has to do whoever runs it is tested in tests/scan, for these kernels as well.
"""

import threading

import pytest
import torch
import torch.nn.functional as F

from hmnet_kernels import selective_scan_cpu
from tests.kernels.direct import KERNELS, NAMES, compare, kernel, problem, run
from tests.oracle import loop64
from tests.scan.conformance import (
    GRADIENTS,
    GRADIENTS_STRESS,
    INTERPRETED,
    VALUES,
    VALUES_STRESS,
    relative,
)

pytest.importorskip("numba", reason="the compiled CPU scan needs numba")


def spare_the_interpreter(shape):
    full = {"batch": 2, "channels": 20, "length": 70} | shape
    if INTERPRETED and full["batch"] * full["channels"] * full["length"] > 200:
        pytest.skip("minutes in the interpreter")


SHAPES = [
    {},
    {"channels": 16, "length": 64},
    {"channels": 48, "groups": 3, "length": 33},
    {"channels": 34, "groups": 2, "state": 5, "length": 31},
    {"channels": 1, "state": 1, "length": 1},
    {"batch": 3, "channels": 17, "state": 3, "length": 129},
    {"batch": 1, "channels": 4, "groups": 4, "state": 2, "length": 16},
    {"channels": 3, "length": 20, "state": 4},
    {"channels": 4, "groups": 2, "length": 21, "state": 3},
    {"batch": 1, "channels": 1, "length": 7, "state": 1},
    {"batch": 1, "channels": 2, "length": 1, "state": 2},
    {"batch": 1, "channels": 2, "length": 0, "state": 2},
]


@pytest.mark.parametrize("where", KERNELS)
@pytest.mark.parametrize("segment", [None, 1, 3, 7, 10, 32, 65, 1000])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_matches_float64_loop(where, shape, segment):
    """Segments need not divide the length, and may be longer."""
    spare_the_interpreter(shape)
    if INTERPRETED and segment not in (None, 3, 10):
        pytest.skip("minutes in the interpreter")
    compare(where, problem(**shape), segment)


@pytest.mark.gpu
@pytest.mark.parametrize("segment", [None, 100])
@pytest.mark.parametrize("shape", [{}, {"channels": 48, "groups": 3, "length": 333}], ids=str)
def test_longer_lines_on_a_gpu(shape, segment):
    compare("triton on cuda", problem(**shape), segment, gradients=GRADIENTS_STRESS)


@pytest.mark.parametrize("where", KERNELS)
@pytest.mark.parametrize("shape", [{}, {"channels": 2, "length": 20, "state": 3}], ids=str)
def test_optional_arguments_may_be_left_out(where, shape):
    spare_the_interpreter(shape)
    x = problem(**shape)
    bare = {k: x[k] for k in ("u", "A", "B", "C")} | {"delta": F.softplus(x["delta"])}
    compare(where, bare)
    with_bias = bare | {"delta_bias": x["delta_bias"].abs()}
    got = run(kernel(where), with_bias, delta_softplus=False)
    assert relative(got[0], run(loop64, with_bias, delta_softplus=False)[0]) < VALUES


def test_the_output_alone_is_what_comes_back_unless_the_state_is_asked_for():
    x = problem()
    x["delta"] = F.softplus(x["delta"])
    bare = {k: x[k] for k in NAMES[:5]}
    assert torch.equal(selective_scan_cpu(*bare.values()), run(kernel("cpu"), bare)[0])


STRESS = {
    "huge Δ": lambda x: x | {"delta": x["delta"] * 1e4},
    "infinite decay": lambda x: x | {"A": x["A"] * 1e30},
    "huge and tiny by turns": lambda x: x | {"delta": x["delta"].abs() ** 9 - 8},
    "tiny Δ": lambda x: x | {"delta": x["delta"] - 12},
    "Δ at the edge of underflow": lambda x: x | {"A": -torch.linspace(60, 130, 16).repeat(20, 1)},
    "growing state": lambda x: x | {"A": -x["A"] * 0.005},
}


@pytest.mark.parametrize("kind", STRESS)
@pytest.mark.parametrize("segment", [None, 25])
def test_stress(kind, segment):
    x = STRESS[kind](problem(channels=20, length=300))
    compare("cpu", x, segment, VALUES_STRESS, GRADIENTS_STRESS)


@pytest.mark.parametrize("where", KERNELS)
@pytest.mark.parametrize("factor", [1e4, 7.0], ids=["huge Δ", "tiny Δ"])
def test_stress_in_short(where, factor):
    x = problem(batch=1, channels=2, length=20)
    compare(where, x | {"delta": x["delta"] * factor}, None, VALUES_STRESS, GRADIENTS_STRESS)


def test_non_contiguous_inputs_of_a_recap():
    x = problem(channels=24)
    turned = {k: t.transpose(0, -1).contiguous().transpose(0, -1) for k, t in x.items()}
    assert not turned["u"].is_contiguous()
    for a, b in zip(*(run(kernel("cpu"), y, 9) for y in (turned, x)), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("where", KERNELS)
def test_recap_equals_rescanning_the_support(where):
    """h ← P h + S with P = exp(A ΣΔ), S the support's last state: the support scanned again
    (a recap is an affine map)."""
    sizes = {"channels": 3, "state": 4} if INTERPRETED else {}
    x, support = problem(length=40, seed=3, **sizes), problem(length=10, seed=4, **sizes)
    for k in ("A", "D", "delta_bias"):
        support[k] = x[k]
    del x["initial_state"], support["initial_state"]
    delta = F.softplus(support["delta"] + x["delta_bias"][:, None])
    x["P"] = torch.exp(delta.sum(-1)[..., None] * x["A"])
    x["S"] = run(kernel(where), support)[1]
    y = run(kernel(where), x, segment=20)[0]
    parts = [support, 0, support, 20]
    cut = ("u", "delta", "B", "C")
    pieces = [p if p is support else {k: x[k][..., p : p + 20] for k in cut} for p in parts]
    joined = x | {k: torch.cat([p[k] for p in pieces], -1) for k in cut}
    whole = run(kernel(where), joined)[0]
    assert relative(y, torch.cat([whole[..., 10:30], whole[..., 40:]], -1)) < 2 * VALUES


@pytest.mark.parametrize(
    ("change", "kind", "words"),
    [
        ({"u": torch.zeros(2, 20)}, ValueError, "expected u"),
        ({"delta": torch.zeros(2, 20, 69)}, ValueError, "delta has shape"),
        ({"B": torch.zeros(2, 3, 16, 70), "C": torch.zeros(2, 3, 16, 70)}, ValueError, "divide"),
        ({"C": torch.zeros(2, 1, 15, 70)}, ValueError, "C has shape"),
        ({"initial_state": torch.zeros(2, 16, 20)}, ValueError, "initial_state has shape"),
        ({"D": torch.zeros(20).double()}, TypeError, "D is torch.float64"),
        ({"A": torch.zeros(20, 16, device="meta")}, TypeError, "A is .* on meta"),
    ],
    ids=["u", "delta", "groups", "C", "initial_state", "dtype", "device"],
)
def test_bad_input_is_named(change, kind, words):
    with pytest.raises(kind, match=words):
        run(kernel("cpu"), problem() | change)


def test_bad_recap_is_named():
    x = problem()
    with pytest.raises(ValueError, match="together"):
        run(kernel("cpu"), x, recap=(x["P"], x["S"]))
    with pytest.raises(ValueError, match="at least 1"):
        run(kernel("cpu"), x, segment=0)
    with pytest.raises(ValueError, match=r"recap\[1\] has shape"):
        run(kernel("cpu"), x | {"S": x["S"][:1]}, segment=4)


def test_threads_agree_and_calls_may_overlap():
    x = problem(batch=3, channels=80, length=600)
    w = {k: t.requires_grad_() for k, t in x.items()}

    def everything():
        y, last = run(kernel("cpu"), w)
        return (y, last, *torch.autograd.grad(y.sum() + last.sum(), [w[k] for k in NAMES[:8]]))

    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        alone = everything()
        torch.set_num_threads(3)
        results = []
        callers = [threading.Thread(target=lambda: results.append(everything())) for _ in "abc"]
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join()
    finally:
        torch.set_num_threads(threads)
    assert len(results) == 3
    for result in results:
        assert torch.equal(result[0], alone[0])
        assert all(relative(a, b) < GRADIENTS for a, b in zip(result, alone, strict=True))

"""Stress: steps that are huge or tiny, long lines, NaN and infinity, decays of every size."""

from functools import cache

import pytest
import torch

from tests.scan.conformance import (
    ALL,
    GRADIENTS,
    GRADIENTS_STRESS,
    HERE,
    INTERPRETED,
    VALUES,
    VALUES_STRESS,
    assert_close,
    by,
    doubled,
    everything,
    problem,
    run,
    truth,
    variant,
    with_recap,
)

SHORT = 24 if INTERPRETED else 256
STRESS = {  # length, factor of Δ, limits of values and gradients
    "ordinary": (SHORT, 1.0, VALUES, GRADIENTS),
    "tiny steps": (SHORT, 1e-6, VALUES_STRESS, GRADIENTS_STRESS),
    "huge steps": (SHORT, 1e4, VALUES_STRESS, GRADIENTS_STRESS),
    "long": (8192, 1.0, VALUES, GRADIENTS_STRESS),
    "long, tiny steps": (8192, 1e-6, VALUES_STRESS, GRADIENTS_STRESS),
    "long, huge steps": (8192, 1e4, VALUES_STRESS, GRADIENTS_STRESS),
}


@cache
def stress(kind):
    length, factor, *_ = STRESS[kind]
    p = problem(batch=1, channels=3, length=length, groups=1)
    p["delta"] = p["delta"] * factor
    return p, everything(truth, doubled(p))


@pytest.mark.parametrize("backend", ALL)
@pytest.mark.parametrize(
    "kind", [pytest.param(k, marks=[pytest.mark.slow] * ("long" in k)) for k in STRESS]
)
def test_stress(backend, kind):
    if INTERPRETED and "long" in kind:
        pytest.skip("minutes in the interpreter")
    p, exact = stress(kind)
    assert_close(everything(by(backend), p), exact, *STRESS[kind][2:])


def raw(**sizes):
    """A problem whose Δ goes through the softplus, 0.13 in the middle."""
    p = variant("gate, bias, softplus", **sizes | {"groups": 1})
    del p["z"]
    return p | {"delta": p["delta"] - 2}


ODD = {  # what is done to A or the raw Δ
    "huge Δ": lambda x: x | {"delta": x["delta"] * 1e4},
    "infinite decay": lambda x: x | {"A": x["A"] * 1e30},
    "huge and tiny by turns": lambda x: x | {"delta": x["delta"].abs() ** 9 - 8},
    "tiny Δ": lambda x: x | {"delta": x["delta"] - 12},
    "Δ at the edge of underflow": lambda x: x | {"A": -torch.linspace(60, 130, 16).repeat(20, 1)},
    "growing state": lambda x: x | {"A": -x["A"] * 0.005},
}


@pytest.mark.filterwarnings("ignore:A has entries >= 0")
@pytest.mark.parametrize("backend", HERE)
@pytest.mark.parametrize("segment", [None, 25])
@pytest.mark.parametrize("kind", ODD)
def test_odd_decays_and_steps(backend, segment, kind):
    if INTERPRETED:
        pytest.skip("minutes in the interpreter")
    p = ODD[kind](raw(channels=20, state=16, length=300))
    p = with_recap(p, segment) if segment else p
    exact = everything(truth, doubled(p))
    assert_close(everything(by(backend), p), exact, VALUES_STRESS, GRADIENTS_STRESS)


@pytest.mark.slow
@pytest.mark.parametrize("shift, limit", [(0, VALUES), (-9, VALUES_STRESS)], ids=["plain", "tiny"])
def test_long_lines_that_fill_a_lane(shift, limit):
    p = raw(batch=1, channels=16, state=16, length=8192)
    p["delta"] = p["delta"] + shift
    assert_close(everything(by("cpu"), p), everything(truth, doubled(p)), limit, GRADIENTS_STRESS)


@pytest.mark.filterwarnings("ignore:A has entries >= 0")
@pytest.mark.parametrize("backend", HERE)
def test_overflow_is_infinite_not_garbage(backend):
    p = raw(length=70) | {"A": torch.full((6, 4), 500.0)}
    assert not run(backend, p)[..., -1].isfinite().any()


@pytest.mark.parametrize("backend", ALL)
@pytest.mark.parametrize("name", problem())
def test_nan_propagates_and_stays_in_its_row(backend, name):
    p = problem(length=40)
    p[name].view(-1)[5] = float("nan")
    ours, (y64, last64) = everything(by(backend), p), truth(p)
    assert y64.isnan().any()
    assert torch.equal(ours["y"].isnan(), y64.isnan())
    assert torch.equal(ours["last_state"].isnan(), last64.isnan())
    assert any(ours[k].isnan().any() for k in p)  # the backward pass ends, and tells
    if name not in ("A", "D"):  # those serve every row
        assert all(ours[k][1].isfinite().all() for k in ("u", "delta", "B", "C", "initial_state"))


@pytest.mark.parametrize("backend", HERE)
def test_nan_of_any_bit_pattern_propagates(backend):
    p = raw(length=20)
    bits = torch.tensor([0x7FFFFFFF], dtype=torch.int32)  # would shift into an exponent
    p["delta"][0, 3, 8] = bits.view(torch.float32)[0]
    assert run(backend, p)[0, 3, 8:].isnan().all()

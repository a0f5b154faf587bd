"""Values: every backend against a float64 loop, at every shape, layout and length."""

import inspect
import sys

import pytest
import torch
from torch import Tensor

from hmnet_lite.scan.selective import selective_scan
from tests.oracle import mamba_ssm_reference
from tests.scan.conformance import (
    ALL,
    HERE,
    INTERPRETED,
    VALUES,
    assert_close,
    by,
    compiled,
    doubled,
    everything,
    on_gpu,
    problem,
    relative,
    run,
    truth,
    variant,
    with_recap,
)


@pytest.mark.parametrize("backend", [*ALL, on_gpu("mamba_ssm")])
@pytest.mark.parametrize("length", [1, 2, 31, 32, 33, 100])
def test_matches_the_float64_loop(backend, length):
    if INTERPRETED and length == 100:
        pytest.skip("minutes in the interpreter")
    p = problem(length=length)
    if "mamba_ssm" in backend:
        del p["initial_state"]  # its kernel knows none
    y, last = run(backend, p, return_last_state=True)
    y64, last64 = truth(p)
    assert relative(y, y64) < VALUES and relative(last, last64) < VALUES


SHAPES = [
    dict(channels=20, state=16, length=70, groups=1),
    dict(channels=16, state=16, length=64, groups=1),  # whole lanes, whole tiles
    dict(channels=48, state=16, length=33, groups=3),
    dict(channels=34, state=5, length=31, groups=2),
    dict(channels=1, state=1, length=1, groups=1),
    dict(batch=3, channels=17, state=3, length=129, groups=1),
    dict(batch=1, channels=4, state=2, length=16, groups=4),
]


@pytest.mark.parametrize("backend", HERE)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_values_and_gradients_at_every_shape(backend, shape):
    """Channels that fill a lane or do not, tiles that are whole or not, one to four groups."""
    if INTERPRETED and shape.get("batch", 2) * shape["channels"] * shape["length"] > 200:
        pytest.skip("minutes in the interpreter")
    p = variant("gate, bias, softplus", **shape)
    p["delta"] = p["delta"] - 2
    assert_close(everything(by(backend), p), everything(truth, doubled(p)))


@pytest.mark.parametrize("backend", HERE)
@pytest.mark.parametrize("segment", [1, 5, 14, 35, 70])
@pytest.mark.parametrize("sizes", [dict(), dict(channels=20, state=16, groups=1)], ids=str)
def test_recaps_at_every_segment(backend, segment, sizes):
    if INTERPRETED and (sizes or segment != 35):
        pytest.skip("minutes in the interpreter")
    p = with_recap(problem(length=70, **sizes), segment)
    assert_close(everything(by(backend), p), everything(truth, doubled(p)))


@pytest.mark.parametrize("kind", ["plain", "recap"])
@pytest.mark.parametrize("backend", ["reference", "chunked", "auto", on_gpu("auto")])
def test_all_states(backend, kind):
    p = with_recap(problem(length=70), 14) if kind == "recap" else problem(length=70)
    y, last, states = run(backend, p, return_last_state=True, return_states=True)
    y64, states64 = truth(p, return_states=True)
    assert relative(y, y64) < VALUES and relative(states, states64) < VALUES
    assert torch.equal(states[:, :, -1], last)


@pytest.mark.parametrize("backend", ALL)
@pytest.mark.parametrize("batch, length", [(0, 5), (2, 0), (0, 0), (2, 1)])
def test_empty_and_single_steps(backend, batch, length):
    p = problem(batch=batch, length=length)
    assert_close(everything(by(backend), p), everything(truth, doubled(p)))
    if length == 0:
        assert torch.equal(run(backend, p, return_last_state=True)[1], p["initial_state"])
    if not compiled(backend):
        states = run(backend, p, return_states=True)[1]
        assert states.shape == (batch, 6, length, 4)


@pytest.mark.parametrize("backend", ALL)
def test_non_contiguous_inputs(backend):
    p = variant("gate, bias, softplus")
    twisted = {
        k: v.mT.contiguous().mT if v.ndim > 1 else torch.stack([v, v], 1)[:, 0]
        for k, v in p.items()
        if isinstance(v, Tensor)
    }
    assert not any(v.is_contiguous() for v in twisted.values())
    a, b = (everything(by(backend), x) for x in (p, p | twisted))
    for name in a:
        torch.testing.assert_close(a[name], b[name], msg=name)


# ---- mamba-ssm ------------------------------------------------------------------------------


@pytest.fixture
def reference():
    try:
        return mamba_ssm_reference()
    except ImportError as missing:
        pytest.skip(str(missing))


@pytest.mark.parametrize("backend", HERE)
@pytest.mark.parametrize("layout", ["groups", "one group", "constant"])
def test_drops_in_for_mamba_ssm(backend, layout, reference):
    """The same call, the same keywords, the same values and gradients."""
    p = variant("gate, bias, softplus", length=30)
    del p["initial_state"]
    if layout != "groups":
        p |= {k: variant(layout, length=30)[k] for k in "BC"}
    contiguous = {k: v.contiguous() if isinstance(v, Tensor) else v for k, v in p.items()}
    theirs = everything(lambda x: reference(**x, return_last_state=True), contiguous)
    assert_close(everything(by(backend), p), theirs, 1e-5, 1e-5)


def test_the_compiled_scan_is_as_near_to_mamba_ssm_as_both_round(reference):
    p = variant("gate, bias, softplus", channels=24, state=16, length=50)
    del p["initial_state"], p["z"]
    theirs = everything(lambda x: reference(**x, return_last_state=True), p)
    assert_close(everything(by("cpu"), p), theirs, values=2 * VALUES)


def test_the_signature_is_mamba_ssm_s_and_more(reference):
    module = sys.modules[reference.__module__]
    ours = list(inspect.signature(selective_scan).parameters.values())
    for function in (module.selective_scan_fn, reference):
        theirs = list(inspect.signature(function).parameters.values())
        assert [(x.name, x.default) for x in theirs] == [
            (x.name, x.default) for x in ours[: len(theirs)]
        ]
    assert all(x.kind is x.KEYWORD_ONLY for x in ours[len(theirs) :])

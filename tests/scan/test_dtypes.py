"""Dtypes: half precision in and out, the state in float32, float64 where it is taken."""

import pytest
import torch

from tests.scan.conformance import (
    ALL,
    VALUES,
    assert_close,
    by,
    compiled,
    doubled,
    everything,
    problem,
    relative,
    run,
    truth,
    variant,
    with_recap,
)

DTYPES = {torch.bfloat16: 0.01, torch.float16: 0.002, torch.float64: 1e-12}


@pytest.mark.parametrize("backend", ALL)
@pytest.mark.parametrize("dtype, limit", DTYPES.items(), ids=str)
@pytest.mark.parametrize("kind", ["plain", "recap"])
def test_results_have_the_inputs_dtype_and_the_state_loses_nothing(backend, dtype, limit, kind):
    p = problem(dtype=dtype) if kind == "plain" else with_recap(problem(length=12, dtype=dtype))
    if dtype == torch.float64 and compiled(backend):
        with pytest.raises(ValueError, match=r"computes in float32 and the input is float64"):
            run(backend, p)
        return
    ours, exact = everything(by(backend), p), everything(truth, doubled(p))
    assert_close(ours, exact, limit, 2 * limit)
    tensors = [name for name, x in p.items() if isinstance(x, torch.Tensor)]
    assert all(ours[name].dtype == dtype for name in ("y", *tensors))
    in_state = torch.float64 if dtype == torch.float64 else torch.float32
    assert ours["last_state"].dtype == in_state
    assert relative(ours["last_state"], exact["last_state"]) < VALUES


@pytest.mark.parametrize("backend", ALL)
def test_half_precision_activations_beside_float32_parameters(backend):
    """mamba-ssm's own way: A, D and the bias stay float32 beside a bfloat16 u."""
    p = variant("gate, bias, softplus")
    p |= {k: p[k].bfloat16() for k in ("u", "delta", "B", "C", "z")}
    ours, exact = everything(by(backend), p), everything(truth, doubled(p))
    assert_close(ours, exact, 0.01, 0.02)
    assert ours["y"].dtype == torch.bfloat16 and ours["A"].dtype == torch.float32

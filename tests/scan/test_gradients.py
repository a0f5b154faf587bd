"""Gradients: autograd through a float64 loop, and finite differences where float64 is taken."""

import pytest
import torch
from torch import Tensor

from hmnet_lite.scan.selective import selective_scan
from tests.scan.conformance import (
    GRADIENTS,
    HERE,
    IN_DOUBLE,
    STEPS,
    TRITON,
    VARIANTS,
    assert_close,
    by,
    doubled,
    everything,
    packed,
    problem,
    relative,
    run,
    truth,
    variant,
    with_mamba_ssm,
)


@pytest.mark.parametrize("backend", HERE)
@pytest.mark.parametrize("kind", VARIANTS)
def test_gradients_match_autograd_through_the_float64_loop(backend, kind):
    """The check of the backends that compute in float32 only; test_gradcheck is for the others."""
    p = variant(kind, length=STEPS)
    assert_close(everything(by(backend), p), everything(truth, doubled(p)))


@pytest.mark.parametrize("backend", HERE)
@pytest.mark.parametrize("output", [0, 1], ids=["y", "last state"])
def test_gradient_of_one_output_alone(backend, output):
    p = problem(length=STEPS)
    q = doubled(p)
    gradients = []
    for function, x in ((by(backend), p), (truth, q)):
        x["delta"].requires_grad_()
        gradients += torch.autograd.grad(function(x)[output].sum(), x["delta"])
    assert relative(*gradients) < GRADIENTS


@pytest.mark.gpu
@with_mamba_ssm
def test_mamba_ssm_s_kernel_on_a_gpu():
    p = variant("gate, bias, softplus", length=STEPS)
    del p["initial_state"]
    # its last state has no gradient, and may not be asked for together with one
    ours = everything(lambda x: (run("mamba_ssm on cuda", x),) * 2, p, last_gradient=False)
    exact = everything(truth, doubled(p), last_gradient=False) | {"last_state": ours["y"].double()}
    assert_close(ours | {"last_state": ours["y"]}, exact)


@pytest.mark.parametrize("backend", IN_DOUBLE)
@pytest.mark.parametrize("kind", [*VARIANTS, "every state"])
def test_gradcheck(backend, kind):
    # 33 steps: the chunked scan, whose chunks have 32 at most, meets a border
    p = variant(kind, batch=1, channels=2, length=33, state=1, dtype=torch.float64)
    tensors = {k: v.requires_grad_() for k, v in p.items() if isinstance(v, Tensor)}
    more = dict(return_last_state=True, return_states=kind == "every state", backend=backend)

    def function(*values):
        return selective_scan(**packed(p | dict(zip(tensors, values, strict=True))), **more)

    assert torch.autograd.gradcheck(function, list(tensors.values()))


@pytest.mark.parametrize("backend", ["chunked", "cpu", TRITON])
def test_gradients_of_gradients_are_the_reference_s_alone(backend):
    p = problem(batch=1, channels=2, length=5, state=2, dtype=torch.float64)
    assert torch.autograd.gradgradcheck(
        lambda *values: selective_scan(*values, backend="reference"),
        [p[k].requires_grad_() for k in ("u", "delta", "A", "B", "C", "D")],
    )
    p = {k: v.detach().float().requires_grad_() for k, v in p.items()}
    (gradient,) = torch.autograd.grad(run(backend, p).square().sum(), p["u"], create_graph=True)
    with pytest.raises(RuntimeError, match="differentiate twice"):
        gradient.sum().backward()

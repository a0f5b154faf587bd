"""The scan: every backend against a float64 loop, gradients, properties, and teaching errors.

A backend named "… on cuda" needs a GPU and is skipped without one. Triton also runs where
TRITON_INTERPRET=1 lets its kernels run on a CPU; the last test of this file runs the others again
in such a process.
"""

import inspect
import os
import re
import subprocess
import sys
import types
from functools import cache
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from hmnet_lite.scan import backends
from hmnet_lite.scan import selective as scan
from hmnet_lite.scan.backends import BACKENDS, COMPILED, choose_backend
from hmnet_lite.scan.selective import selective_scan
from tests.oracle import loop64, mamba_ssm_reference

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"


def on_gpu(backend):
    return pytest.param(f"{backend} on cuda", marks=pytest.mark.gpu)


TRITON = "triton" if INTERPRETED else on_gpu("triton")
HERE = [TRITON, "reference", "chunked", "cpu", on_gpu("chunked")]
ALL = [*HERE, "auto", on_gpu("auto")]
IN_DOUBLE = ["reference", "chunked"]
NAMES = [*BACKENDS, "auto"]  # where bad input is found before a backend is looked for
TIME = ("u", "delta", "B", "C")


def problem(batch=2, channels=6, length=11, state=4, groups=2, dtype=torch.float32, seed=0):
    """A dict of ordinary scan arguments; delta already positive."""
    g = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(*shape, generator=g, dtype=torch.float64).to(dtype)

    return dict(
        u=normal(batch, channels, length),
        delta=torch.nn.functional.softplus(normal(batch, channels, length) - 1),
        A=-torch.exp(normal(channels, state) * 0.5),
        B=normal(batch, groups, state, length),
        C=normal(batch, groups, state, length),
        D=normal(channels),
        initial_state=normal(batch, channels, state),
    )


def variant(kind, **sizes):
    """A problem that uses the arguments otherwise."""
    p = problem(**sizes)
    if kind == "gate, bias, softplus":
        q = problem(**sizes | {"seed": 1})
        p |= dict(delta=q["u"], z=q["delta"], delta_bias=q["D"], delta_softplus=True)
    if kind == "no skip, no start":
        del p["D"], p["initial_state"]
    if kind in ("one group", "B for all, C constant"):
        p["B"], p["C"] = p["B"][:, 0], p["C"][:, 0]
    if kind in ("constant", "B for all, C constant"):
        p["C"] = problem(**sizes | {"seed": 2})["A"]
    if kind == "constant":
        p["B"] = problem(**sizes | {"seed": 3})["A"]
    return p


VARIANTS = ["plain", "gate, bias, softplus", "no skip, no start", "one group", "constant"]
VARIANTS += ["B for all, C constant"]


def run(where, p, **more):
    """selective_scan by a backend, on a GPU if `where` says so; the results come back."""
    backend, _, device = where.partition(" on ")
    p = {k: v.to(device or "cpu") if isinstance(v, Tensor) else v for k, v in p.items()}
    result = selective_scan(**p, backend=backend, **more)
    return tuple(x.cpu() for x in result) if isinstance(result, tuple) else result.cpu()


def truth(p, *, return_states=False):
    """y and the last state, or every state, by the float64 loop (which wants groups in B and C)."""
    batch, _, length = p["u"].shape
    full = {
        k: p[k][:, None] if p[k].ndim == 3 else p[k][None, :, :, None].expand(batch, -1, -1, length)
        for k in "BC"
        if p[k].ndim < 4
    }
    return loop64(**p | full, return_states=return_states)


def everything(function, p, *, last_gradient=True):
    """y, the last state, and each tensor's gradient of one fixed mixture of the two."""
    x = {k: v.detach().requires_grad_() if isinstance(v, Tensor) else v for k, v in p.items()}
    y, last = function(x)
    g = torch.Generator().manual_seed(1)
    loss = (y * torch.randn(y.shape, generator=g).to(y.dtype)).sum()
    if last_gradient:
        loss = loss + (last * torch.randn(last.shape, generator=g).to(last.dtype)).sum()
    names = [k for k, v in x.items() if isinstance(v, Tensor)]
    grads = torch.autograd.grad(loss, [x[k] for k in names], materialize_grads=True)
    return {"y": y.detach(), "last_state": last.detach()} | dict(zip(names, grads, strict=True))


def by(where):
    return lambda p: run(where, p, return_last_state=True)


def doubled(p):
    return {k: v.double() if isinstance(v, Tensor) else v for k, v in p.items()}


def relative(a, b):
    assert a.shape == b.shape
    if b.numel() == 0:
        return 0.0
    return ((a.double() - b).abs().max() / b.abs().max().clamp_min(1e-30)).item()


def assert_close(ours, exact, values, gradients):
    """Relative to the largest exact number, for y and the state, and for each gradient."""
    off = {name: relative(ours[name], exact[name]) for name in exact}
    limits = {name: values if name in ("y", "last_state") else gradients for name in exact}
    assert not {name: value for name, value in off.items() if not value < limits[name]}


@pytest.mark.parametrize("backend", [*ALL, on_gpu("mamba_ssm")])
@pytest.mark.parametrize("length", [1, 2, 31, 32, 33, 100])
def test_matches_the_float64_loop(backend, length):
    p = problem(length=length)
    if "mamba_ssm" in backend:
        del p["initial_state"]  # its kernel knows none
    y, last = run(backend, p, return_last_state=True)
    y64, last64 = truth(p)
    assert relative(y, y64) < 1e-6 and relative(last, last64) < 1e-6


@pytest.mark.parametrize("backend", ["reference", "chunked", "auto", on_gpu("auto")])
def test_all_states(backend):
    p = problem(length=70)
    y, last, states = run(backend, p, return_last_state=True, return_states=True)
    y64, states64 = truth(p, return_states=True)
    assert relative(y, y64) < 1e-6 and relative(states, states64) < 1e-6
    assert torch.equal(states[:, :, -1], last)


@pytest.mark.parametrize("backend", HERE)
@pytest.mark.parametrize("kind", VARIANTS)
def test_gradients_match_autograd_through_the_float64_loop(backend, kind):
    """The check of the backends that compute in float32 only; test_gradcheck is for the others."""
    p = variant(kind, length=45)
    assert_close(everything(by(backend), p), everything(truth, doubled(p)), 1e-6, 1e-5)


@pytest.mark.gpu
def test_mamba_ssm_s_kernel_on_a_gpu():
    p = variant("gate, bias, softplus", length=45)
    del p["initial_state"]
    ours = everything(by("mamba_ssm on cuda"), p, last_gradient=False)
    assert_close(ours, everything(truth, doubled(p), last_gradient=False), 1e-6, 1e-5)


@pytest.mark.parametrize("backend", IN_DOUBLE)
@pytest.mark.parametrize("kind", [*VARIANTS, "every state"])
def test_gradcheck(backend, kind, monkeypatch):
    monkeypatch.setattr("hmnet_lite.scan.chunked._chunk", lambda u, A: 3)  # borders in a short line
    p = variant(kind, batch=2, channels=2, length=7, state=2, dtype=torch.float64)
    tensors = {k: v.requires_grad_() for k, v in p.items() if isinstance(v, Tensor)}
    more = dict(return_last_state=True, return_states=kind == "every state", backend=backend)

    def function(*values):
        return selective_scan(**p | dict(zip(tensors, values, strict=True)), **more)

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


@pytest.mark.parametrize("backend", ALL)
@pytest.mark.parametrize("batch, length", [(0, 5), (2, 0), (0, 0), (2, 1)])
def test_empty_and_single_steps(backend, batch, length):
    p = problem(batch=batch, length=length)
    exact = everything(truth, doubled(p))
    assert_close(everything(by(backend), p), exact, 1e-6, 1e-5)
    if length == 0:
        assert torch.equal(run(backend, p, return_last_state=True)[1], p["initial_state"])
    if backend.partition(" ")[0] not in COMPILED:
        states = run(backend, p, return_states=True)[1]
        assert states.shape == (batch, 6, length, 4)


DTYPES = {torch.bfloat16: 0.01, torch.float16: 0.002, torch.float64: 1e-12}


@pytest.mark.parametrize("backend", ALL)
@pytest.mark.parametrize("dtype, limit", DTYPES.items(), ids=str)
def test_results_have_the_inputs_dtype_and_the_state_loses_nothing(backend, dtype, limit):
    p = problem(dtype=dtype)
    if dtype == torch.float64 and backend.partition(" ")[0] in COMPILED:
        with pytest.raises(ValueError, match=r"computes in float32 and the input is float64"):
            run(backend, p)
        return
    ours, exact = everything(by(backend), p), everything(truth, doubled(p))
    assert_close(ours, exact, limit, 2 * limit)
    assert all(ours[name].dtype == dtype for name in ("y", *p))
    in_state = torch.float64 if dtype == torch.float64 else torch.float32
    assert ours["last_state"].dtype == in_state
    assert relative(ours["last_state"], exact["last_state"]) < 1e-6


@pytest.mark.parametrize("backend", ALL)
def test_half_precision_activations_beside_float32_parameters(backend):
    """mamba-ssm's own way: A, D and the bias stay float32 beside a bfloat16 u."""
    p = variant("gate, bias, softplus")
    p |= {k: p[k].bfloat16() for k in ("u", "delta", "B", "C", "z")}
    ours, exact = everything(by(backend), p), everything(truth, doubled(p))
    assert_close(ours, exact, 0.01, 0.02)
    assert ours["y"].dtype == torch.bfloat16 and ours["A"].dtype == torch.float32


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


STRESS = {  # length, factor of Δ, limits of values and gradients
    "ordinary": (256, 1.0, 1e-6, 1e-5),
    "tiny steps": (256, 1e-6, 1e-5, 1e-4),
    "huge steps": (256, 1e4, 1e-5, 1e-4),
    "long": (8192, 1.0, 1e-6, 1e-4),
    "long, tiny steps": (8192, 1e-6, 1e-5, 1e-4),
    "long, huge steps": (8192, 1e4, 1e-5, 1e-4),
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


# ---- properties -----------------------------------------------------------------------------

EXAMPLES = settings(max_examples=3 if INTERPRETED else 20)
SEEDS = st.integers(0, 2**31)
FACTORS = st.floats(-3, 3, width=32)


@pytest.mark.parametrize("backend", HERE)
@EXAMPLES
@given(length=st.integers(1, 70), cut=st.floats(0, 1), seed=SEEDS)
def test_carrying_the_state_over_any_cut_gives_the_whole(backend, length, cut, seed):
    p = problem(length=length, seed=seed)
    t = round(cut * length)
    whole, last = run(backend, p, return_last_state=True)
    a = {k: v[..., :t] if k in TIME else v for k, v in p.items()}
    b = {k: v[..., t:] if k in TIME else v for k, v in p.items()}
    y_a, b["initial_state"] = run(backend, a, return_last_state=True)
    y_b, end = run(backend, b, return_last_state=True)
    torch.testing.assert_close(torch.cat([y_a, y_b], -1), whole, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(end, last, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("backend", HERE)
@EXAMPLES
@given(a=FACTORS, b=FACTORS, seed=SEEDS)
def test_linear_in_the_drive_and_the_state(backend, a, b, seed):
    """Fixed Δ, B, C: scan(a u + b v) = a scan(u) + b scan(v), u and v with their start states.

    The exact split of a state rests on this.
    """
    p = problem(length=37, seed=seed)
    q = p | {k: problem(length=37, seed=seed + 1)[k] for k in ("u", "initial_state")}
    mixed = p | {k: a * p[k] + b * q[k] for k in ("u", "initial_state")}
    for whole, one, other in zip(*(by(backend)(x) for x in (mixed, p, q)), strict=True):
        torch.testing.assert_close(a * one + b * other, whole, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("backend", HERE)
@EXAMPLES
@given(support=st.integers(1, 40), query=st.integers(1, 40), seed=SEEDS)
def test_the_state_is_exactly_a_support_part_and_a_query_part(backend, support, query, seed):
    """h = h_support + h_query: the support's state decaying through the query, and the query's
    own from an empty start."""
    p = problem(length=support + query, seed=seed)
    del p["D"]
    tail = {k: v[..., support:] if k in TIME else v for k, v in p.items()}
    head = {k: v[..., :support] if k in TIME else v for k, v in p.items()}
    _, h = run(backend, p, return_last_state=True)
    _, start = run(backend, head, return_last_state=True)
    from_nothing = tail | {"initial_state": torch.zeros_like(start)}
    _, own = run(backend, from_nothing, return_last_state=True)
    kept = torch.exp(tail["delta"].sum(-1, keepdim=True) * p["A"]) * start
    torch.testing.assert_close(kept + own, h, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("backend", HERE)
@EXAMPLES
@given(t=st.integers(0, 39), name=st.sampled_from(TIME), seed=SEEDS)
def test_causal(backend, t, name, seed):
    p = problem(length=40, seed=seed)
    before = run(backend, p)
    p[name][..., t] += 1
    changed = (run(backend, p) != before).any(0).any(0)
    assert not changed[:t].any() and changed[t]


@pytest.mark.parametrize("backend", HERE)
@EXAMPLES
@given(length=st.integers(1, 50), seed=SEEDS)
def test_reversing_time_transposes_the_scan(backend, length, seed):
    """With zero start, y = M u for a lower triangular M. Read backwards, with B and C swapped and
    each decay moved to the step it leads to, the scan applies M's transpose: <v, M u> = <Mᵀ v, u>.

    The scan writes Δ u B, so Δ is divided out and back in: M = C (∏ decay) B Δ.
    """
    p = problem(length=length, seed=seed, groups=1)
    g = torch.Generator().manual_seed(seed)
    v = torch.randn(p["u"].shape, generator=g)
    forward = dict(u=p["u"] / p["delta"], **{k: p[k] for k in ("delta", "A", "B", "C")})
    y = run(backend, forward)
    # step t of the mirrored line must decay by what stood between t and t - 1: Δ_{t+1} there
    later = torch.cat([p["delta"][..., 1:], torch.ones_like(p["delta"][..., :1])], -1)
    mirrored = dict(
        u=(v / later).flip(-1), delta=later.flip(-1), A=p["A"],
        B=p["C"].flip(-1), C=p["B"].flip(-1),
    )  # fmt: skip
    back = run(backend, mirrored).flip(-1)
    one, other = (v.double() * y).sum((1, 2)), (back.double() * p["u"]).sum((1, 2))
    scale = (v * y).double().abs().sum((1, 2))
    assert ((one - other).abs() < 1e-5 * scale + 1e-6).all()


@pytest.mark.parametrize("backend", HERE)
@EXAMPLES
@given(seed=SEEDS, channels=st.integers(1, 8 if INTERPRETED else 40))
def test_the_order_of_the_channels_does_not_matter(backend, seed, channels):
    p = problem(channels=channels, length=20, groups=1, seed=seed)
    order = torch.randperm(channels, generator=torch.Generator().manual_seed(seed))
    axis = {"u": 1, "delta": 1, "A": 0, "D": 0, "initial_state": 1}
    q = {k: v.index_select(axis[k], order) if k in axis else v for k, v in p.items()}
    y, last = run(backend, p, return_last_state=True)
    y_q, last_q = run(backend, q, return_last_state=True)
    torch.testing.assert_close(y_q, y[:, order], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(last_q, last[:, order], rtol=1e-5, atol=1e-6)


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


def test_the_signature_is_mamba_ssm_s_and_more(reference):
    module = sys.modules[reference.__module__]
    ours = list(inspect.signature(selective_scan).parameters.values())
    for function in (module.selective_scan_fn, reference):
        theirs = list(inspect.signature(function).parameters.values())
        assert [(x.name, x.default) for x in theirs] == [
            (x.name, x.default) for x in ours[: len(theirs)]
        ]
    assert all(x.kind is x.KEYWORD_ONLY for x in ours[len(theirs) :])


def test_mamba_ssm_s_kernel_is_called_as_its_reference_may_be(monkeypatch, reference):
    """There is no CUDA here; its Python twin has the same signature and stands in."""
    package = types.ModuleType("mamba_ssm.ops.selective_scan_interface")
    package.selective_scan_fn = reference
    for name in ("mamba_ssm", "mamba_ssm.ops"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    monkeypatch.setitem(sys.modules, package.__name__, package)
    monkeypatch.setattr(scan, "require", lambda *_, **__: None)
    p = problem()
    del p["initial_state"]
    y, last = selective_scan(**p, return_last_state=True, backend="mamba_ssm")
    assert relative(y, truth(p)[0]) < 1e-6 and relative(last, truth(p)[1]) < 1e-6


# ---- the choice -----------------------------------------------------------------------------


class On:
    """What `choose_backend` looks at of a tensor, on a device that need not be here."""

    def __init__(self, device, dtype=torch.float32, count=1):
        self.device, self.dtype, self.numel = torch.device(device), dtype, lambda: count


@pytest.fixture
def everything_installed(monkeypatch):
    monkeypatch.setattr(backends.importlib.util, "find_spec", lambda name: object())
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)


@pytest.mark.parametrize(
    "u, needs, chosen, because",
    [
        (On("cpu"), {}, "cpu", "numba is installed"),
        (On("cpu"), {"initial_state": True, "last_state_gradient": True}, "cpu", "fastest"),
        (On("cpu"), {"return_states": True}, "chunked", "cpu is out because it never holds"),
        (On("cpu", torch.float64), {}, "chunked", "float64"),
        (On("cuda"), {}, "mamba_ssm", "own kernel"),
        (On("cuda"), {"initial_state": True}, "triton", "its kernel can run"),
        (On("cuda"), {"last_state_gradient": True}, "triton", "its kernel can run"),
        (On("cuda", count=0), {}, "triton", "its kernel can run"),
        (On("cuda", torch.float64), {}, "chunked", "triton is out because it computes in float32"),
        (On("cuda"), {"return_states": True}, "chunked", "mamba_ssm is out because it never"),
    ],
)
def test_auto_takes_the_fastest_that_can(u, needs, chosen, because, everything_installed):
    name, why = choose_backend(u, **needs)
    assert name == chosen and because in why


@pytest.mark.parametrize(
    "backend, mend",
    [
        ("cpu", "pip install numba"),
        ("triton", "pip install triton"),
        ("mamba_ssm", "pip install --no-build-isolation mamba-ssm"),
    ],
)
def test_a_missing_backend_says_what_to_install(backend, mend, monkeypatch):
    monkeypatch.setattr(backends.importlib.util, "find_spec", lambda name: None)
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    u = On("cpu" if backend == "cpu" else "cuda")
    assert mend in choose_backend(u)[1]
    with pytest.raises(ImportError, match=f"backend='{backend}' cannot run .*{mend}"):
        backends.require(backend, u)


def test_without_numba_auto_still_scans(monkeypatch):
    monkeypatch.setattr(backends.importlib.util, "find_spec", lambda name: None)
    p = problem()
    assert choose_backend(p["u"])[0] == "chunked"
    assert relative(selective_scan(**p), truth(p)[0]) < 1e-6
    with pytest.raises(ImportError, match=r"pip install numba"):
        selective_scan(**p, backend="cpu")


@pytest.mark.skipif(INTERPRETED, reason="Triton runs on this CPU")
@pytest.mark.parametrize("backend", ["triton", "mamba_ssm"])
def test_a_gpu_backend_refuses_tensors_on_a_cpu(backend):
    with pytest.raises(ValueError, match=rf"'{backend}' cannot run this call: it runs on cuda"):
        selective_scan(**problem(), backend=backend)


@pytest.mark.parametrize("backend", COMPILED)
def test_a_compiled_backend_never_holds_all_states(backend):
    with pytest.raises(ValueError, match=r"cannot run this call: .*return_states=True"):
        selective_scan(**problem(), return_states=True, backend=backend)


# ---- bad input ------------------------------------------------------------------------------


BAD = {
    "u": (torch.zeros(2, 6), "u has shape (2, 6); expected (batch, channels, length)"),
    "delta": (torch.zeros(2, 6, 10), "delta has shape (2, 6, 10); expected"),
    "A": (torch.zeros(5, 4), "A has shape (5, 4); expected (channels=6, state)"),
    "B": (torch.zeros(2, 4, 4, 11), "B has 4 groups, which do not divide the 6 channels"),
    "C": (torch.zeros(2, 2, 3, 11), "C has shape (2, 2, 3, 11); expected"),
    "D": (torch.zeros(5), "D has shape (5,); expected (channels,) = (6,)"),
    "z": (torch.zeros(2, 6, 12), "z has shape (2, 6, 12); expected"),
    "delta_bias": (torch.zeros(1), "delta_bias has shape (1,); expected (channels,)"),
    "initial_state": (torch.zeros(2, 6, 5), "initial_state has shape (2, 6, 5); expected"),
}


@pytest.mark.parametrize("backend", NAMES)
@pytest.mark.parametrize("name", BAD)
def test_wrong_shapes_are_named(name, backend):
    value, message = BAD[name]
    with pytest.raises(ValueError, match=re.escape(message)):
        selective_scan(**problem() | {name: value}, backend=backend)


WRONG = {  # what is done to one argument, and what is said of it
    "a list": (lambda x: x.tolist(), TypeError, "is a list; expected a torch.Tensor"),
    "complex": (lambda x: x.to(torch.complex64), TypeError, "has dtype torch.complex64"),
    "whole numbers": (lambda x: x.long(), TypeError, "has dtype torch.int64"),
    "too exact": (
        lambda x: x.double(),
        TypeError,
        r"has dtype torch.float64 but u has .*\.float\(\)",
    ),
    "elsewhere": (lambda x: x.to("meta"), ValueError, "is on meta but u is on cpu"),
}


@pytest.mark.parametrize("backend", NAMES)
@pytest.mark.parametrize("wrong", WRONG)
def test_wrong_types_and_devices_are_named(wrong, backend):
    change, kind, message = WRONG[wrong]
    p = variant("gate, bias, softplus")
    for name in ("delta", "A", "B", "C", "D", "z", "delta_bias", "initial_state"):
        with pytest.raises(kind, match=f"^{name} {message}"):
            selective_scan(**p | {name: change(p[name])}, backend=backend)


def test_an_unknown_backend_is_named():
    with pytest.raises(ValueError, match=r"backend='fast' is not known; choose 'auto' or one of"):
        selective_scan(**problem(), backend="fast")


@pytest.mark.parametrize("backend", ALL)
def test_a_growing_state_is_warned_about_once(backend, monkeypatch, recwarn):
    monkeypatch.setattr(scan, "_warned_growing", False)
    monkeypatch.setattr(scan, "_looked_on_gpu", False)
    p = problem()
    p["A"] = -p["A"] * 0.1
    for _ in range(2):
        assert relative(run(backend, p), truth(p)[0]) < 1e-6
    assert [str(w.message)[:22] for w in recwarn if w.category is UserWarning] == [
        "A has entries >= 0 (la"
    ]


# ---- Triton ---------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.skipif(INTERPRETED, reason="this is that process")
def test_triton_passes_all_of_the_above_in_its_interpreter():
    pytest.importorskip("triton", reason="the Triton kernels need triton")
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-rs",
        "-k",
        "triton",
        "-p",
        "no:cacheprovider",
    ]
    done = subprocess.run(
        [*command, __file__], cwd=Path(__file__).parents[2], capture_output=True, text=True,
        env=os.environ | {"TRITON_INTERPRET": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert int(re.search(r"(\d+) passed", done.stdout)[1]) >= 60, done.stdout
    skipped = re.findall(r"^SKIPPED \[(\d+)\] \S+ (.+)$", done.stdout, re.MULTILINE)
    no_oracle = {(f"{n}", reason) for n, reason in skipped if "mamba-ssm" in reason}
    assert set(skipped) - no_oracle == {
        ("3", "minutes in the interpreter"),
        ("1", "Triton runs on this CPU"),
        ("1", "this is that process"),
    }, done.stdout

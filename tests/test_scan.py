"""The scan: every backend against a float64 loop, gradients, properties, and teaching errors.

Triton joins where TRITON_INTERPRET=1 lets its kernels run on a CPU; the last test of this file
runs the others again in such a process.
"""

import os
import subprocess
import sys
import types
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hmnet_lite import backends, scan
from hmnet_lite.backends import COMPILED, choose_backend
from hmnet_lite.scan import selective_scan

from .oracle import mamba_ssm_reference

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
HERE = [*["triton"][: int(INTERPRETED)], "reference", "chunked", "cpu"]
ALL = [*HERE, "auto"]
IN_DOUBLE = ["reference", "chunked"]
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


def truth(p):
    """The recurrence in float64, written without the package: y and every state."""
    p = {k: v.double() for k, v in p.items()}
    u, delta, A, B, C = (p[k] for k in ("u", "delta", "A", "B", "C"))
    batch, channels, length = u.shape
    h = p.get("initial_state", torch.zeros(batch, channels, A.shape[1], dtype=torch.float64))
    ys, hs = [], []
    for t in range(length):
        b, c = (x[..., t].repeat_interleave(channels // x.shape[1], 1) for x in (B, C))
        h = torch.exp(delta[..., t, None] * A) * h + (delta * u)[..., t, None] * b
        ys.append((c * h).sum(-1))
        hs.append(h)
    y = torch.stack(ys, -1)
    return (y + p["D"][:, None] * u if "D" in p else y), torch.stack(hs, 2)


def relative(a, b):
    return ((a.double() - b).abs().max() / b.abs().max()).item()


@pytest.mark.parametrize("backend", ALL)
@pytest.mark.parametrize("length", [1, 2, 31, 32, 33, 100])
def test_matches_the_float64_loop(backend, length):
    p = problem(length=length)
    y, last = selective_scan(**p, return_last_state=True, backend=backend)
    y64, h64 = truth(p)
    assert relative(y, y64) < 1e-6 and relative(last, h64[:, :, -1]) < 1e-6


@pytest.mark.parametrize("backend", ["reference", "chunked", "auto"])
def test_all_states(backend):
    p = problem(length=70)
    y, last, states = selective_scan(
        **p, return_last_state=True, return_states=True, backend=backend
    )
    assert relative(y, truth(p)[0]) < 1e-6
    assert states.shape == (2, 6, 70, 4)
    assert relative(states, truth(p)[1]) < 1e-6
    assert torch.equal(states[:, :, -1], last)


@pytest.mark.parametrize("backend", HERE)
def test_gradients_match_autograd_through_the_float64_loop(backend):
    p = {k: v.requires_grad_() for k, v in problem(length=45).items()}
    q = {k: v.detach().double().requires_grad_() for k, v in p.items()}
    y, last = selective_scan(**p, return_last_state=True, backend=backend)
    y64, h64 = truth(q)
    g = torch.Generator().manual_seed(1)
    wy, wh = torch.randn(y.shape, generator=g), torch.randn(last.shape, generator=g)
    ((y * wy).sum() + (last * wh).sum()).backward()
    ((y64 * wy).sum() + (h64[:, :, -1] * wh).sum()).backward()
    for name in p:
        assert relative(p[name].grad, q[name].grad) < 1e-5, name


@pytest.mark.parametrize("backend", IN_DOUBLE)
@pytest.mark.parametrize("everything", [False, True])
def test_gradcheck(backend, everything):
    p = problem(batch=1, channels=2, length=35 if everything else 5, state=2, dtype=torch.float64)
    names, values = zip(*p.items(), strict=True)

    def run(*tensors):
        return selective_scan(
            **dict(zip(names, tensors, strict=True)),
            return_last_state=True, return_states=everything, backend=backend,
        )  # fmt: skip

    assert torch.autograd.gradcheck(run, [v.requires_grad_() for v in values], fast_mode=True)


@pytest.mark.parametrize("backend", ALL)
def test_softplus_bias_gate_and_layouts_are_mamba_ssm_s(backend):
    p = problem(groups=1)
    g = torch.Generator().manual_seed(3)
    raw, z = torch.randn(p["u"].shape, generator=g), torch.randn(p["u"].shape, generator=g)
    bias = torch.randn(6, generator=g)
    p["delta"] = raw
    p["B"], p["C"] = p["B"][:, 0], torch.randn(6, 4, generator=g)  # one group; constant
    y = selective_scan(**p, z=z, delta_bias=bias, delta_softplus=True, backend=backend)
    p["delta"] = torch.nn.functional.softplus(raw.double() + bias[:, None])
    p["B"], p["C"] = p["B"][:, None], p["C"][None, :, :, None].expand(2, -1, -1, 11)
    assert relative(y, truth(p)[0] * torch.nn.functional.silu(z.double())) < 1e-6


@pytest.mark.parametrize("backend", ALL)
@pytest.mark.parametrize("batch, length", [(0, 5), (2, 0), (0, 0)])
def test_empty_inputs(backend, batch, length):
    p = problem(batch=batch, length=length)
    y, last = selective_scan(**p, return_last_state=True, backend=backend)
    assert y.shape == (batch, 6, length) and torch.equal(last, p["initial_state"])


@pytest.mark.parametrize("backend", ALL)
def test_bfloat16_in_bfloat16_out_float32_state(backend):
    p = problem(dtype=torch.bfloat16)
    y, last = selective_scan(**p, return_last_state=True, backend=backend)
    assert y.dtype == torch.bfloat16 and last.dtype == torch.float32
    assert relative(last, truth(p)[1][:, :, -1]) < 1e-6  # the state itself loses nothing


@pytest.mark.parametrize("backend", ALL)
def test_non_contiguous_inputs(backend):
    p = problem()
    twisted = {k: v.mT.contiguous().mT if v.ndim > 1 else v for k, v in p.items()}
    assert not twisted["u"].is_contiguous()
    a, b = (selective_scan(**x, backend=backend) for x in (p, twisted))
    torch.testing.assert_close(a, b)


@pytest.mark.parametrize("backend", ALL)
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e4])
def test_stress_huge_and_tiny_steps(backend, scale):
    p = problem(length=256)
    p["delta"] = p["delta"] * scale
    y = selective_scan(**p, backend=backend)
    assert torch.isfinite(y).all() and relative(y, truth(p)[0]) < 1e-5


@pytest.mark.skipif(INTERPRETED, reason="minutes in the interpreter")
@pytest.mark.parametrize("backend", HERE)
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e4])
def test_a_long_line(backend, scale):
    p = problem(batch=1, channels=3, length=8192, groups=1)
    p["delta"] = p["delta"] * scale
    y, last = selective_scan(**p, return_last_state=True, backend=backend)
    y64, h64 = truth(p)
    # torch's exp rounds each decay near 1: over 8192 of them that adds up
    limit = 1e-6 if scale == 1 else 1e-5 if backend != "reference" else 1e-4
    assert relative(y, y64) < limit and relative(last, h64[:, :, -1]) < limit


@pytest.mark.parametrize("backend", ALL)
def test_nan_propagates_forward_only(backend):
    p = problem(length=40)
    p["u"][0, 1, 20] = float("nan")
    y = selective_scan(**p, backend=backend)
    assert torch.isnan(y[0, 1, 20:]).all() and torch.isfinite(y[0, 1, :20]).all()
    assert torch.isfinite(y[1]).all() and torch.isfinite(y[0, 0]).all()


# ---- properties -----------------------------------------------------------------------------

EXAMPLES = settings(max_examples=4 if INTERPRETED else 20)
SEEDS = st.integers(0, 2**31)


@pytest.mark.parametrize("backend", HERE)
@EXAMPLES
@given(length=st.integers(1, 70), cut=st.floats(0, 1), seed=SEEDS)
def test_carrying_the_state_over_any_cut_gives_the_whole(backend, length, cut, seed):
    p = problem(length=length, seed=seed)
    t = round(cut * length)
    whole, last = selective_scan(**p, return_last_state=True, backend=backend)
    a = {k: v[..., :t] if k in TIME else v for k, v in p.items()}
    b = {k: v[..., t:] if k in TIME else v for k, v in p.items()}
    y_a, b["initial_state"] = selective_scan(**a, return_last_state=True, backend=backend)
    y_b, end = selective_scan(**b, return_last_state=True, backend=backend)
    torch.testing.assert_close(torch.cat([y_a, y_b], -1), whole, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(end, last, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("backend", HERE)
@EXAMPLES
@given(seed=SEEDS)
def test_linear_in_the_drive_and_the_state(backend, seed):
    """Fixed Δ, B, C: scan(u, h) = scan(u, 0) + scan(0, h). The exact split rests on this."""
    p = problem(length=37, seed=seed)
    zero = {k: torch.zeros_like(p[k]) for k in ("u", "initial_state")}
    whole = selective_scan(**p, backend=backend)
    driven = selective_scan(**p | {"initial_state": zero["initial_state"]}, backend=backend)
    carried = selective_scan(**p | {"u": zero["u"]}, backend=backend)
    torch.testing.assert_close(driven + carried, whole, rtol=1e-4, atol=1e-5)


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
    _, h = selective_scan(**p, return_last_state=True, backend=backend)
    _, start = selective_scan(**head, return_last_state=True, backend=backend)
    _, own = selective_scan(
        **tail | {"initial_state": torch.zeros_like(start)}, return_last_state=True, backend=backend
    )
    kept = torch.exp(tail["delta"].sum(-1, keepdim=True) * p["A"]) * start
    torch.testing.assert_close(kept + own, h, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("backend", HERE)
@EXAMPLES
@given(t=st.integers(0, 39), seed=SEEDS)
def test_causal(backend, t, seed):
    p = problem(length=40, seed=seed)
    before = selective_scan(**p, backend=backend)
    p["u"] = p["u"].clone()
    p["u"][..., t] += 1
    changed = (selective_scan(**p, backend=backend) != before).any(0).any(0)
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
    start = torch.zeros_like(p["initial_state"])
    forward = dict(u=p["u"] / p["delta"], delta=p["delta"], A=p["A"], B=p["B"], C=p["C"])
    y = selective_scan(**forward, initial_state=start, backend=backend)
    # step t of the mirrored line must decay by what stood between t and t - 1: Δ_{t+1} there
    later = torch.cat([p["delta"][..., 1:], torch.ones_like(p["delta"][..., :1])], -1)
    mirrored = dict(
        u=(v / later).flip(-1), delta=later.flip(-1), A=p["A"],
        B=p["C"].flip(-1), C=p["B"].flip(-1),
    )  # fmt: skip
    back = selective_scan(**mirrored, initial_state=start, backend=backend).flip(-1)
    one, other = (v.double() * y).sum((1, 2)), (back.double() * p["u"]).sum((1, 2))
    scale = (v * y).double().abs().sum((1, 2))
    assert ((one - other).abs() < 1e-5 * scale + 1e-6).all()


@pytest.mark.parametrize("backend", HERE)
@EXAMPLES
@given(seed=SEEDS, channels=st.integers(1, 40))
def test_the_order_of_the_channels_does_not_matter(backend, seed, channels):
    p = problem(channels=channels, length=20, groups=1, seed=seed)
    order = torch.randperm(channels, generator=torch.Generator().manual_seed(seed))
    axis = {"u": 1, "delta": 1, "A": 0, "D": 0, "initial_state": 1}
    q = {k: v.index_select(axis[k], order) if k in axis else v for k, v in p.items()}
    y, last = selective_scan(**p, return_last_state=True, backend=backend)
    y_q, last_q = selective_scan(**q, return_last_state=True, backend=backend)
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
    p = problem(channels=6, groups=2, length=30)
    del p["initial_state"]
    if layout == "one group":
        p["B"], p["C"] = p["B"][:, 0], p["C"][:, 0]
    if layout == "constant":
        p["B"], p["C"] = p["B"][0, 0, :, :6].T, p["C"][0, 0, :, 6:12].T
    g = torch.Generator().manual_seed(5)
    p["z"], p["delta"] = (torch.randn(2, 6, 30, generator=g) for _ in range(2))
    p["delta_bias"] = torch.randn(6, generator=g)
    results = []
    for function in (selective_scan, reference):
        x = {k: v.clone().contiguous().requires_grad_() for k, v in p.items()}
        more = {"backend": backend} if function is selective_scan else {}
        y, last = function(**x, delta_softplus=True, return_last_state=True, **more)
        ((y * y.detach().cos()).sum() + last.square().sum()).backward()
        results.append({"y": y, "last_state": last} | {k: v.grad for k, v in x.items()})
    ours, theirs = results
    for name in ours:
        assert relative(ours[name], theirs[name].double()) < 1e-5, name


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
    assert relative(y, truth(p)[0]) < 1e-6 and relative(last, truth(p)[1][:, :, -1]) < 1e-6


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


@pytest.mark.parametrize("backend", HERE)
def test_what_a_backend_cannot_do_is_said(backend):
    if backend not in COMPILED:
        return
    with pytest.raises(ValueError, match=r"cannot run this call: .*float64"):
        selective_scan(**{k: v.double() for k, v in problem().items()}, backend=backend)
    with pytest.raises(ValueError, match=r"return_states=True"):
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


@pytest.mark.parametrize("backend", ALL)
@pytest.mark.parametrize("name", BAD)
def test_wrong_shapes_are_named(name, backend):
    value, message = BAD[name]
    with pytest.raises(ValueError) as error:
        selective_scan(**problem() | {name: value}, backend=backend)
    assert message in str(error.value)


def test_wrong_types_devices_and_backends_are_named():
    p = problem()
    with pytest.raises(TypeError, match=r"delta is a list"):
        selective_scan(**p | {"delta": [1.0]})
    with pytest.raises(TypeError, match=r"A has dtype torch.complex64"):
        selective_scan(**p | {"A": p["A"].to(torch.complex64)})
    with pytest.raises(TypeError, match=r"u has dtype torch.int64"):
        selective_scan(**p | {"u": p["u"].long()})
    with pytest.raises(ValueError, match=r"B is on meta but u is on cpu"):
        selective_scan(**p | {"B": p["B"].to("meta")})
    with pytest.raises(ValueError, match=r"backend='fast' is not known; choose 'auto' or one of"):
        selective_scan(**p, backend="fast")


def test_a_growing_state_is_warned_about_once(monkeypatch):
    monkeypatch.setattr(scan, "_warned_growing", False)
    p = problem()
    p["A"] = -p["A"] * 0.1
    with pytest.warns(UserWarning, match=r"A has entries >= 0"):
        y = selective_scan(**p)
    assert relative(y, truth(p)[0]) < 1e-6


# ---- Triton ---------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.skipif(INTERPRETED, reason="this is that process")
def test_triton_passes_all_of_the_above_in_its_interpreter():
    pytest.importorskip("triton", reason="the Triton kernels need triton")
    command = [sys.executable, "-m", "pytest", "-q", "-k", "triton", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, __file__], cwd=Path(__file__).parents[1], capture_output=True, text=True,
        env=os.environ | {"TRITON_INTERPRET": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert int(done.stdout.splitlines()[-1].split(" passed")[0].split()[-1]) >= 40, done.stdout

"""The scan: every backend against a float64 loop, gradients, properties, and teaching errors."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hmnet_lite import scan
from hmnet_lite.scan import BACKENDS, choose_backend, selective_scan

ALL = [*BACKENDS, "auto"]


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


@pytest.mark.parametrize("backend", BACKENDS)
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


@pytest.mark.parametrize("backend", ["reference", "chunked"])
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


@pytest.mark.parametrize("backend", ALL)
def test_nan_propagates_forward_only(backend):
    p = problem(length=40)
    p["u"][0, 1, 20] = float("nan")
    y = selective_scan(**p, backend=backend)
    assert torch.isnan(y[0, 1, 20:]).all() and torch.isfinite(y[0, 1, :20]).all()
    assert torch.isfinite(y[1]).all() and torch.isfinite(y[0, 0]).all()


@settings(max_examples=25)
@given(
    length=st.integers(1, 70), cut=st.floats(0, 1), seed=st.integers(0, 2**31),
    backend=st.sampled_from(BACKENDS),
)  # fmt: skip
def test_carrying_the_state_over_any_cut_gives_the_whole(length, cut, seed, backend):
    p = problem(length=length, seed=seed)
    t = round(cut * length)
    whole, last = selective_scan(**p, return_last_state=True, backend=backend)
    time = ("u", "delta", "B", "C")
    a = {k: v[..., :t] if k in time else v for k, v in p.items()}
    b = {k: v[..., t:] if k in time else v for k, v in p.items()}
    y_a, b["initial_state"] = selective_scan(**a, return_last_state=True, backend=backend)
    y_b, end = selective_scan(**b, return_last_state=True, backend=backend)
    torch.testing.assert_close(torch.cat([y_a, y_b], -1), whole, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(end, last, rtol=1e-4, atol=1e-5)


@settings(max_examples=15)
@given(seed=st.integers(0, 2**31), backend=st.sampled_from(BACKENDS))
def test_linear_in_the_drive_and_the_state(seed, backend):
    """Fixed Δ, B, C: scan(u, h) = scan(u, 0) + scan(0, h). The exact split rests on this."""
    p = problem(length=37, seed=seed)
    zero = {k: torch.zeros_like(p[k]) for k in ("u", "initial_state")}
    whole = selective_scan(**p, backend=backend)
    driven = selective_scan(**p | {"initial_state": zero["initial_state"]}, backend=backend)
    carried = selective_scan(**p | {"u": zero["u"]}, backend=backend)
    torch.testing.assert_close(driven + carried, whole, rtol=1e-4, atol=1e-5)


@settings(max_examples=15)
@given(t=st.integers(0, 39), seed=st.integers(0, 2**31), backend=st.sampled_from(BACKENDS))
def test_causal(t, seed, backend):
    p = problem(length=40, seed=seed)
    before = selective_scan(**p, backend=backend)
    p["u"] = p["u"].clone()
    p["u"][..., t] += 1
    changed = (selective_scan(**p, backend=backend) != before).any(0).any(0)
    assert not changed[:t].any() and changed[t]


def test_auto_says_what_it_takes_and_why():
    p = problem()
    name, why = choose_backend(p["u"], p["A"])
    assert name in ("cpu", "chunked") and len(why) > 20
    name, why = choose_backend(p["u"].double(), p["A"])
    assert name == "chunked" and "float64" in why
    name, why = choose_backend(p["u"], p["A"], return_states=True)
    assert name == "chunked" and "states" in why


def test_without_numba_auto_falls_back_and_cpu_says_what_to_install(monkeypatch):
    monkeypatch.setattr(scan.importlib.util, "find_spec", lambda name: None)
    p = problem()
    assert choose_backend(p["u"], p["A"])[0] == "chunked"
    assert relative(selective_scan(**p), truth(p)[0]) < 1e-6
    with pytest.raises(ImportError, match=r"pip install numba"):
        selective_scan(**p, backend="cpu")


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
    with pytest.raises(ValueError, match=r"cannot run this call: .*float64"):
        selective_scan(**{k: v.double() for k, v in p.items()}, backend="cpu")


def test_a_growing_state_is_warned_about_once(monkeypatch):
    monkeypatch.setattr(scan, "_warned_growing", False)
    p = problem()
    p["A"] = -p["A"] * 0.1
    with pytest.warns(UserWarning, match=r"A has entries >= 0"):
        y = selective_scan(**p)
    assert relative(y, truth(p)[0]) < 1e-6

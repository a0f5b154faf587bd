"""Properties that hold whatever the numbers: linear, causal, cut anywhere, read backwards."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.scan.conformance import HERE, INTERPRETED, TIME, by, problem, run

EXAMPLES = settings(max_examples=2 if INTERPRETED else 20)
SEEDS = st.integers(0, 2**31)
FACTORS = st.floats(-3, 3, width=32)


def between(p, start, stop):
    return {k: v[..., start:stop] if k in TIME else v for k, v in p.items()}


@pytest.mark.parametrize("backend", HERE)
@EXAMPLES
@given(length=st.integers(1, 70), cut=st.floats(0, 1), seed=SEEDS)
def test_carrying_the_state_over_any_cut_gives_the_whole(backend, length, cut, seed):
    p = problem(length=length, seed=seed)
    t = round(cut * length)
    whole, last = run(backend, p, return_last_state=True)
    a, b = between(p, 0, t), between(p, t, None)
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
    head, tail = between(p, 0, support), between(p, support, None)
    _, h = run(backend, p, return_last_state=True)
    _, start = run(backend, head, return_last_state=True)
    from_nothing = tail | {"initial_state": torch.zeros_like(start)}
    _, own = run(backend, from_nothing, return_last_state=True)
    kept = torch.exp(tail["delta"].sum(-1, keepdim=True) * p["A"]) * start
    torch.testing.assert_close(kept + own, h, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("backend", HERE)
@EXAMPLES
@given(support=st.integers(1, 20), patch=st.integers(1, 15), patches=st.integers(1, 3), seed=SEEDS)
def test_a_recap_is_reading_the_support_again(backend, support, patch, patches, seed):
    """h ← P h + H_S, P = exp(A ΣΔ) and H_S the support's last state, before every patch: the same
    as the support, from an empty start, laid out before every patch of the query."""
    p, s = problem(length=patch * patches, seed=seed), problem(length=support, seed=seed + 1)
    del p["initial_state"], s["initial_state"]
    s |= {"A": p["A"], "D": p["D"]}
    _, support_state = run(backend, s, return_last_state=True)
    keep = torch.exp(s["delta"].sum(-1, keepdim=True) * p["A"])
    ours = run(backend, p | dict(support_keep=keep, support_state=support_state, segment=patch))
    rounds = [x for i in range(patches) for x in (s, between(p, i * patch, (i + 1) * patch))]
    whole = run(backend, p | {k: torch.cat([x[k] for x in rounds], -1) for k in TIME})
    query = whole.unflatten(-1, (patches, support + patch))[..., support:].flatten(-2)
    torch.testing.assert_close(ours, query, rtol=1e-4, atol=1e-5)


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

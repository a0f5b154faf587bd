"""SRM and QIM: each identity next to its check."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hmnet_lite.mamba.hybrid import intercept, read_support, srm_literal
from hmnet_lite.scan.selective import selective_scan
from tests.mamba.parts import CORE, scans
from tests.scan.conformance import truth

BACKENDS = ("reference", "chunked", "cpu")


# ---- SRM


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_recap_is_reading_the_support_again(backend):
    """Scanning the support from any state h equals P ⊙ h + H_S."""
    support, _ = scans()
    h = torch.randn(2, 6, 4)
    _, P, H_S = read_support(*support, backend=backend)
    _, last_state = truth(dict(zip(CORE, support, strict=True), initial_state=h))
    torch.testing.assert_close(P * h + H_S, last_state.float(), rtol=1e-5, atol=1e-6)


@settings(max_examples=20)
@given(patches=st.integers(1, 5), patch=st.integers(1, 40), support=st.integers(1, 40),
       backend=st.sampled_from(BACKENDS))  # fmt: skip
def test_affine_recap_equals_the_literal_srm(patches, patch, support, backend):
    s, q = scans(support, patches * patch)
    y_support, P, H_S = read_support(*s, backend=backend)
    y = selective_scan(*q, recap=(P, H_S, patch), backend=backend)
    A, D = s[2], s[5]
    literal = srm_literal((s[0], s[1], s[3], s[4]), (q[0], q[1], q[3], q[4]), A, D, patch)
    for ours, theirs in zip((y, y_support, H_S), literal, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("backend", BACKENDS)
def test_affine_recap_has_the_literal_gradients(backend):
    inputs = [x.requires_grad_() for scan in scans() for x in scan]
    s, q = inputs[:6], inputs[6:]
    q[2], q[5] = s[2], s[5]
    _, P, H_S = read_support(*s, backend=backend)
    y = selective_scan(*q, recap=(P, H_S, 9), backend=backend)
    literal, _, _ = srm_literal(
        (s[0], s[1], s[3], s[4]), (q[0], q[1], q[3], q[4]), s[2], s[5], 9, backend="reference"
    )
    leaves = [*s, q[0], q[1], q[3], q[4]]
    w = torch.randn(y.shape)
    # the support's C and D only shape the support's own output, which is not summed here
    for ours, theirs in zip(
        torch.autograd.grad((y * w).sum(), leaves, allow_unused=True),
        torch.autograd.grad((literal * w).sum(), leaves, allow_unused=True),
        strict=True,
    ):
        if ours is None:
            assert theirs.abs().max() == 0
        else:
            torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_segments_that_do_not_divide_are_refused():
    s, q = scans()
    _, P, H_S = read_support(*s)
    with pytest.raises(ValueError, match=r"segment=10 does not divide the 36 query steps"):
        selective_scan(*q, recap=(P, H_S, 10))


# ---- QIM


def test_intercept_is_one_step_from_the_support_state_for_every_pixel():
    _, (u, delta, A, B, C, D) = scans(groups=1)
    H = torch.randn(2, 6, 4)
    y = intercept(u, delta, A, B[:, 0], C[:, 0], D, H)
    for t in range(u.shape[-1]):
        one = dict(u=u, delta=delta, A=A, B=B, C=C, D=D, initial_state=H)
        one |= {k: one[k][..., t : t + 1] for k in ("u", "delta", "B", "C")}
        torch.testing.assert_close(y[..., t : t + 1], truth(one)[0].float(), rtol=1e-5, atol=1e-5)


def test_intercept_gradients():
    _, (u, delta, A, B, C, D) = scans(query_length=3, groups=1, batch=1, channels=2, state=3,
                                      dtype=torch.float64)  # fmt: skip
    H = torch.randn(1, 2, 3, dtype=torch.float64)
    inputs = [x.requires_grad_() for x in (u, delta, A, B[:, 0], C[:, 0], D, H)]
    assert torch.autograd.gradcheck(intercept, inputs)

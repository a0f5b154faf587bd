"""SRM and QIM: each identity next to its check."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hmnet_lite.mamba.blocks import HybridMambaBlock
from hmnet_lite.mamba.hybrid import (
    intercept,
    intercept_map,
    intercept_map_each,
    one_of_many,
    read_support,
    srm_literal,
)
from hmnet_lite.mamba.mixer import MambaMixer
from hmnet_lite.mamba.ssm import SSM
from hmnet_lite.maps import resize
from hmnet_lite.record import Recorder, begin_block
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


def test_each_direction_s_state_is_met_with_its_own_parameters():
    torch.manual_seed(0)
    ssm, maps = SSM(6, 3, 1), torch.randn(2, 6, 4, 8)
    states = torch.randn(2, 4, 6, 3)
    found = intercept_map_each(ssm, maps, states, ratio=1)
    alone = []
    for k in range(4):
        one = SSM(6, 3, 1, directions=1)
        one.load_state_dict({name: x[k : k + 1] for name, x in ssm.state_dict().items()})
        alone.append(intercept_map(one, maps, states[:, k], 1))
        again = intercept_map_each(one, maps, states[:, k : k + 1], 1)
        torch.testing.assert_close(again, alone[-1], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(found, torch.stack(alone).mean(0), rtol=1e-5, atol=1e-6)
    assert not torch.allclose(found, intercept_map(ssm, maps, states.mean(1), 1), atol=1e-3)


@pytest.mark.parametrize("qim", ["shared", "each"])
def test_qim_at_full_size_lets_no_query_pixel_hear_another(qim):
    def heard(**switches):
        torch.manual_seed(0)
        block = HybridMambaBlock(8, state=3, recap_ratio=2, srm="off", qim=qim, **switches)
        query = torch.randn(1, 16, 6, 8, requires_grad=True)
        met = block.intercept(query, torch.randn(1, 4 * 16, 3))
        (grad,) = torch.autograd.grad(met[..., 2, 3].sum(), query)
        return (grad.abs().sum((0, 1)) > 0).sum().item()

    assert heard(qim_ratio=1) == 1
    assert heard() > 1  # a blend of small pixels, each of them one of large ones


# ---- several supports, and other recaps (ours)


def test_recaps_of_several_supports_are_one_recap():
    """Composed, they are the scan of all supports in a row; averaged, the mean map."""
    torch.manual_seed(0)
    supports = [scans()[0] for _ in range(3)]
    supports = [(u, d, supports[0][2], B, C, D) for u, d, _, B, C, D in supports]
    reads = [read_support(*s)[1:] for s in supports]
    keep, state = (torch.stack(x, 1).flatten(0, 1) for x in zip(*reads, strict=True))
    row = [torch.cat(x, -1) for x in zip(*((u, d, B, C) for u, d, _, B, C, _ in supports),
                                         strict=True)]  # fmt: skip
    _, P, H = read_support(row[0], row[1], supports[0][2], row[2], row[3])
    composed = one_of_many(keep, state, 3, "recaps")
    torch.testing.assert_close(composed[0], P, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(composed[1], H, rtol=1e-5, atol=1e-5)
    averaged = one_of_many(keep, state, 3, "states")
    torch.testing.assert_close(averaged[1], torch.stack([s for _, s in reads]).mean(0))


@pytest.mark.parametrize("shots", ["states", "recaps"])
def test_one_support_is_the_same_however_several_would_be_read(shots):
    torch.manual_seed(0)
    mixers = [MambaMixer(16, 4, state=3, recap_ratio=2, pool_shots=s) for s in ("features", shots)]
    mixers[1].load_state_dict(mixers[0].state_dict())
    query, support = torch.randn(2, 2, 16, 6, 6)
    torch.testing.assert_close(mixers[0](query, support), mixers[1](query, support[:, None]))
    thrice = support[:, None].expand(-1, 3, -1, -1, -1)
    same = torch.allclose(mixers[0](query, support), mixers[1](query, thrice), atol=1e-5)
    assert same == (shots == "states"), "the same support three times: its mean state is its own"


def test_what_a_recap_keeps_is_a_switch():
    """Reset: every patch begins at H_S, so no patch hears an earlier one. Add: all is kept."""
    torch.manual_seed(0)
    query, support = torch.randn(2, 1, 16, 6, 6)
    other = query.clone()
    other[..., :3, :3] += 1  # the first patch of the first two directions
    heard = {}
    for kind in ("affine", "reset", "add"):
        block = HybridMambaBlock(8, state=3, recap_ratio=2, qim="off", recap=kind, directions=1)
        torch.nn.init.constant_(block.ssm.delta_bias, -4.0)  # it remembers
        block.load_state_dict(heard.setdefault("weights", block.state_dict()))
        a, b = (block.core(x, support)[0][..., 3:, 3:] for x in (query, other))
        heard[kind] = (a - b).abs().max().item()
    assert heard["reset"] == 0 < heard["affine"] < heard["add"]


def test_the_support_can_be_read_at_another_size_than_the_patches():
    block = HybridMambaBlock(8, state=3, recap_ratio=4, support_ratio=2, qim="off")
    assert (block.patch_ratio, block.shrink_ratio) == (4, 2)
    with Recorder() as seen:
        begin_block()
        y, _ = block.core(*torch.randn(2, 1, 16, 8, 8))
    assert y.shape == (1, 16, 8, 8)
    assert seen.blocks[0]["scan_in_support_small"].shape[-2:] == (4, 4)


# ---- the query's parameters, generated from the support (the paper's appendix E)


@pytest.mark.parametrize("backend", BACKENDS)
def test_generated_parameters_begin_as_none_and_equal_their_definition(backend):
    """Δ, B and C of every query pixel moved by what the support's mean says; zero at first."""
    torch.manual_seed(0)
    sizes = dict(state=3, recap_ratio=2, qim="off", backend=backend)
    plain, block = HybridMambaBlock(8, **sizes), HybridMambaBlock(8, **sizes, generated=True)
    assert block.load_state_dict(plain.state_dict(), strict=False).missing_keys == ["generate"]
    query, support = torch.randn(2, 3, 16, 6, 6)
    assert torch.equal(block.core(query, support)[0], plain.core(query, support)[0])

    torch.nn.init.normal_(block.generate, std=0.1)
    y, _ = block.core(query, support)
    moved = torch.einsum("bc,krc->bkr", support.mean((-2, -1)), block.generate)
    literal = plain.ssm.read(query)
    ssm, rank, n = plain.ssm, plain.ssm.rank, 3
    for i, name in enumerate(("low_rank", "B", "C")):
        part = moved[..., [slice(rank), slice(rank, rank + n), slice(rank + n, None)][i]]
        object.__setattr__(literal, name, getattr(literal, name) + part[:, :, None])
    small = ssm.read(resize(support, 3, 3))
    _, state = small.scan_sequences(last_state=True, backend="reference")
    recap = small.support_keep(), state
    expected, _ = literal.scan_sequences(2, recap=recap, backend="reference")
    torch.testing.assert_close(y, expected, rtol=1e-5, atol=1e-5)
    y.square().sum().backward()
    assert block.generate.grad.abs().min() > 0


def test_generated_parameters_of_several_supports_are_of_their_mean():
    torch.manual_seed(0)
    mixer = MambaMixer(16, 2, state=3, recap_ratio=2, generated=True, pool_shots="states")
    torch.nn.init.normal_(mixer.blocks[1].generate, std=0.1)
    query, support = torch.randn(2, 2, 16, 6, 6)
    thrice = support[:, None].expand(-1, 3, -1, -1, -1)
    torch.testing.assert_close(mixer(query, support[:, None]), mixer(query, thrice))

"""Traversals, SRM, QIM, blocks and the state split: each identity next to its check."""

from functools import partial
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hmnet_lite import MambaMixer
from hmnet_lite.analysis.split import one_direction, split_state
from hmnet_lite.mamba.blocks import HybridMambaBlock, SelfMambaBlock
from hmnet_lite.mamba.hybrid import intercept, read_support, srm_literal
from hmnet_lite.mamba.ssm import MapReading
from hmnet_lite.maps import (
    from_sequences,
    inside,
    patch_size,
    patch_starts,
    reading_order,
    to_sequences,
)
from hmnet_lite.record import Recorder
from hmnet_lite.scan.map_scan import reads_maps
from hmnet_lite.scan.selective import reference_scan, selective_scan
from tests.scan.conformance import problem, truth

BACKENDS = ("reference", "chunked", "cpu")
CORE = ("u", "delta", "A", "B", "C", "D")


def scans(support_length=9, query_length=36, **kwargs):
    """Arguments (u, delta, A, B, C, D) of a support and a query scan that share A and D."""
    support = problem(length=support_length, seed=1, **kwargs)
    query = problem(length=query_length, seed=2, **kwargs) | {k: support[k] for k in "AD"}
    return tuple(support[k] for k in CORE), tuple(query[k] for k in CORE)


# ---- traversals


def test_reading_orders_of_a_small_map_by_hand():
    assert reading_order(2, 3).tolist() == [
        [0, 1, 2, 3, 4, 5], [0, 3, 1, 4, 2, 5], [5, 4, 3, 2, 1, 0], [5, 2, 4, 1, 3, 0],
    ]  # fmt: skip
    # 4 x 4 in 2 x 2 patches: patches and pixels by rows, then both by columns
    rows, columns, *_ = reading_order(4, 4, 2).tolist()
    assert rows == [0, 1, 4, 5, 2, 3, 6, 7, 8, 9, 12, 13, 10, 11, 14, 15]
    assert columns == [0, 4, 1, 5, 8, 12, 9, 13, 2, 6, 3, 7, 10, 14, 11, 15]


SIDES = st.integers(4, 11)
RATIOS = st.integers(1, 4)


@given(SIDES, SIDES, RATIOS)
def test_orders_visit_every_pixel_once_and_patches_in_one_run(height, width, ratio):
    order, starts = reading_order(height, width, ratio), patch_starts(height, width, ratio)
    assert (order.sort(dim=1).values == torch.arange(height * width)).all()
    h, w = patch_size(height, width, ratio)
    across = -(-width // w)
    for line, begin in zip(order, starts.tolist(), strict=True):
        patch = line // width // h * across + line % width // w
        runs = [patch[i:j].unique().tolist() for i, j in pairwise(begin)]
        assert sorted(runs) == [[i] for i in range(across * -(-height // h))]
    # directions 2 and 3 are 0 and 1 read backwards, patches and all
    assert torch.equal(order[2:], order[:2].flip(-1))
    assert torch.equal(starts[2:], height * width - starts[:2].flip(-1))


@given(SIDES, SIDES, RATIOS)
def test_sequences_and_back_is_the_identity(height, width, ratio):
    x = torch.randn(2, 3, height, width)
    lines = to_sequences(x, ratio)
    back = from_sequences(lines, height, width, ratio)
    assert len(back) == 4 and all(torch.equal(y, x) for y in back)
    real, order = inside(height, width, ratio), reading_order(height, width, ratio)
    for k in range(4):
        assert torch.equal(lines[:, k][..., real[k]], x.flatten(2)[..., order[k]])
        assert (lines[:, k][..., ~real[k]] == 0).all()


def test_an_uneven_map_by_hand():
    """3 × 5 at α = 2: patches of 2 × 3, the lower ones one row high, the right ones two wide."""
    assert reading_order(3, 5, 2)[0].tolist() == [
        0, 1, 2, 5, 6, 7, 3, 4, 8, 9, 10, 11, 12, 13, 14,
    ]  # fmt: skip
    assert patch_starts(3, 5, 2)[0].tolist() == [0, 6, 10, 13, 15]
    assert to_sequences(torch.ones(1, 1, 3, 5), 2)[0, 0, 0].tolist() == [
        1, 1, 1, 1, 1, 1, 1, 1, 0, 1, 1, 0, 1, 1, 1, 0, 0, 0, 1, 1, 0, 0, 0, 0,
    ]  # fmt: skip


@pytest.mark.parametrize("size, ratio", [((3, 8), 4), ((8, 3), 4), ((8, 8), 0)])
def test_maps_smaller_than_the_ratio_are_refused(size, ratio):
    with pytest.raises(ValueError, match=f"cannot be cut with a recap ratio of {ratio}: .*enlarge"):
        to_sequences(torch.zeros(1, 1, *size), ratio)


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


# ---- the exact split


@pytest.mark.parametrize("segment", [0, 9])
def test_state_splits_exactly(segment):
    s, q = scans()
    split = split_state(s, q, segment=segment)
    line = [list(q), list(s)]
    if segment:  # the literal line: the support before every patch
        pieces = []
        for i in range(0, 36, segment):
            pieces += [s, tuple(x[..., i : i + segment] if x.ndim > 2 else x for x in q)]
    else:
        pieces = [s, q]
    line = {
        k: torch.cat([p[i] for p in pieces], -1) if i not in (2, 5) else s[i]
        for i, k in enumerate(CORE)
    }
    states = reference_scan(*(line[k].double() for k in CORE), return_states=True)[2].float()
    kept, start = [], 0
    for piece in pieces:
        stop = start + piece[0].shape[-1]
        if piece is not s:
            kept.append(states[:, :, start:stop])
        start = stop
    torch.testing.assert_close(split.whole, torch.cat(kept, 2), rtol=1e-5, atol=1e-5)


def test_share_and_cosine_mean_what_they_say():
    s, q = scans()
    silent = (torch.zeros_like(q[0]), *q[1:])  # a query that writes nothing
    split = split_state(s, silent)
    assert torch.allclose(split.support_share(), torch.ones(2, 36))
    mute = (torch.zeros_like(s[0]), *s[1:])  # a support that writes nothing
    assert torch.allclose(split_state(mute, q).support_share(), torch.zeros(2, 36))
    still = (silent[0], torch.zeros_like(q[1]), *q[2:])  # and no decay: the state stays H_S
    assert torch.allclose(split_state(s, still).cosine(), torch.ones(2, 36))
    with pytest.raises(ValueError, match=r"batch and channels must agree"):
        split_state(tuple(x[:1] for x in s), q)


def test_kept_and_written_are_the_parts_over_the_start():
    s, q = scans()
    split = split_state(s, q)
    kept, written = split.support_kept(), split.query_written()
    start = split.start.flatten(1).norm(dim=1)
    for part, ratio in ((split.support, kept), (split.query, written)):
        assert torch.allclose(ratio[:, 20], part[:, :, 20].flatten(1).norm(dim=1) / start)
    torch.testing.assert_close(split.support_share(), kept / (kept + written))
    assert (kept.diff(dim=1) <= 0).all()  # without recaps the support's part only decays


def test_recaps_keep_more_of_the_support_than_reading_it_once():
    s, q = scans(support_length=9, query_length=360)
    once, recapped = split_state(s, q), split_state(s, q, segment=9)
    late = slice(180, None)
    assert recapped.support_share()[:, late].mean() > 2 * once.support_share()[:, late].mean()


# ---- blocks and mixer


def small_mixer(**kwargs):
    torch.manual_seed(0)
    return MambaMixer(16, 2, state=4, recap_ratio=2, **kwargs)


def test_mixer_alternates_self_and_hybrid():
    kinds = [type(block) for block in MambaMixer(16, 5).blocks]
    assert kinds == [SelfMambaBlock, HybridMambaBlock] * 2 + [SelfMambaBlock]


def test_recording_changes_nothing_and_splits():
    mixer = small_mixer()
    query, support = torch.randn(2, 2, 16, 4, 6).unbind(0)
    with Recorder() as seen:
        heard = mixer(query, support)
    assert torch.equal(mixer(query, support), heard)
    self_block, hybrid = seen.blocks
    assert self_block["query"].shape == (2, 4, 6, 16) and len(self_block["query_scan"]()) == 6
    scans = [hybrid[name]() for name in ("support_scan", "query_scan")]
    split = split_state(*(one_direction(scan, 2) for scan in scans), segment=6)
    assert split.whole.shape == (2, 32, 24, 4)
    mixer(query, support)
    assert len(seen.blocks) == 2, "a closed recorder hears nothing"


@pytest.mark.parametrize("size", [(8, 8), (5, 7)])
def test_what_is_recorded_is_what_the_result_was_made_of(size):
    torch.manual_seed(0)
    block = HybridMambaBlock(8, state=3, recap_ratio=2)
    query, support = torch.randn(2, 1, *size, 8).unbind(0)
    with Recorder() as seen:
        block(query, support)
    (record,) = seen.blocks
    keep, state = record["support_keep"], record["support_state"]
    patch = patch_size(*size, 2)
    scan = record["query_scan"]()
    y = selective_scan(*scan, recap=(keep, state, patch[0] * patch[1]), backend="reference")
    y = sum(from_sequences(y.unflatten(1, (4, 16)), *size, 2))
    torch.testing.assert_close(y, record["srm_query"], rtol=1e-5, atol=1e-5)
    _, *read = read_support(*record["support_scan"](), backend="reference")
    torch.testing.assert_close(tuple(read), (keep, state), rtol=1e-5, atol=1e-6)


def test_the_query_reads_the_support_and_depth_0_does_not():
    query, support = torch.randn(2, 1, 16, 4, 4).unbind(0)
    for depth, reads in ((0, False), (1, False), (2, True)):
        torch.manual_seed(0)
        mixer = MambaMixer(16, depth, recap_ratio=2)
        assert torch.equal(mixer(query, support), mixer(query, 2 * support)) != reads


def test_an_all_zero_support_is_defined():
    """Biases still write a state; the output is finite and depends on the query alone."""
    query = torch.randn(1, 16, 4, 4)
    assert torch.isfinite(small_mixer()(query, torch.zeros_like(query))).all()


@pytest.mark.parametrize(
    "query, support, message",
    [
        ((1, 8, 4, 4), (1, 16, 4, 4), r"query has shape \(1, 8, 4, 4\); expected \(batch, 16"),
        ((1, 16, 4, 4), (2, 16, 4, 4), "they must agree"),
        ((1, 16, 4, 4), (1, 16, 8, 8), "average the support over its shots and resize"),
        ((1, 16, 1, 4), (1, 16, 1, 4), "a 1 × 4 map cannot be cut with a recap ratio of 2"),
    ],
)
def test_maps_that_do_not_fit_are_refused(query, support, message):
    with pytest.raises(ValueError, match=message):
        small_mixer()(torch.zeros(query), torch.zeros(support))


@pytest.mark.parametrize(
    "wrong, message",
    [
        (dict(recap_ratio=0), "recap_ratio=0"),
        (dict(srm="never"), r"srm='never'; expected one of \('recap', 'basic', 'off'\)"),
        (dict(qim="no"), r"qim='no'; expected one of"),
        (dict(directions=3), r"directions=3; expected one of \(1, 2, 4\)"),
    ],
)
def test_bad_mixer_arguments_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        MambaMixer(16, 2, **wrong)


# ---- two ways to run a block's core


def _by(way, reading, ratio=1, recap=None, last_state=False):
    options = dict(last_state=last_state) if way is MapReading.scan_sequences else {}
    return way(reading, ratio, recap=recap, **options)


def cores(block, size, *, gradients=True):
    """(name, value in place, value by sequences) of both outputs and of every gradient."""
    torch.manual_seed(1)
    maps = torch.randn(2, 2, 2 * 16, *size).unbind(0)
    weights = torch.randn(2, 2, 2 * 16, *size)
    results = []
    ways = (MapReading.scan_in_place, MapReading.scan_sequences)
    for way in ways:
        # channels-last in memory, as a block makes them
        leaves = [x.contiguous(memory_format=torch.channels_last).requires_grad_() for x in maps]
        block.scan = partial(_by, way)
        outputs = block.core(*leaves)
        named = dict(zip(("out_query", "out_support"), outputs, strict=True))
        if gradients:
            total = sum((w * y).sum() for w, y in zip(weights, outputs, strict=True))
            own = [(n, p) for n, p in block.named_parameters() if n.startswith("ssm")]
            names = ["query", "support", *(n for n, _ in own)]
            inputs = [*leaves, *(p for _, p in own)]
            named |= zip(names, torch.autograd.grad(total, inputs), strict=True)
        results.append(named)
    return [(name, results[0][name], results[1][name]) for name in results[0]]


KINDS = [
    (SelfMambaBlock, {}, (5, 7)),
    (SelfMambaBlock, dict(directions=1), (4, 6)),
    (HybridMambaBlock, {}, (8, 8)),
    (HybridMambaBlock, dict(recap_ratio=3), (7, 11)),
    (HybridMambaBlock, dict(recap_ratio=2, directions=2, detach_support_state=False), (5, 6)),
    (HybridMambaBlock, dict(srm="basic", recap_ratio=2, qim="own"), (5, 6)),
    (HybridMambaBlock, dict(srm="off", recap_ratio=2, published_skip=True), (5, 6)),
    (HybridMambaBlock, dict(qim="off", recap_ratio=2), (5, 6)),
]


@pytest.mark.parametrize("kind, options, size", KINDS)
def test_reading_in_place_equals_laying_out_sequences(kind, options, size):
    torch.manual_seed(0)
    block = kind(16, state=5, **options)
    torch.nn.init.uniform_(block.ssm.D)  # apart, so that a mixed-up direction shows
    for name, ours, readable in cores(block, size):
        error = (ours - readable).abs().max() / readable.abs().max()
        assert error < 1e-5, f"{name}: {error:.1e}"


def test_an_uneven_map_is_scanned_patch_by_patch_without_its_padding():
    """Against SRM written down once more: only real pixels, a recap before each patch."""
    torch.manual_seed(0)
    block = HybridMambaBlock(8, state=3, recap_ratio=2, qim="off")
    query, support = torch.randn(2, 1, 16, 5, 7).unbind(0)
    ours, _ = block.core(query, support)
    order, starts = reading_order(5, 7, 2), patch_starts(5, 7, 2).tolist()
    small = to_sequences(torch.nn.functional.interpolate(
        support, patch_size(5, 7, 2), mode="bilinear", align_corners=True))  # fmt: skip
    u, delta, A, B, C, D = block.ssm(query.flatten(2)[:, :, order].transpose(1, 2))
    expected = torch.zeros(16, 35)
    for k in range(4):
        one = slice(16 * k, 16 * (k + 1))
        read = one_direction(block.ssm(small), k)
        h = torch.zeros(1, 16, 3)
        for i, j in pairwise(starts[k]):
            _, h = selective_scan(*read, initial_state=h, return_last_state=True)
            y, h = selective_scan(
                u[:, one, i:j], delta[:, one, i:j], A[one], B[:, k : k + 1, :, i:j],
                C[:, k : k + 1, :, i:j], D[one], initial_state=h, return_last_state=True,
            )  # fmt: skip
            expected[:, order[k, i:j]] += y[0]
    torch.testing.assert_close(ours[0].flatten(1), expected, rtol=1e-5, atol=1e-5)


def test_the_core_reads_in_place_where_the_compiled_scan_serves():
    x, double = torch.randn(1, 16, 4, 4), torch.randn(1, 16, 4, 4, dtype=torch.float64)
    for backend, in_place in (("auto", True), ("cpu", True), ("chunked", False)):
        assert reads_maps(x, backend) == in_place
    assert not reads_maps(double)


def test_an_evaluation_does_not_spoil_the_training_after_it():
    """Orders are remembered between calls; made in inference mode they must still serve."""
    mixer, x = small_mixer(), torch.randn(1, 16, 14, 6)
    with torch.inference_mode():
        mixer(x, x)
    assert not reading_order(14, 6, 2).is_inference()
    mixer(x, x).sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in mixer.blocks[1].ssm.parameters())


# ---- ablations


def reads_support(mixer):
    query, support = torch.randn(2, 1, 16, 4, 6).unbind(0)
    return not torch.equal(mixer(query, support), mixer(query, support.flip(1)))


@pytest.mark.parametrize("directions", [1, 2, 4])
@pytest.mark.parametrize("srm", ["recap", "basic", "off"])
@pytest.mark.parametrize("qim", ["shared", "own", "off"])
def test_switches(srm, qim, directions):
    mixer = small_mixer(srm=srm, qim=qim, directions=directions)
    mixed = srm != "off" or qim != "off"
    assert isinstance(mixer.blocks[1], HybridMambaBlock) == mixed
    assert reads_support(mixer) == mixed
    own = [name for name, _ in mixer.named_parameters() if "ssm_qim" in name]
    assert bool(own) == (qim == "own" and mixed)
    assert len(mixer.blocks[1].ssm.D) == directions
    query = torch.randn(1, 16, 4, 6)
    with Recorder() as seen:
        mixer(query, query)
    assert seen.blocks[1]["query_scan"]()[3].shape[1] == directions


def test_basic_srm_is_cross_mamba_by_concatenation():
    """srm="basic" is one scan of [support, query] at full size."""
    torch.manual_seed(0)
    block = HybridMambaBlock(8, state=3, srm="basic", qim="off")
    query, support = torch.randn(2, 1, 16, 4, 5).unbind(0)
    ours, _ = block.core(query, support)
    u, delta, A, B, C, D = block.ssm(
        torch.cat([to_sequences(support), to_sequences(query)], dim=-1)
    )
    y = selective_scan(u, delta, A, B, C, D, backend="reference")[..., 20:]
    expected = sum(from_sequences(y.unflatten(1, (4, 16)), 4, 5))
    torch.testing.assert_close(ours, expected, rtol=1e-5, atol=1e-5)

"""The mixer: its blocks, its switches, what a recorder hears, what it refuses."""

import pytest
import torch

from hmnet_lite import MambaMixer
from hmnet_lite.analysis.split import one_direction, split_state
from hmnet_lite.mamba.blocks import HybridMambaBlock, SelfMambaBlock
from hmnet_lite.mamba.hybrid import read_support
from hmnet_lite.maps import (
    from_sequences,
    patch_size,
    to_sequences,
)
from hmnet_lite.record import Recorder
from hmnet_lite.scan.selective import selective_scan
from tests.mamba.parts import small_mixer


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


def test_a_kept_support_comes_out_beside_the_same_query():
    torch.manual_seed(0)
    plain, keeping = small_mixer(), small_mixer(keep_support=True)
    keeping.load_state_dict(plain.state_dict())
    query, support = torch.randn(2, 2, plain.config.dim, 8, 8)
    mixed, none = plain.both(query, support)
    same, kept = keeping.both(query, support)
    assert none is None and torch.equal(mixed, same) and torch.equal(mixed, keeping(query, support))
    assert kept.shape == support.shape
    parts = [part for block in keeping.blocks for part in block.unread_parts()]
    kept.square().sum().backward()
    assert all(p.grad is not None for part in parts for p in part.parameters())


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


@pytest.mark.parametrize("kinds", ["df", "fd", "dd", "ll"])
def test_numbers_of_another_kind_than_the_weights_are_refused(kinds):
    dtype = {"f": torch.float32, "d": torch.float64, "l": torch.int64}
    query, support = (torch.ones(1, 16, 4, 4, dtype=dtype[k]) for k in kinds)
    with pytest.raises(TypeError, match=r"and the mixer torch.float32; expected one kind of fl"):
        small_mixer()(query, support)


def test_shapes_can_be_asked_for_without_numbers():
    maps = torch.empty(2, 16, 5, 7, device="meta")
    assert small_mixer().to("meta")(maps, maps).shape == maps.shape
    with pytest.raises(ValueError, match="query is on meta and the mixer on cpu"):
        small_mixer()(maps, maps)


@pytest.mark.parametrize(
    "wrong, message",
    [
        (dict(recap_ratio=0), "recap_ratio=0"),
        (dict(srm="never"), r"srm='never'; expected one of \('recap', 'basic', 'off'\)"),
        (dict(qim="no"), r"qim='no'; expected one of"),
        (dict(support_ratio=0), "support_ratio=0; expected 1 to 1,024, or None"),
        (dict(qim_ratio=0), "qim_ratio=0; expected 1 to 1,024, or None"),
        (dict(recap="forget"), r"recap='forget'; expected one of \('affine', 'reset', 'add'\)"),
        (dict(pool_shots="sum"), r"pool_shots='sum'; expected one of"),
        (dict(generated=True, srm="off", qim="off"), "no block reads the support"),
        (dict(directions=3), r"directions=3; expected one of \(1, 2, 4\)"),
    ],
)
def test_bad_mixer_arguments_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        MambaMixer(16, 2, **wrong)


# ---- ablations


def reads_support(mixer):
    query, support = torch.randn(2, 1, 16, 4, 6).unbind(0)
    return not torch.equal(mixer(query, support), mixer(query, support.flip(1)))


@pytest.mark.parametrize("directions", [1, 2, 4])
@pytest.mark.parametrize("srm", ["recap", "basic", "off"])
@pytest.mark.parametrize("qim", ["shared", "own", "each", "off"])
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

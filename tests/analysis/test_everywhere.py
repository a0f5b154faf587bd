"""Every analysis runs on a folder of pictures and on the published network, and its sums hold.

HMNet-lite with each kind of hybrid block on a folder of pictures, and the published network with
synthetic weights, of two hybrid blocks.
"""

import pytest
import torch

from hmnet_lite.analysis.attention import implicit_attention, intercepted
from hmnet_lite.analysis.forgetting import forgetting
from hmnet_lite.analysis.fused_pca import fit_basis, to_prototype
from hmnet_lite.analysis.fusion import fusions
from hmnet_lite.analysis.rollout import core_map, sizes
from hmnet_lite.analysis.similarity import (
    around,
    centred,
    controls,
    in_common,
    similarity,
    stages,
)
from hmnet_lite.analysis.split import heard, one_direction, split_output, split_state
from tests.analysis.conftest import KINDS


@pytest.fixture(params=[*KINDS, "published"])
def looked(request, looks):
    known = request.param in looks
    return looks[request.param] if known else request.getfixturevalue("published")


def blocks(looked):
    """(look, hybrid block) of each."""
    return [(looked, hybrid) for hybrid in looked.hybrid]


def test_states_and_outputs_are_split(looked):
    for _, hybrid in blocks(looked):
        scans = [one_direction(scan, 2) for scan in hybrid.scans()[:2]]
        patch = hybrid.scans()[2]
        recapped = patch if hybrid.block.patch_ratio > 1 else 0
        state = split_state(*scans, segment=recapped)
        ends = forgetting(hybrid).whole[:, 2, :, -1]
        torch.testing.assert_close(state.whole[:, :, -1], ends, rtol=1e-4, atol=1e-5)
        marked = torch.ones(len(ends), 1, scans[1][0].shape[-1])
        parts = split_output(*scans, marked, segment=recapped)
        assert (parts["rest"].abs() < 1e-6).all(), "all are marked"
        found = implicit_attention(*scans, segment=recapped)
        y = found.output(scans[0][0], scans[1][0]) + parts["skip"]
        assert (sum(parts.values()) - y).abs().max() < 1e-4 * y.abs().max()


def test_one_pixel_s_writers_are_its_row(looked):
    for _, hybrid in blocks(looked):
        ratio, pixel = hybrid.block.patch_ratio, (3, 5)
        support, query, _ = hybrid.scans()
        of = hybrid.support_size(), hybrid.size
        maps = heard(support, query, pixel, of, ratio=ratio)
        u = hybrid.record["scan_in_query"][:, :, *pixel]
        skip = query[5].view(-1, u.shape[1]).sum(0) * u  # D u of all directions
        y = sum(m.sum((2, 3)) for m in maps) + skip
        expected = hybrid.record["srm_query"][:, :, *pixel]
        assert (y - expected).abs().max() < 1e-4 * expected.abs().max()
        if hybrid.block.config.qim != "off":
            parts = intercepted(hybrid)
            y = parts.support.sum(-1) + parts.own + parts.skip
            assert torch.allclose(y, hybrid.record["qim_query"], rtol=1e-3, atol=1e-4)


def test_likeness_is_measured_in_both_places(looked):
    for seen, hybrid in blocks(looked):
        support = hybrid.record["scan_in_support"]
        told = similarity(stages(hybrid) | controls(hybrid, seen), support, seen)
        whole, read = around(hybrid, seen)
        assert whole["before"].shape == whole["after"].shape == read.shape
        told |= similarity(whole, read, seen)
        assert all(x.isfinite().all() and (x.abs() <= 1 + 1e-5).all() for x in told.values())
        common = in_common(whole["after"])
        assert ((common >= 0) & (common <= 1 + 1e-5)).all()
        assert centred(support).mean((2, 3)).abs().max() < 1e-6


def test_what_goes_into_a_block_comes_out_of_the_one_before(looked):
    for seen, hybrid in blocks(looked):
        whole, read = around(hybrid, seen)
        before = seen.blocks[hybrid.index - 1].record
        assert torch.equal(whole["before"], before["query"].permute(0, 3, 1, 2))
        assert torch.equal(read, before["support"].permute(0, 3, 1, 2))


def test_fusions_are_drawn_in_one_basis(looked):
    for seen, hybrid in blocks(looked):
        found = fusions(hybrid, seen.support_class)
        basis = fit_basis(found.values())
        colours = basis.colours(found["SRM"])
        assert colours.shape == (*seen.query_class.shape, 3) and basis.explained.sum() <= 1 + 1e-9
        likeness = to_prototype(found["SRM"], hybrid.record["scan_in_support"], seen.support_class)
        assert likeness.isfinite().all()


def test_a_core_is_the_sum_of_its_map(looked):
    _, hybrid = blocks(looked)[-1]
    parts = core_map(hybrid).query
    y = list(stages(hybrid).values())[-1][0].flatten(1)
    assert (parts.sum(2) - y).abs().max() < 1e-4 * y.abs().max()
    rows = sizes(parts).sum(1)
    assert torch.allclose(rows, torch.ones_like(rows), atol=1e-4)


def test_the_published_network_has_two_hybrid_blocks(published):
    assert [hybrid.index for hybrid in published.hybrid] == [1, 3]

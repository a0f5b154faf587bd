"""The output, taken apart writer by writer and pixel by pixel, adds up again."""

import pytest
import torch

from hmnet_lite.analysis.split import contributions, heard, one_direction, split_output
from hmnet_lite.mamba.blocks import HybridMambaBlock
from hmnet_lite.mamba.hybrid import read_support
from hmnet_lite.maps import from_sequences
from hmnet_lite.record import Recorder
from hmnet_lite.scan.selective import selective_scan


@pytest.fixture(scope="module")
def scans():
    """A hybrid block that read a 4 × 8 query at α = 2, in double precision."""
    torch.manual_seed(0)
    block = HybridMambaBlock(4, state=3, recap_ratio=2).double()
    maps = torch.randn(2, 2, 4, 8, 4, dtype=torch.float64)
    with torch.no_grad(), Recorder() as seen:
        block(*maps)
    return {name: seen.blocks[0][name]() for name in ("support_scan", "query_scan")}


def y_of(support, query, segment):
    _, P, H_S = read_support(*support)
    return selective_scan(*query, recap=(P, H_S, segment), backend="reference")


@pytest.mark.parametrize("segment", [0, 8])
def test_the_output_is_the_sum_of_its_writers(scans, segment):
    support, query = scans["support_scan"], scans["query_scan"]
    marked = torch.zeros(2, 4, 32)
    marked[:, :, 3:9] = 1
    parts = split_output(support, query, marked, segment=segment)
    assert list(parts) == ["support", "own", "marked", "rest", "skip"]
    assert torch.allclose(sum(parts.values()), y_of(support, query, segment or 32))
    early = parts["marked"][..., :4].abs().max()
    assert early < 1e-12, "no marked pixel is earlier than step 3, which is not earlier than itself"
    assert (parts["marked"][..., 4:].abs() > 0).all()
    assert parts["rest"][..., 0].abs().max() < 1e-12, "the first step has no earlier one"


def test_parts_follow_what_is_silenced(scans):
    """Without the support's input its part is gone and the others are as before."""
    support, query = scans["support_scan"], scans["query_scan"]
    marked = torch.zeros(2, 4, 32)
    marked[:, :, ::2] = 1
    parts = split_output(support, query, marked, segment=8)
    silent = (torch.zeros_like(support[0]), *support[1:])
    without = split_output(silent, query, marked, segment=8)
    assert (without["support"] == 0).all()
    assert all(torch.equal(without[k], parts[k]) for k in parts if k != "support")


def test_marks_must_fit(scans):
    with pytest.raises(ValueError, match=r"marked is \(2, 32\).*\(2, 4, 32\)"):
        split_output(scans["support_scan"], scans["query_scan"], torch.zeros(2, 32))
    small = tuple(x[:1] if x.ndim > 2 else x for x in scans["support_scan"])
    with pytest.raises(ValueError, match=r"batch and channels must agree"):
        split_output(small, scans["query_scan"], torch.zeros(2, 4, 32))


@pytest.mark.parametrize("segment", [0, 8])
@pytest.mark.parametrize("step", [0, 7, 8, 21, 31])
def test_every_pixel_s_contribution_is_the_output_s_change_with_it(scans, segment, step):
    """Linear: the contribution of pixel s is the output with it minus the output without it."""
    scans = [one_direction(scans[f"{kind}_scan"], 1) for kind in ("support", "query")]
    given = contributions(*scans, step, segment=segment)
    full = y_of(*scans, segment or 32)[..., step]
    for which, (scan, own) in enumerate(zip(scans, given, strict=True)):
        for pixel in (0, 2, 5, step):
            if pixel >= scan[0].shape[-1]:
                continue
            u = scan[0].clone()
            u[..., pixel] = 0
            silenced = [*scans]
            silenced[which] = (u, *scan[1:])
            change = full - y_of(*silenced, segment or 32)[..., step]
            if which == 1 and pixel == step:  # its skip D u is not a contribution
                change = change - scan[5] * scan[0][..., step]
            assert torch.allclose(own[..., pixel], change)
    assert (given[1][..., step + 1 :] == 0).all()


def test_there_must_be_such_a_step(scans):
    scans = [one_direction(scans[f"{kind}_scan"], 0) for kind in ("support", "query")]
    with pytest.raises(ValueError, match="step is 32; expected 0 to 31"):
        contributions(*scans, 32)


@pytest.mark.parametrize("pixel", [(0, 0), (2, 5)])
def test_heard_adds_up_to_the_block_s_output(scans, pixel):
    support, query = scans["support_scan"], scans["query_scan"]
    maps = heard(support, query, pixel, ((2, 4), (4, 8)), ratio=2)
    assert [tuple(m.shape) for m in maps] == [(2, 8, 2, 4), (2, 8, 4, 8)]
    y = y_of(support, query, 8) - query[5][:, None] * query[0]
    out = sum(from_sequences(y.unflatten(1, (4, -1)), 4, 8, 2))
    assert torch.allclose(sum(m.sum((-2, -1)) for m in maps), out[:, :, pixel[0], pixel[1]])


def test_a_single_reading_is_cross_mamba(scans):
    scans = [one_direction(scans[f"{kind}_scan"], 2) for kind in ("support", "query")]
    _, H_S = selective_scan(*scans[0], return_last_state=True, backend="reference")
    y = selective_scan(*scans[1], initial_state=H_S, backend="reference")
    support, query = contributions(*scans, 12)
    total = support.sum(-1) + query.sum(-1) + scans[1][5] * scans[1][0][..., 12]
    assert torch.allclose(total, y[..., 12])

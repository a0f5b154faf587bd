"""The implicit attention gives the output back; QIM hears no other query pixel."""

import pytest
import torch

from hmnet_lite.analysis.attention import implicit_attention, intercepted
from hmnet_lite.analysis.split import contributions, heard, heard_by_direction, one_direction
from hmnet_lite.mamba.hybrid import intercept, read_support
from hmnet_lite.scan.selective import selective_scan
from tests.mamba.parts import scans

CPU = ("reference", "chunked", "cpu")


def of(hybrid, k, ratio=None):
    support, query, patch = hybrid.scans(ratio)
    return one_direction(support, k), one_direction(query, k), patch


@pytest.mark.parametrize("backend", CPU)
@pytest.mark.parametrize("k", [0, 3])
@pytest.mark.parametrize("ratio", [1, 2, 4])
def test_the_matrices_give_the_output_back(seen, ratio, k, backend):
    support, query, patch = of(seen.hybrid[0], k, ratio)
    found = implicit_attention(support, query, segment=patch if ratio > 1 else 0)
    _, P, H_S = read_support(*support, backend=backend)
    y = selective_scan(*query, recap=(P, H_S, patch), backend=backend)
    rows = found.output(support[0], query[0]) + query[5][:, None] * query[0]
    assert (rows - y).abs().max() < 1e-4 * y.abs().max()
    late = torch.ones(64, 64).triu(1).bool()
    assert (found.query[..., late] == 0).all(), "nobody hears what has not been read"


def test_its_rows_are_the_contributions(seen):
    support, query, patch = of(seen.hybrid[0], 1)
    found = implicit_attention(support, query, segment=patch)
    for step in (0, 20, 63):
        ours = (m[:, :, step] * u[0] for m, u in ((found.support, support), (found.query, query)))
        for x, y in zip(ours, contributions(support, query, step, segment=patch), strict=True):
            torch.testing.assert_close(x, y, rtol=1e-4, atol=1e-6)


def test_with_recaps_more_of_the_support_is_heard_late(seen):
    """At the last step a single reading has decayed for longer, weight by weight."""
    support, query, _ = of(seen.hybrid[0], 0, 4)
    recapped = implicit_attention(support, query, segment=4).support[:, :, -1]
    once = implicit_attention(support, query).support[:, :, -1]
    assert recapped.norm() > once.norm()


def test_directions_add_up_to_what_is_heard(seen):
    hybrid = seen.hybrid[0]
    support, query, _ = hybrid.scans(2)
    sizes = (hybrid.support_size(2), hybrid.size)
    each = heard_by_direction(support, query, (2, 5), sizes, ratio=2)
    together = heard(support, query, (2, 5), sizes, ratio=2)
    assert len(each) == 4
    for i in (0, 1):
        assert torch.allclose(sum(maps[i] for maps in each), together[i])
    assert each[0][1][..., 2, 6:].abs().max() == 0, "by rows, later pixels of its row are unread"


def test_one_direction_at_a_time(seen):
    support, query, _ = seen.hybrid[0].scans()
    with pytest.raises(ValueError, match="expected both scans of one direction"):
        implicit_attention(support, query)


def test_qim_is_the_support_and_the_pixel_itself(seen, published):
    for hybrid in (seen.hybrid[0], published.hybrid[0]):
        if hybrid.block.config.qim == "off":
            continue
        parts = intercepted(hybrid)
        y = parts.support.sum(-1) + parts.own + parts.skip
        assert (y - hybrid.record["qim_query"]).abs().max() < 1e-5 * y.abs().max()


def test_qim_hears_no_other_query_pixel():
    """Its Jacobian in the query's pixels is diagonal, exactly: the proof by derivative."""
    _, (u, delta, A, B, C, D) = scans(query_length=7, groups=1)
    state = torch.randn(*u.shape[:2], A.shape[1])

    def y(pixels):  # Δ, B and C of the same pixels, too, as selection makes them
        steps = delta * (1 + 0.1 * pixels.tanh())
        told = 1 + 0.1 * pixels.mean(1)[:, None].tanh()
        return intercept(pixels, steps, A, B[:, 0] * told, C[:, 0] * told, D, state).sum((0, 1))

    jacobian = torch.autograd.functional.jacobian(y, u).norm(dim=(1, 2))  # (out, in)
    assert (jacobian - jacobian.diag().diag() == 0).all() and (jacobian.diag() > 0).all()


def test_no_interception_is_told(seen):
    if seen.hybrid[0].block.config.qim == "off":
        with pytest.raises(ValueError, match='qim="off"'):
            intercepted(seen.hybrid[0])

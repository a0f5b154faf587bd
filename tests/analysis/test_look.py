"""One look, whatever the network and whatever the episodes; and its errors."""

import pytest
import torch

from hmnet_lite import HMNet, HMNetConfig
from hmnet_lite.analysis.look import look


def small(**switches):
    torch.manual_seed(0)
    return HMNet(HMNetConfig(dim=16, state=4, **switches)).eval()


def test_pictures_and_cached_features_are_looked_at_alike(photos, batch):
    model = small()
    one, other = look(model, [photos[i] for i in range(4)]), look(model, batch)
    for name in ("query_class", "query_other", "support_class"):
        assert torch.equal(getattr(one, name), getattr(other, name))
    assert one.query_class.shape == (4, 8, 8)
    near = [x.hybrid[0].record["scan_in_query"] for x in (one, other)]
    assert torch.allclose(*near, atol=0.02), "the cache holds half precision"


def test_masks_are_shares_of_cells(photos, batch):
    seen = look(small(), batch)
    share = torch.from_numpy(photos[1].query_mask == 1).float().view(8, 16, 8, 16).mean((1, 3))
    assert torch.allclose(seen.query_class[1], share)
    known = (seen.query_class + seen.query_other)[1]
    expected = torch.from_numpy(photos[1].query_mask != 255).float().view(8, 16, 8, 16)
    assert torch.allclose(known, expected.mean((1, 3)))
    zoomed = look(small(zoom=True), batch)
    assert zoomed.support_class.mean() > 1.5 * seen.support_class.mean(), "enlarged to the class"


def test_scans_are_those_that_ran(seen):
    hybrid = seen.hybrid[0]
    support, query, patch = hybrid.scans()
    for ours, name in ((support, "support_scan"), (query, "query_scan")):
        for x, y in zip(ours, hybrid.record[name](), strict=True):
            assert torch.equal(x, y)
    assert query[0].shape[-1] == 64 and patch == 64 // hybrid.block.patch_ratio**2
    assert hybrid.scans(2)[2] == 16


def test_the_small_query_is_read_as_qim_reads_it(published):
    hybrid = published.hybrid[0]
    u, *_, D = hybrid.intercept_scan()
    assert u.shape == hybrid.record["qim_query"].shape
    assert torch.equal(D, D[:1].expand_as(D)), "the released skip is one number"


def test_what_cannot_be_looked_at_is_told(photos, batch):
    with pytest.raises(ValueError, match="0 blocks and none of them reads the support"):
        look(small(depth=0), batch)
    with pytest.raises(ValueError, match="needs a Batch of cached features"):
        look(small(), [photos[0]], (batch.support[:1], batch.support_masks[:1]))
    crossing = look(small(srm="basic", qim="off"), batch).hybrid[0]
    each = look(small(qim="each"), batch).hybrid[0]
    with pytest.raises(ValueError, match='qim="each"; expected a network with QIM that meets the'):
        each.intercept_scan()
    with pytest.raises(ValueError, match='this block has qim="off"'):
        crossing.intercept_scan()

"""One block's map is what its core computed; through several, rows stay shares."""

import pytest
import torch

from hmnet_lite import HMNet, HMNetConfig
from hmnet_lite.analysis.look import look
from hmnet_lite.analysis.rollout import core_map, rollout, sizes
from hmnet_lite.analysis.split import heard
from hmnet_lite.models.backbones import Features
from hmnet_lite.models.features import Batch


def core_of(model, index, batch):
    """What the core of a block gives, (support or query) → (channels, pixels) of episode 1."""
    given = {}
    block = model.mixer.blocks[index]
    core = block.core

    def listening(query, support):
        given["query"], given["support"] = core(query, support)
        return given["query"], given["support"]

    block.core = listening
    try:
        look(model, batch)
    finally:
        del block.core
    return {k: None if y is None else y[1].flatten(1) for k, y in given.items()}


@pytest.mark.parametrize(
    "switches",
    [{}, {"srm": "basic", "qim": "off"}, {"srm": "off"}, {"qim": "own"}, {"published_skip": True}],
)
def test_every_core_is_the_sum_of_its_map(switches, batch):
    torch.manual_seed(0)
    model = HMNet(HMNetConfig(dim=16, state=3, depth=4, recap_ratio=2, **switches)).eval()
    model.mixer.start_matching()
    for index, seen in enumerate(look(model, batch).blocks):
        found, expected = core_map(seen, 1), core_of(model, index, batch)
        for kind in ("query", "support"):
            parts, y = getattr(found, kind), expected[kind]
            assert (parts is None) == (y is None)
            if y is not None:
                assert parts.shape == (32, 64, 128)
                assert (parts.sum(2) - y).abs().max() < 1e-4 * y.abs().max()
        if found.support is not None:
            assert (found.support[:, :, 64:] == 0).all(), "the support never reads the query"
    assert seen.index == 3


def test_rows_are_shares(seen):
    found = rollout(seen.blocks, 2)
    assert found.shape == (64, 128) and (found >= 0).all()
    assert torch.allclose(found.sum(1), torch.ones(64), atol=1e-5)
    alone = rollout(seen.blocks, 2, residual=1)
    assert torch.equal(alone, torch.eye(128)[64:]), "all goes round the cores"


def test_one_block_is_its_exact_map():
    """Against `split.heard`, pixel by pixel, on a block without skip that shrinks nothing."""
    torch.manual_seed(0)
    model = HMNet(HMNetConfig(dim=16, state=3, srm="basic", qim="off")).eval()
    model.mixer.blocks[1].ssm.D.data.zero_()
    features = Features(torch.randn(1, 40, 16, 16), torch.randn(1, 384, 8, 8))
    masks = torch.zeros(1, 1, 128, 128, dtype=torch.uint8)
    masks[..., 30:90, 20:70] = 1
    one = Batch(features, torch.randn(1, 1, 384, 8, 8), masks, masks[:, 0])
    (hybrid,) = look(model, one).hybrid
    found = rollout([hybrid], residual=0)
    assert torch.allclose(found, sizes(core_map(hybrid).query), rtol=1e-5)
    support, query, _ = hybrid.scans()
    for pixel in ((0, 0), (3, 6), (7, 7)):
        loud = torch.cat(
            [m[0].norm(dim=0).flatten() for m in heard(support, query, pixel, ((8, 8), (8, 8)))]
        )
        row = found[pixel[0] * 8 + pixel[1]]
        torch.testing.assert_close(row, loud / loud.sum(), rtol=1e-4, atol=1e-6)


def test_shares_go_through_both_blocks(seen):
    """Two blocks: the second's map times the first's, each half residual."""
    first, second = seen.blocks
    one, two = (core_map(x, 0) for x in (first, second))
    itself = torch.eye(128)
    rows = torch.cat([sizes(one.support), sizes(one.query)])
    before = 0.5 * itself + 0.5 * rows
    expected = (0.5 * itself[64:] + 0.5 * sizes(two.query)) @ before
    assert torch.allclose(rollout(seen.blocks), expected, atol=1e-6)


def test_what_cannot_be_rolled_out_is_told(seen):
    with pytest.raises(ValueError, match=r"0 blocks and residual=0\.5"):
        rollout([])
    with pytest.raises(ValueError, match="2 blocks and residual=2"):
        rollout(seen.blocks, residual=2)

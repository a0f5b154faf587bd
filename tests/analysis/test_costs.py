"""Parameters against the paper's Table 4, FLOPs against a sum done by hand."""

import pytest
import torch

from hmnet_lite import MambaMixer
from hmnet_lite.analysis.costs import count_flops, count_parameters, scan_flops, unread_flops
from hmnet_lite.models.hmnet.model import PublishedConfig, PublishedHMNet

TABLE4 = {4: (33.60, 32.8), 6: (36.06, 35.0), 8: (38.52, 37.1), 10: (40.98, 39.2)}  # millions


@pytest.mark.parametrize("depth", TABLE4)
def test_parameters_are_those_of_the_released_model_and_of_the_paper(depth):
    count = count_parameters(PublishedConfig(depth=depth))
    released, paper = TABLE4[depth]
    assert count.released / 1e6 == pytest.approx(released, abs=0.005)
    assert round(count.as_in_paper / 1e6, 1) == paper
    assert count.base_learner / 1e6 == pytest.approx(23.08, abs=0.005)
    # a block at dim 256: 4 directions of 512 channels, rank 16, state 16
    assert count.raw_ssm == depth * 4 * 512 * ((16 + 2 * 16) + 16 + 16 + 1 + 1)
    assert count.raw_ssm - count.raw_matrices == depth * 4 * 512 * 2


def test_the_paper_s_rows_fix_what_a_block_leaves_out():
    """The interval that `Parameters.as_in_paper` quotes, from the rounding of all four rows."""
    low, high = 0.0, 1.0
    for depth, (_, paper) in TABLE4.items():
        count = count_parameters(PublishedConfig(depth=depth))
        whole = (count.released - count.deep_stem) / 1e6
        low = max(low, (whole - paper - 0.05) / depth)
        high = min(high, (whole - paper + 0.05) / depth)
    assert (round(low, 4), round(high, 4)) == (0.1606, 0.1644)
    a_block = count.raw_matrices / 1e6 / depth
    assert low < a_block < high < count.raw_ssm / 1e6 / depth


def test_the_deep_stem_s_share_is_counted_on_the_layers_themselves():
    """Put a standard stem in the backbone and count what is gone."""
    with torch.device("meta"):
        backbone = PublishedHMNet().backbone
        before = sum(p.numel() for p in backbone.parameters())
        conv, norm = torch.nn.Conv2d(3, 64, 7, bias=False), torch.nn.BatchNorm2d(64)
        backbone.layer0 = torch.nn.Sequential(conv, norm)
        first = backbone.layer1[0]
        first.conv1 = torch.nn.Conv2d(64, 64, 1, bias=False)
        first.downsample[0] = torch.nn.Conv2d(64, 256, 1, bias=False)
    gone = before - sum(p.numel() for p in backbone.parameters())
    assert count_parameters().deep_stem == gone == 123_776


def test_vgg_and_more_shots_count_what_they_have():
    one, five = (count_parameters(PublishedConfig(backbone="vgg16", shots=k)) for k in (1, 5))
    assert one.deep_stem == 0 and one.backbone == 14_723_136  # VGG-16-BN's features
    assert five.meta_learner - one.meta_learner == 2 * 5 * 2  # the reweighting head


def by_hand(batch, side, dim, state, ratio):
    """FLOPs of a self block, then of a hybrid one, matrix products and convolutions as 2·n."""
    inner, rank, L, small = 2 * dim, -(-dim // 16), side**2, (side // ratio) ** 2
    around = 2 * L * (dim * 2 * inner + 9 * inner + inner * dim + 2 * dim * dim)  # of one map
    select = lambda steps: 2 * steps * inner * (rank + 2 * state + rank)  # noqa: E731
    scan = lambda steps: 4 * inner * steps * (7 * state + 3)  # noqa: E731
    own = 2 * around + 2 * 4 * select(L) + 2 * scan(L)
    recaps = 4 * inner * (ratio**2 * 2 * state + small + 2 * state)
    qim = small * (inner * (5 * state + 5) + 2 * state)  # C · B is torch's
    reads = 4 * (select(L) + select(small)) + select(small)
    unread = 2 * L * (dim * inner + inner * dim + 2 * dim * dim)  # of the last block's support
    hybrid = 2 * around - unread + reads + scan(L) + scan(small) + recaps + qim
    return batch * own, batch * hybrid


@pytest.mark.parametrize("backend", ["cpu", "chunked", "reference"])
def test_torch_s_counter_counts_the_scans_too(backend):
    mixer = MambaMixer(32, 2, state=8, recap_ratio=2, backend=backend)
    query, support = torch.randn(2, 2, 32, 8, 8)
    with count_flops() as counter:
        mixer(query, support)
    blocks = [counter.get_flop_counts()[f"MambaMixer.blocks.{i}"] for i in range(2)]
    assert [sum(b.values()) for b in blocks] == list(by_hand(2, 8, 32, 8, 2))
    assert counter.get_total_flops() == sum(by_hand(2, 8, 32, 8, 2))
    unread = 2 * 2 * 64 * (32 * 64 + 64 * 32 + 2 * 32 * 32)
    inside = query.permute(0, 2, 3, 1)
    assert [unread_flops(block, inside) for block in mixer.blocks] == [0, unread]
    with torch.utils.flop_counter.FlopCounterMode(display=False) as plain:
        mixer(query, support)  # the hook is gone: scans are unseen again
    assert plain.get_total_flops() < counter.get_total_flops()


def test_a_scan_s_operations_are_those_of_its_loop():
    """Count every elementwise operation of the recurrence as it is written."""
    channels, length, state, count = 3, 4, 5, 0
    for _ in range(channels * length):
        count += 1  # Δ u
        for _ in range(state):
            count += 2  # exp(Δ A)
            count += 1  # decay · h
            count += 2  # + (Δ u) B
            count += 2  # + h C
        count += 2  # + D u
    assert scan_flops(1, channels, length, state) == count

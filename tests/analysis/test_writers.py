"""Every output taken apart: the parts add up, and are those that `split` finds one by one."""

import pytest
import torch

from hmnet_lite.analysis.split import heard_by_direction
from hmnet_lite.analysis.writers import written_by_qim, written_by_srm
from hmnet_lite.maps import patch_size, resize


def close(x, y):
    return (x - y).abs().max() <= 1e-4 * y.abs().max()


def test_the_parts_add_up_to_what_the_block_computed(seen):
    hybrid = seen.hybrid[0]
    for episode in (0, 3):
        written = written_by_srm(hybrid, episode)
        assert close(written.output(), hybrid.record["srm_query"][episode].flatten(1))


def test_they_are_the_contributions_of_each_direction(seen):
    hybrid, (row, column) = seen.hybrid[0], (2, 5)
    support, query, _ = hybrid.scans()
    ratio = hybrid.block.patch_ratio
    sizes = (hybrid.support_size(), hybrid.size)
    maps = heard_by_direction(support, query, (row, column), sizes, ratio=ratio)
    written, output = written_by_srm(hybrid, 1), row * hybrid.size[1] + column
    for k, (of_support, of_query) in enumerate(maps):
        assert close(written.support[k, :, output], of_support[1].flatten(1))
        assert close(written.query[k, :, output], of_query[1].flatten(1))


def test_qim_s_parts_add_up_and_hear_no_far_pixel(seen):
    hybrid = seen.hybrid[0]
    if hybrid.block.config.qim == "off":
        with pytest.raises(ValueError, match='qim="off"'):
            written_by_qim(hybrid)
        return
    small = patch_size(*hybrid.size, hybrid.block.intercept_ratio)
    met = resize(hybrid.record["qim_query"].unflatten(-1, small).contiguous(), *hybrid.size)
    written = written_by_qim(hybrid, 2)
    assert close(written.output(), met[2].flatten(1))
    samples = (written.query.abs().sum((0, 1)) > 0).sum(-1)  # of each output
    assert samples.max() <= 4, "a blend of the samples around it"


def test_a_map_that_cannot_be_cut_evenly_is_refused(seen):
    from dataclasses import replace

    hybrid = seen.hybrid[0]
    record = {**hybrid.record, "scan_in_query": torch.zeros(1, 32, 7, 8)}
    if hybrid.block.patch_ratio > 1:
        with pytest.raises(ValueError, match="patches of one size"):
            written_by_srm(replace(hybrid, record=record))

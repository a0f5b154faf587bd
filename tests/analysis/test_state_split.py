"""The state, split exactly into what the support wrote and what the query wrote."""

import pytest
import torch

from hmnet_lite.analysis.split import split_state
from hmnet_lite.scan.selective import reference_scan
from tests.mamba.parts import CORE, scans


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

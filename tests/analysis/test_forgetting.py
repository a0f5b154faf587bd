"""States after every reading, against the whole scan; the paper's measure against its wording."""

import pytest
import torch
from torch.nn.functional import cosine_similarity

from hmnet_lite.analysis.forgetting import forgetting, read_patches
from hmnet_lite.analysis.split import one_direction, split_state
from hmnet_lite.scan.selective import selective_scan
from tests.mamba.parts import scans

CPU = ("reference", "chunked", "cpu")


@pytest.mark.parametrize("backend", CPU)
@pytest.mark.parametrize("recap", [False, True])
def test_both_parts_are_those_of_the_exact_split(recap, backend):
    s, q = scans()
    found = read_patches(s, q, 9, recap=recap, backend=backend)
    split = split_state(s, q, segment=9 if recap else 0)
    ends = [8, 17, 26, 35]
    late = ~found.of_support
    assert found.at[late].tolist() == [9, 18, 27, 36]
    for part in ("support", "query", "whole"):
        ours = getattr(found, part)[..., late, :].flatten(1, 2)
        expected = getattr(split, part)[:, :, ends]
        torch.testing.assert_close(ours, expected, rtol=1e-5, atol=1e-5)
    again = found.of_support.nonzero()[:, 0].tolist()
    assert again == ([0, 2, 4, 6] if recap else [0])
    assert torch.allclose(found.support[..., 0, :].flatten(1, 2), split.start, atol=1e-6)


def test_a_recap_is_the_scan_of_the_support():
    """After S Q S, word by word: one scan from the state before."""
    s, q = scans()
    found = read_patches(s, q, 9, recap=True)
    before = found.whole[..., 1, :].flatten(1, 2)
    after = selective_scan(*s, initial_state=before, return_last_state=True)[1]
    torch.testing.assert_close(found.whole[..., 2, :].flatten(1, 2), after, rtol=1e-5, atol=1e-5)


def test_the_maximum_cosine_is_that_of_a_loop_over_pixels():
    s, q = scans()
    found = read_patches(s, q, 12, recap=True)
    u, delta, _, B, *_ = s
    best = torch.full(found.max_cosine().shape, -1.0)
    per = u.shape[1] // B.shape[1]
    for k in range(B.shape[1]):
        own = slice(k * per, (k + 1) * per)
        for pixel in range(u.shape[-1]):
            written = (delta * u)[:, own, pixel, None] * B[:, k, None, :, pixel]
            for r in range(len(found.at)):
                cosine = cosine_similarity(found.whole[:, k, :, r].flatten(1), written.flatten(1))
                best[:, k, r] = torch.maximum(best[:, k, r], cosine)
    assert torch.allclose(found.max_cosine(), best, atol=1e-5)


def test_a_support_of_one_pixel_is_remembered_whole():
    s, q = scans(support_length=1)
    silent = (torch.zeros_like(q[0]), torch.zeros_like(q[1]), *q[2:])  # no writing, no decay
    found = read_patches(s, silent, 9, recap=False)
    assert torch.allclose(found.max_cosine(), torch.ones(()), atol=1e-5)
    assert torch.allclose(found.share(), torch.ones(()))
    mute = (torch.zeros_like(s[0]), *s[1:])
    assert (read_patches(mute, q, 9, recap=True).share()[..., 1:] == 0).all()


def test_pixels_that_do_not_count_are_left_out():
    s, q = scans()
    found = read_patches(s, q, 9, recap=True)
    groups = s[3].shape[1]
    one = torch.zeros(len(s[0]), groups, 9, dtype=torch.bool)
    one[..., 4] = True
    assert (found.max_cosine(one) <= found.max_cosine() + 1e-6).all()
    assert (found.max_cosine(one) < found.max_cosine() - 1e-3).any()


def test_shares_by_channel_and_by_index_have_their_axes():
    s, q = scans()
    found = read_patches(s, q, 9, recap=True)
    batch, k, channels, readings, state = found.whole.shape
    assert found.share().shape == (batch, k, readings)
    by_channel, by_index = found.share("channel"), found.share("index")
    assert by_channel.shape == (batch, k, channels, readings)
    assert by_index.shape == (batch, k, state, readings)
    a, b = (getattr(found, part)[0, 0, :, 3, 1].norm() for part in ("support", "query"))
    assert torch.isclose(by_index[0, 0, 1, 3], a / (a + b))
    a, b = (getattr(found, part)[0, 0, 2, 3].norm() for part in ("support", "query"))
    assert torch.isclose(by_channel[0, 0, 2, 3], a / (a + b))


@pytest.mark.parametrize("ratio", [None, 1, 2, 4])
def test_blocks_of_every_kind_can_be_read_at_every_ratio(seen, ratio):
    hybrid = seen.hybrid[0]
    found = forgetting(hybrid, ratio)
    ratio = ratio or hybrid.block.patch_ratio
    looks = 2 * ratio**2 if ratio > 1 else 1 + 16
    assert found.share().shape == (4, 4, looks)
    assert found.share()[..., 0].eq(1).all(), "after the support all is the support's"
    support, query, patch = hybrid.scans(ratio)
    one = (one_direction(x, 3) for x in (support, query))
    split = split_state(*one, segment=patch if ratio > 1 else 0)
    last = found.whole[:, 3, :, -1]
    torch.testing.assert_close(last, split.whole[:, :, -1], rtol=1e-4, atol=1e-5)


def test_the_published_network_is_read_as_well(published):
    assert len(published.hybrid) == 2
    for hybrid in published.hybrid:
        found = forgetting(hybrid)
        assert found.max_cosine().shape == (1, 4, 32)
        assert found.max_cosine().abs().max() <= 1 + 1e-5
        assert ((found.share() >= 0) & (found.share() <= 1)).all()


def test_what_does_not_fit_is_told(seen):
    s, q = scans()
    with pytest.raises(ValueError, match=r"patch=7 and the query has 36 steps"):
        read_patches(s, q, 7, recap=True)
    with pytest.raises(ValueError, match="batch and channels must agree"):
        read_patches(tuple(x[:1] for x in s), q, 9, recap=True)

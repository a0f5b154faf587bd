"""The support by the state alone: zoom, the matching start, and who is listened to."""

from dataclasses import replace
from unittest import mock

import pytest
import torch
import torch.nn.functional as F

from hmnet_lite import HMNet, HMNetConfig
from hmnet_lite.models.backbones import Features
from hmnet_lite.models.lite import mixed_maps
from hmnet_lite.models.zoom import zoom
from hmnet_lite.record import Recorder

ALONE = HMNetConfig(
    dim=16, state=4, recap_ratio=2, prototype=False, prior="none", zoom=True, start="matching",
    detach_support_state=False,
)  # fmt: skip


def test_zoom_cuts_the_box_with_its_margin():
    columns = torch.arange(16.0).expand(1, 1, 16, 16)
    shares = torch.zeros(1, 16, 16)
    shares[:, 4:8, 6:14] = 1
    cut, covered = zoom(columns, shares)
    # the box runs from column 6 to 14 and is 8 · 1.15 wide; cells are looked at in their middles
    expected = 10 - 0.5 + 8 * 1.15 * (torch.arange(16) + 0.5 - 8) / 16
    torch.testing.assert_close(cut[0, 0, 5], expected)
    assert covered[0, 4:12, 4:12].min() > 0.999


def test_zoom_of_nothing_is_everything():
    maps = torch.randn(2, 3, 8, 8)
    cut, covered = zoom(maps, torch.zeros(2, 8, 8))
    torch.testing.assert_close(cut, maps)
    assert covered.abs().max() == 0


@pytest.fixture(scope="module")
def objects():
    """Twelve classes that differ, each drawn eight times."""
    g = torch.Generator().manual_seed(0)
    centres = torch.randn(12, 384, generator=g)
    classes = torch.arange(12).repeat_interleave(8)
    return centres[classes] + 0.5 * torch.randn(96, 384, generator=g), classes


def features(classes, objects, seed=0):
    """A query that shows class 0 on the left and 1 on the right; supports that show `classes`."""
    g = torch.Generator().manual_seed(seed)
    pick = [objects[0][8 * c : 8 * c + 8] for c in range(12)]
    left, right = pick[0][0], pick[1][0]
    query = torch.cat([left.view(1, -1, 1, 1).expand(-1, -1, 8, 4),
                       right.view(1, -1, 1, 1).expand(-1, -1, 8, 4)], dim=3)  # fmt: skip
    query = query + 0.1 * torch.randn(query.shape, generator=g)
    support = torch.stack([pick[c][1] for c in classes]).view(-1, 1, 384, 1, 1).expand(
        -1, -1, -1, 8, 8
    )  # fmt: skip
    masks = torch.zeros(len(classes), 1, 128, 128)
    masks[..., 32:96, 32:96] = 1
    fine = torch.zeros(1, 40, 16, 16)
    return Features(fine, query), support, masks


def test_a_matching_start_already_tells_the_class_from_another(objects):
    """Untrained, the mixed query differs most, between two supports, where one of them is."""
    torch.manual_seed(0)
    model = HMNet(ALONE).eval()
    model.metric.fit(*objects)
    model.start_matching(*objects)
    out = []
    with torch.no_grad():
        for c in (0, 1):
            query, support, masks = features([c], objects)
            with Recorder() as seen:
                model.segment(query, support, masks)
            out.append(seen.blocks[1]["srm_query"][0])
    apart = (out[0] - out[1]).norm(dim=0)
    assert apart.mean() > 0.05 * out[0].norm(dim=0).mean()


@pytest.mark.parametrize("shown", [1, None])
@pytest.mark.parametrize("prior", ["none", "mixed"])
def test_the_mixer_may_be_shown_another_support(objects, prior, shown):
    torch.manual_seed(0)
    model = HMNet(replace(ALONE, prior=prior)).eval()
    model.metric.fit(*objects)
    model.start_matching(*objects)
    query, support, masks = features([0], objects)
    _, other, same_masks = features([1], objects)
    swapped = (other, same_masks) if shown else (support, torch.zeros_like(masks))
    with torch.no_grad():
        right = model.segment(query, support, masks)
        assert torch.equal(model.segment(query, support, masks, (support, masks)), right)
        assert not torch.equal(model.segment(query, support, masks, swapped), right)
        if shown:  # the state is the only way: it is as if the other had been the support
            assert torch.equal(
                model.segment(query, other, same_masks),
                model.segment(query, support, masks, swapped),
            )


def test_starts_and_priors_are_checked():
    with pytest.raises(ValueError, match=r"start='loud'; expected silent or matching"):
        HMNetConfig(start="loud")
    with pytest.raises(
        ValueError, match=r"prior='some'; expected both, decoder, none, mixed or all"
    ):
        HMNetConfig(prior="some")
    for scale in (0, -1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match=rf"prior_scale={scale}; expected a number above 0"):
            HMNetConfig(prior_scale=scale)
    with pytest.raises(ValueError, match=r"prior='mixed' needs mixer='mamba'.*'attention'"):
        HMNetConfig(prior="mixed", mixer="attention")
    with pytest.raises(ValueError, match=r"prior='all' needs .*pool_shots='features'.*'recaps'"):
        HMNetConfig(prior="all", pool_shots="recaps")


def test_a_louder_prior_is_the_same_maps_times_its_scale(objects):
    """As weights ten times as large would read it, in the merge and in the decoder's digest."""
    torch.manual_seed(0)
    model = HMNet(HMNetConfig(dim=16, depth=1)).eval()
    model.metric.fit(*objects)
    louder = HMNet(replace(model.config, prior_scale=10.0)).eval()
    louder.load_state_dict(model.state_dict())
    with torch.no_grad():
        evidence = model.evidence_norm.num_features
        for weight in (model.merge_query.weight[:, -evidence:], model.digest.weight):
            weight.mul_(10)
        episode = features([0], objects)
        torch.testing.assert_close(louder.segment(*episode), model.segment(*episode))


def test_mixed_maps_are_cosines_of_what_comes_out_of_the_mixer():
    g = torch.Generator().manual_seed(0)
    query, support = torch.randn(2, 1, 16, 8, 8, generator=g)
    shares = torch.zeros(1, 2, 8, 8)
    shares[:, 0, 2:5, 2:5] = shares[:, 1, 2:5, 2:5] = 1  # two shots that agree
    maps = mixed_maps(query, support, shares)[0]
    q, s = (F.normalize(x[0].flatten(1), dim=0) for x in (query, support))
    inside = s[:, shares[0, 0].flatten() == 1]
    torch.testing.assert_close(maps[0].flatten(), (q.T @ inside).amax(1))
    prototype = F.normalize(inside.mean(1), dim=0)
    torch.testing.assert_close(maps[3].flatten(), q.T @ prototype, atol=1e-5, rtol=1e-4)
    assert maps.shape == (7, 8, 8)


@pytest.mark.parametrize("switches", [{}, dict(srm="off", qim="off"), dict(depth=0)])
def test_a_mixed_prior_carries_the_support_and_teaches_what_makes_it(objects, switches):
    """Also where no block reads the support: it is matched then, and nothing else."""
    torch.manual_seed(0)
    model = HMNet(replace(ALONE, prior="mixed", **switches))
    model.metric.fit(*objects)
    model.start_matching(*objects)
    query, support, masks = features([0], objects)
    logits = model.segment(query, support, masks)
    logits[:, 1].mean().backward()
    idle = [name for name, p in model.named_parameters() if p.requires_grad and p.grad is None]
    assert idle == ["evidence_norm.weight", "evidence_norm.bias"]  # of the frozen prior
    assert model.reduce_support[0].weight.grad.abs().max() > 0
    _, other, _ = features([1], objects)
    assert not torch.allclose(model.segment(query, other, masks), logits, atol=1e-4)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_a_support_that_is_all_class_or_none_of_it_has_a_gradient(share):
    query, support = (torch.randn(1, 16, 8, 8, requires_grad=True) for _ in range(2))
    maps = mixed_maps(query, support, torch.full((1, 1, 8, 8), share))
    grads = torch.autograd.grad(maps.square().sum(), (query, support))
    assert maps.isfinite().all() and all(grad.isfinite().all() for grad in grads)


@pytest.mark.parametrize("switches", [{}, dict(srm="off", qim="off"), dict(depth=0)])
def test_the_state_alone_can_be_misled(objects, switches):
    """Maps of the own support, and a query that read another: as if none read, nothing changes."""
    torch.manual_seed(0)
    model = HMNet(replace(ALONE, prior="mixed", **switches)).eval()
    model.metric.fit(*objects)
    model.start_matching(*objects)
    query, support, masks = features([0], objects)
    other = features([1], objects)[1:]
    with torch.no_grad(), Recorder() as seen:
        right = model.segment(query, support, masks)
        maps = seen.network["mixed_prior"]
        blocks = len(seen.blocks)
        misled = model.segment(query, support, masks, other, keep_maps=True)
        assert len(seen.blocks) == 2 * blocks, "what only compares is not recorded"
        moved = (seen.network["mixed_prior"] - maps).abs().max()
        wrong = model.segment(query, support, masks, other)
        all_moved = (seen.network["mixed_prior"] - maps).abs().max()
    assert torch.equal(misled, right) == bool(switches) == bool(moved == 0)
    assert not torch.equal(wrong, right) and all_moved > moved


def test_all_maps_are_the_frozen_and_the_mixed_ones(objects):
    torch.manual_seed(0)
    model = HMNet(replace(ALONE, prior="all"))
    model.metric.fit(*objects)
    query, support, masks = features([0], objects)
    with mock.patch.object(model.digest, "forward", wraps=model.digest.forward) as digest:
        model.segment(query, support, masks).mean().backward()
    ((told,), _) = digest.call_args
    frozen = model.evidence_norm.num_features
    assert told.shape[1] == frozen + 7 and told[:, :frozen].std() > 0.1
    idle = [name for name, p in model.named_parameters() if p.requires_grad and p.grad is None]
    assert idle == [], "everything is used"


def test_an_untrained_mixed_prior_prefers_the_class_that_is_shown(objects):
    torch.manual_seed(0)
    model = HMNet(replace(ALONE, prior="mixed")).eval()
    model.metric.fit(*objects)
    model.start_matching(*objects)
    for c in (0, 1):
        query, support, masks = features([c], objects)
        with torch.no_grad(), Recorder() as seen:
            model.segment(query, support, masks)
        best = seen.network["mixed_prior"][0, 0]
        left, right = best.chunk(2, dim=-1)
        assert (left.mean() > right.mean()) == (c == 0)

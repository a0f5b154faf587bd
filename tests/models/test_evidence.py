"""The metric and the evidence maps: against their formulas, and doing what they are there for."""

import pytest
import torch
import torch.nn.functional as F

from hmnet_lite import HMNet, HMNetConfig
from hmnet_lite.models.evidence import KINDS, evidence_maps
from hmnet_lite.models.lite import known_share
from hmnet_lite.models.metric import Metric, object_means
from hmnet_lite.record import Recorder


def test_an_unfitted_metric_only_makes_unit_vectors():
    metric, deep = Metric((4, 6)), torch.randn(2, 3, 10, 5, 5)
    one, two = metric(deep)
    torch.testing.assert_close(one, F.normalize(deep[:, :, :4], dim=2))
    torch.testing.assert_close(two, F.normalize(deep[:, :, 4:], dim=2))
    assert not any(p.requires_grad for p in metric.parameters())


def scattered(classes=20, objects=30, channels=16):
    """Objects whose class is told by 4 channels; the other 12 are loud and say nothing."""
    g = torch.Generator().manual_seed(0)
    centres = torch.zeros(classes, channels)
    centres[:, :4] = torch.randn(classes, 4, generator=g)
    kinds = torch.arange(classes).repeat_interleave(objects)
    noise = torch.randn(len(kinds), channels, generator=g)
    noise[:, :4] *= 0.1
    noise[:, 4:] *= 2
    return centres[kinds] + noise, kinds


def nearest_is_of_its_class(vectors, kinds):
    cosines = F.normalize(vectors, dim=1) @ F.normalize(vectors, dim=1).T
    nearest = cosines.fill_diagonal_(-2).argmax(1)
    return (kinds[nearest] == kinds).float().mean().item()


def test_the_metric_overlooks_what_scatters_within_classes_on_classes_it_never_saw():
    objects, kinds = scattered()
    seen = kinds < 10
    metric = Metric((16,))
    metric.fit(objects[seen], kinds[seen], ridge=0.01)
    fresh, labels = objects[~seen], kinds[~seen]
    (embedded,) = metric(fresh[:, :, None, None])
    before = nearest_is_of_its_class(fresh, labels)
    after = nearest_is_of_its_class(embedded[..., 0, 0], labels)
    assert after > 0.9 > before + 0.3


def test_the_fitted_scatter_is_white():
    objects, kinds = scattered()
    metric = Metric((16,))
    metric.fit(objects, kinds, ridge=1e-6)
    x = F.normalize(objects, dim=1) - metric.mean
    x = x @ metric.whiten0.T
    x = x - torch.stack([x[kinds == k].mean(0) for k in range(20)])[kinds]
    torch.testing.assert_close(x.T @ x / len(x), torch.eye(16), atol=2e-3, rtol=0)


def test_one_object_a_class_is_refused():
    with pytest.raises(ValueError, match=r"5 objects of 5 classes; .* at least two objects"):
        Metric((4,)).fit(torch.randn(5, 4), torch.arange(5))


def test_object_means_look_at_cells_that_are_mostly_the_object_s():
    deep = torch.arange(4.0).view(1, 1, 2, 2)
    shares = torch.tensor([[[0.8, 0.4], [0.1, 0.0]]])
    assert object_means(deep, shares).item() == pytest.approx(0.4 / 1.2)


def by_hand(q, s, shares):
    """The seven maps of one query (c, h, w) and one support (c, h, w), pixel by pixel."""
    flat, weights = s.flatten(1), shares.flatten()
    inside, outside = weights >= 0.5 * weights.max(), weights <= 0.1
    fg = (flat * (weights * inside)).sum(1)
    bg = (flat * (1 - weights)).sum(1)
    rows = []
    for pixel in q.flatten(1).T:
        cosines = flat.T @ pixel
        alike = (10 * cosines).softmax(0) @ weights
        rows.append(torch.stack([
            cosines[inside].max(), cosines[outside].max(), alike,
            F.cosine_similarity(pixel, fg, dim=0), F.cosine_similarity(pixel, bg, dim=0),
        ]))  # fmt: skip
    maps = torch.stack(rows, dim=1)
    stretched = [(m - m.min()) / (m.max() - m.min()) for m in (maps[0], maps[3])]
    return torch.cat([maps, torch.stack(stretched)]).unflatten(1, q.shape[1:])


def test_evidence_is_its_formulas():
    torch.manual_seed(0)
    query = [F.normalize(torch.randn(2, c, 3, 4), dim=1) for c in (5, 7)]
    support = [F.normalize(torch.randn(2, 2, c, 4, 4), dim=2) for c in (5, 7)]
    shares = torch.rand(2, 2, 4, 4).round(decimals=1)
    shares[..., 0] = 0
    found = evidence_maps(query, support, shares)
    assert found.shape == (2, KINDS * 3, 3, 4)
    q = [*query, torch.cat(query, dim=1) / 2**0.5]
    s = [*support, torch.cat(support, dim=2) / 2**0.5]
    for b in range(2):
        expected = torch.stack([
            torch.cat([by_hand(x[b], y[b, k], shares[b, k]) for x, y in zip(q, s, strict=True)])
            for k in range(2)
        ]).mean(0)  # fmt: skip
        torch.testing.assert_close(found[b], expected, atol=1e-5, rtol=1e-4)


def test_what_is_ignored_is_neither_foreground_nor_background():
    g = torch.Generator().manual_seed(3)
    query = [F.normalize(torch.randn(2, 8, 4, 5, generator=g), dim=1)]
    support = [F.normalize(torch.randn(2, 3, 8, 6, 6, generator=g), dim=2)]
    shares, known = torch.zeros(2, 3, 6, 6), torch.ones(2, 3, 6, 6)
    shares[..., 1:3, 1:4], known[..., 4:, :] = 1, 0
    found = evidence_maps(query, support, shares, known)
    other = [support[0].clone()]
    other[0][..., 4:, :] = query[0][:, None, :, :2, :1]  # padding that looks like the query
    torch.testing.assert_close(evidence_maps(query, other, shares, known), found)
    cut = [support[0][..., :4, :]]  # as if it were not there
    torch.testing.assert_close(evidence_maps(query, cut, shares[..., :4, :]), found)
    assert not torch.allclose(evidence_maps(query, other, shares), found)
    assert torch.equal(
        evidence_maps(query, support, shares, torch.ones_like(shares)),
        evidence_maps(query, support, shares),
    )


def test_the_network_s_evidence_leaves_padding_out():
    model = HMNet(HMNetConfig(dim=16, depth=2, state=4)).eval()
    g = torch.Generator().manual_seed(5)
    with torch.no_grad():
        query = model.backbone(torch.rand(1, 3, 64, 64, generator=g))
        support = model.backbone(torch.rand(1, 3, 64, 64, generator=g)).deep[:, None].clone()
    masks = torch.zeros(1, 1, 64, 64, dtype=torch.uint8)
    masks[..., 8:30, 8:40] = 1
    masks[..., 48:, :] = 255
    assert known_share(masks, support)[0, 0, :, 0].tolist() == [1, 1, 1, 0]
    told = []
    for value in (0.3, -2.0):
        support[..., 3:, :] = value  # what the backbone makes of the padding
        with Recorder() as seen, torch.no_grad():
            model.segment(query, support, masks)
        told.append(seen.network["prior"])
    torch.testing.assert_close(*told)

"""Fusions in one space, their similarity with the support, and the colours of them all."""

import numpy as np
import pytest
import torch
from torch.nn.functional import cosine_similarity

from hmnet_lite import HMNet, HMNetConfig
from hmnet_lite.analysis.fused_pca import fit_basis, to_prototype
from hmnet_lite.analysis.fusion import FUSIONS, attend, class_mean, fusions
from hmnet_lite.analysis.look import look
from hmnet_lite.analysis.similarity import controls, mean_cosine, similarity, stages
from hmnet_lite.maps import resize


def test_what_the_block_does_is_among_its_fusions(seen):
    hybrid = seen.hybrid[0]
    config = hybrid.block.config
    found = fusions(hybrid, seen.support_class)
    wanted = [x for x in FUSIONS if config.qim != "off" or "QIM" not in x]
    assert list(found) == wanted
    assert not any(x.requires_grad for x in found.values())
    own = "SRM" if config.srm == "recap" else "concatenation"
    torch.testing.assert_close(found[own], hybrid.record["srm_query"], rtol=1e-4, atol=1e-5)
    if config.qim != "off":
        big = resize(hybrid.record["qim_query"].unflatten(-1, hybrid.record[
            "scan_in_query_small"].shape[-2:]), *hybrid.size)  # fmt: skip
        torch.testing.assert_close(found["QIM"], big, rtol=1e-4, atol=1e-5)


def test_attention_takes_from_the_class_alone():
    torch.manual_seed(0)
    query, support = torch.randn(2, 3, 6, 4, 4)
    share = torch.zeros(3, 4, 4)
    share[:, 1, 2] = 0.5
    expected = support[:, :, 1, 2, None, None].expand_as(query)
    assert torch.allclose(attend(query, support, share), expected, atol=1e-6)
    assert torch.allclose(class_mean(support, share), support[:, :, 1, 2])


def test_mean_cosine_is_the_mean_over_all_pairs():
    torch.manual_seed(0)
    query, support = torch.randn(2, 2, 5, 3, 3)
    marked, other = torch.rand(2, 3, 3) > 0.4, torch.rand(2, 3, 3) > 0.4
    found = mean_cosine(query, marked.float(), support, other.float())
    for b in range(2):
        q, s = query[b][:, marked[b]].T, support[b][:, other[b]].T
        assert torch.isclose(found[b], cosine_similarity(q[:, None], s[None], dim=-1).mean())


def test_stages_are_compared_for_fg_and_bg_apart(seen):
    hybrid = seen.hybrid[0]
    support = hybrid.record["scan_in_support"]
    names = {
        "both": ["before", "SRM", "QIM", "sum"],
        "cross": ["before", "concatenation"],
    }["cross" if hybrid.block.config.srm == "basic" else "both"]
    found = similarity(stages(hybrid), support, seen)
    assert list(found) == names
    assert all(x.shape == (4, 3) and (x.abs() <= 1).all() for x in found.values())
    fg, bg = seen.query_class.sum((1, 2)), seen.query_other.sum((1, 2))
    whole = found["before"]
    if (fg + bg).allclose(torch.tensor(64.0)):  # all labelled: "all" is the mean of both
        mixed = (whole[:, 1] * fg + whole[:, 2] * bg) / 64
        assert torch.allclose(whole[:, 0], mixed, atol=1e-5)


def test_the_last_stage_is_what_the_core_gives(batch):
    torch.manual_seed(0)
    model = HMNet(HMNetConfig(dim=16, state=4, srm="off", recap_ratio=2)).eval()
    given = []
    norm = model.mixer.blocks[1].norm_out
    norm.register_forward_pre_hook(lambda _, args: given.append(args[0]))
    found = stages(look(model, batch).hybrid[0])
    assert list(found) == ["before", "self scan", "QIM", "sum"]
    torch.testing.assert_close(found["sum"], given[0].permute(0, 3, 1, 2), rtol=1e-4, atol=1e-5)


def test_controls_raise_the_similarity_and_tell_nothing(seen):
    hybrid = seen.hybrid[0]
    support = hybrid.record["scan_in_support"]
    before = similarity(stages(hybrid), support, seen)["before"]
    found = similarity(controls(hybrid, seen), support, seen)
    assert (found["+ mean"] > before).all()
    gap = (found["noise + mean"][:, 1] - found["noise + mean"][:, 2]).abs()
    assert found["noise + mean"].mean() > 0.3 and gap.max() < 0.1


def test_every_analysis_reads_the_published_network(published):
    for hybrid in published.hybrid:
        found = fusions(hybrid, published.support_class)
        assert list(found) == list(FUSIONS)
        assert all(x.shape == (1, 32, 16, 16) and x.isfinite().all() for x in found.values())
    told = similarity(stages(hybrid), hybrid.record["scan_in_support"], published)
    assert all(x.isfinite().all() for x in told.values())
    basis = fit_basis(found.values())
    assert basis.colours(found["SRM"]).shape == (1, 16, 16, 3)


def test_the_basis_is_principal_and_its_signs_are_fixed():
    rng = np.random.default_rng(0)
    axes = np.linalg.qr(rng.standard_normal((5, 5)))[0][:3]
    spread = np.array([3.0, 2.0, 1.0])
    maps = torch.from_numpy((rng.standard_normal((2, 20, 20, 3)) * spread) @ axes + 0.5)
    maps = maps.permute(0, 3, 1, 2)
    basis = fit_basis([maps[:1], maps[1:]])
    assert np.allclose(np.abs((basis.components * axes).sum(1)), 1, atol=0.05)
    assert np.allclose(basis.explained, spread**2 / 14, atol=0.05)
    assert (basis.components[range(3), np.abs(basis.components).argmax(1)] > 0).all()
    mirrored = fit_basis([maps[1:].flip(-1), maps[:1].flip(-2)])
    assert np.allclose(basis.components, mirrored.components, atol=1e-3), "order turns no sign"
    colours = basis.colours(maps)
    assert colours.shape == (2, 20, 20, 3) and colours.min() == 0 and colours.max() == 1
    assert np.allclose(basis.project(basis.mean[:, None, None]), 0)
    with pytest.raises(ValueError, match="expected maps of at least 3 pixels"):
        fit_basis([])


def test_similarity_maps_are_cosines_with_the_prototype(seen):
    hybrid = seen.hybrid[0]
    support = hybrid.record["scan_in_support"]
    found = to_prototype(support, support, seen.support_class)
    assert found.shape == seen.query_class.shape and (found.abs() <= 1 + 1e-6).all()
    mean = class_mean(support, seen.support_class)[1]
    assert torch.isclose(found[1, 3, 3], cosine_similarity(support[1, :, 3, 3], mean, dim=0))

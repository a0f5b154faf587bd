"""The eight questions' numbers: rank correlations, networks asked otherwise."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from hmnet_lite import HMNet, HMNetConfig
from hmnet_lite.models.backbones import Features
from hmnet_lite.workbook.figures.questions import along_the_scan, more_supports, support_read
from hmnet_lite.workbook.measured_tests import otherwise
from hmnet_lite.workbook.numbers_of_questions import rank_correlation
from hmnet_lite.workbook.numbers_of_questions import support_read as pixels_read


def test_a_rank_correlation_is_spearmans_and_its_chance_that_of_exchanges():
    rng = np.random.default_rng(0)
    x, y = rng.random((2, 7))
    found = rank_correlation(x, y, np.zeros(7))
    assert found["rho"] == pytest.approx(spearmanr(x, y).statistic)
    every = rank_correlation(x, x, np.zeros(7))
    assert every["rho"] == pytest.approx(1) and every["chance"] == pytest.approx(2 / 5040)


def test_within_groups_a_difference_between_groups_counts_nothing():
    x = np.array([1.0, 2, 3, 11, 12, 13])
    y = np.array([3.0, 2, 1, 13, 12, 11])
    groups = np.array(["a"] * 3 + ["b"] * 3)
    assert rank_correlation(x, y, np.zeros(6))["rho"] > 0
    within = rank_correlation(x, y, groups)
    assert within["rho"] == pytest.approx(-1) and within["chance"] == pytest.approx(2 / 36)


@torch.no_grad()
def test_the_same_weights_are_asked_otherwise_and_one_support_is_the_same_for_all():
    torch.manual_seed(0)
    config = HMNetConfig(dim=16, state=4, recap_ratio=2, prototype=False, prior="none")
    network = HMNet(config).eval()
    torch.nn.init.normal_(network.mixer.blocks[1].out_query.weight)  # it is not silent
    deep, fine = network.backbone.deep_channels, network.backbone.fine_channels
    query = Features(torch.randn(1, fine, 16, 16), torch.randn(1, deep, 8, 8))
    supports, masks = torch.randn(1, 3, deep, 8, 8), torch.zeros(1, 3, 128, 128)
    masks[..., 32:96, 32:96] = 1
    answers = {
        shots: [
            otherwise(network, **switches).segment(query, supports[:, :shots], masks[:, :shots])
            for switches in ({}, {"pool_shots": "states"}, {"pool_shots": "recaps"})
        ]
        for shots in (1, 3)
    }
    for other in answers[1][1:]:
        torch.testing.assert_close(other, answers[1][0])
    own, states, recaps = answers[3]
    assert not torch.allclose(own, states) and not torch.allclose(states, recaps)
    with pytest.raises(ValueError, match="recap='never'"):
        otherwise(network, recap="never")


@pytest.fixture
def closed():
    yield
    plt.close("all")


@pytest.mark.usefixtures("closed")
def test_figures_show_what_they_are_given():
    found = {"quarters": [0.5, 0.4, 0.3, 0.2]}
    figure = along_the_scan({"same": {"once": found, "recap": found}, "cross": {"once": found}})
    lines = figure.axes[0].lines
    assert len(lines) == 2 and lines[0].get_ydata().tolist() == pytest.approx([50, 40, 30, 20])
    one, several = [0.5, 0.6], {"3": [0.6, 0.7]}
    given = {"net": {"same": {"features": {"1": one} | several, "recaps": several}}}
    figure = more_supports(given)
    for line in figure.axes[0].lines:  # both begin with one support
        assert line.get_ydata().tolist() == pytest.approx([55, 65])


@pytest.mark.usefixtures("closed")
def test_tied_every_alpha_reads_as_many_pixels_and_attention_all_for_each():
    told = pixels_read()
    for rows in told.values():
        read = {(label, pixels): seeds for label, pixels, seeds in rows}
        assert {pixels for label, pixels in read if label == "attention"} == {256 * 256}
        tied = {("4 patches", 256), ("16 patches", 256)}  # α of 2 and 4
        assert tied < set(read) and ("64 patches", 64 * 64) in read
        assert set(read["4 patches", 256]) == {0.0}, "against itself"
        assert any(0 < abs(change) < 1 for seeds in read.values() for change in seeds)
    axes = support_read(told).axes
    assert [ax.get_title() for ax in axes] == ["same", "sibling", "cross", "held-out"]

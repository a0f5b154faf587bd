"""Trained networks asked otherwise: what is exchanged is exchanged, and all that it could tell."""

import pytest
import torch

from hmnet_lite.models.lite import class_share
from hmnet_lite.models.prior import masked_mean
from hmnet_lite.scoring.predict import model_predictor
from hmnet_lite.workbook import measured, measured_tests
from hmnet_lite.workbook.measured_tests import HANDED, Exchange, flattened

SHOWN = 4


@pytest.fixture(scope="module")
def episodes():
    return measured.features("cross", SHOWN)


@pytest.fixture(scope="module")
def network():
    return measured.network(measured.state_network("both"))


@pytest.mark.parametrize("what", HANDED)
def test_another_state_changes_answers_where_it_is_listened_to(what, network, episodes):
    part, whose = HANDED[what]
    own, told = model_predictor(network), Exchange(network, episodes).predictor(part, whose)
    changed = sum((told(e) != own(e)).mean() for e in episodes) / SHOWN
    least, most = (0.01, 1) if part == "recap" else (0, 0.2)
    assert least < changed < most, "the recaps carry this network's answer, QIM does not"


def test_states_are_made_once_an_episode_and_anew_for_the_next(network, episodes):
    exchange = Exchange(network, episodes)
    first, second = episodes[0], episodes[1]
    (wrong,) = exchange.states(first, "wrong")
    assert exchange.states(first, "wrong")[0] is wrong
    assert not exchange.states(first, "zero")[0].any()
    assert not torch.equal(exchange.states(first, "prototype")[0], wrong)
    assert not torch.equal(exchange.states(second, "wrong")[0], wrong)


def test_the_prototype_s_support_has_its_prototype_and_nothing_else(episodes):
    features, masks = flattened(episodes[0])
    assert torch.equal(features, features[..., :1, :1].expand_as(features))
    own = episodes[0].support[None].float()
    shares = class_share(masks, own)
    assert not torch.allclose(features, own)
    torch.testing.assert_close(
        masked_mean(features, shares), masked_mean(own, shares), rtol=2e-3, atol=1e-4
    )


def test_knocked_out_has_every_part_that_a_network_has(monkeypatch):
    monkeypatch.setattr(measured_tests, "GAPS", ("cross",))
    told = measured_tests.knocked_out(2, (0,))["told"]
    ways = {network: set(gaps["cross"]) for network, gaps in told.items()}
    assert ways["SRM"] | ways["QIM"] < ways["SRM + QIM"]
    assert ways["SRM"] & ways["QIM"] == {"as trained"}
    for gaps in told.values():
        assert gaps["cross"]["as trained"]["change"]["mean"] == 0
        assert all(len(found["miou"]) == 1 for found in gaps["cross"].values())

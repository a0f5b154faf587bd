"""The hidden-state inspector's scan is the block's: the same states, recaps read literally."""

import matplotlib

matplotlib.use("Agg")

import numpy as np
import pytest

from hmnet_lite.analysis.look import look
from hmnet_lite.analysis.split import one_direction, split_state
from hmnet_lite.workbook.widgets.hidden import hidden_state, run, scan_data, sequence_state


@pytest.fixture(scope="module")
def hybrid(networks, episodes):
    return look(networks["state alone"], [episodes["held_out"]]).hybrid[0]


@pytest.mark.parametrize("direction", [0, 3])
def test_the_last_state_is_the_split_s(hybrid, direction):
    given, (support, query, patch) = scan_data(hybrid, direction), hybrid.scans()
    scans = (one_direction(s, direction) for s in (support, query))
    parts = split_state(*scans, segment=patch)
    expected = parts.whole[0].numpy()  # (channels, steps, state)
    states = run(given, patch=patch, recap=True)
    assert len(states) == 4 * 16 + 64, "the support of 16 pixels before each of four patches"
    tolerance = 5e-3 * np.abs(expected).max()  # what is packed is float16
    assert np.abs(states[-1] - expected[:, -1]).max() < tolerance
    assert np.abs(states[15] - parts.start[0].numpy()).max() < tolerance


def test_a_longer_step_forgets_more(hybrid):
    given = scan_data(hybrid, 0)
    silent = given | {"query": given["query"] | {"u": 0 * given["query"]["u"]}}
    kept = [
        np.linalg.norm(states[-1]) / np.linalg.norm(states[15])
        for states in (run(silent, patch=16, recap=False, factor=f) for f in (1, 8))
    ]
    assert kept[1] < kept[0] < 1


def test_it_ships_what_the_page_needs_and_little_more(networks, episodes):
    live = hidden_state(networks["state alone"], episodes["same"])
    assert len(live.data["scans"]) == len(live.data["directions"]) == 4
    assert live.data["patch"] == 16 and live.still[:2] in {b"\x89P", b"\xff\xd8"}
    assert live.data["scans"][0]["query"]["u"].shape == (64, 32)


def test_a_sequence_s_states_are_the_recurrence_s():
    u, A = np.array([1.0, -2.0, 0.5]), np.array([-1.0, -4.0])
    steps = {"one": np.array([0.125, 0.75, 0.25]), "other": np.full(3, 0.5)}
    live = sequence_state(u, steps, A, start=2)
    assert live.data["directions"] == ["one", "other"] and live.data["start"] == 2
    for given, delta in zip(live.data["scans"], steps.values(), strict=True):
        h, expected = 0, []
        for u_t, delta_t in zip(u, delta, strict=True):
            h = np.exp(delta_t * A) * h + delta_t * u_t
            expected.append(h)
        found = run(given, patch=live.data["patch"], recap=True)
        assert np.allclose(found[:, 0], expected, rtol=1e-5)

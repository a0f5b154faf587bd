"""Swap the support: the answers are the network's, and only listeners change theirs."""

import matplotlib

matplotlib.use("Agg")

import numpy as np
import pytest
import torch

from hmnet_lite.analysis.swap import SHOWN, swapped_supports
from hmnet_lite.models.features import to_tensor
from hmnet_lite.workbook.widgets.swap import swap_the_support


def test_the_right_support_gives_the_network_s_own_answer(networks, episodes, others):
    model, given = networks["state alone"], list(episodes.values())
    answers = swapped_supports(model, given, list(others.values()))
    assert tuple(answers) == SHOWN
    e = given[1]
    with torch.no_grad():
        logits = model(
            to_tensor(e.query_image)[None],
            torch.stack([to_tensor(x) for x in e.support_images])[None],
            torch.from_numpy(e.support_masks)[None],
        )
    assert torch.allclose(answers["right"][1], logits.softmax(1)[0, 1], atol=1e-5)


def test_another_support_changes_what_a_listener_says(networks, episodes, others):
    given = list(episodes.values())
    alone = swapped_supports(networks["state alone"], given, list(others.values()))
    assert not torch.allclose(alone["right"], alone["another class's"], atol=1e-4)
    again = swapped_supports(networks["state alone"], given, list(others.values())[::-1])
    assert torch.equal(again["none"], alone["none"]), "none is none, whoever the other is"


def test_an_other_of_the_same_class_is_refused(networks, episodes):
    given = list(episodes.values())
    with pytest.raises(ValueError, match="expected the other one to be of another class"):
        swapped_supports(networks["state alone"], given, given)


def test_the_picture_holds_the_answers(networks, episodes, others):
    live = swap_the_support(networks, episodes, others)
    answers = swapped_supports(
        networks["with shortcuts"], list(episodes.values()), list(others.values())
    )
    for i, gap in enumerate(episodes):
        for shown, found in zip(SHOWN, live.data["answers"]["with shortcuts"][gap], strict=True):
            for threshold in np.arange(1, 20) / 20:  # in few levels, but never another mask
                expected = answers[shown][i].double().numpy() > threshold
                assert np.array_equal(found > 255 * threshold, expected)
    assert live.still[:2] in {b"\x89P", b"\xff\xd8"} and live.data["shown"] == list(SHOWN)

"""Small networks and small episodes for the live pictures' tests; none is trained."""

import numpy as np
import pytest
import torch

from hmnet_lite import HMNet, HMNetConfig
from hmnet_lite.data import EmojiEpisodes


@pytest.fixture(scope="session")
def episodes():
    """One scene of 128 × 128 at two gaps: maps of 8 × 8."""
    return {
        gap: EmojiEpisodes(0, "test", gap=gap, image_size=128)[3] for gap in ("same", "held_out")
    }


def network(**options):
    """A network of the options that starts as a matcher, so that it listens."""
    torch.manual_seed(0)
    model = HMNet(HMNetConfig(dim=16, state=4, recap_ratio=2, start="matching", **options)).eval()
    model.mixer.start_matching()
    return model


@pytest.fixture(scope="session")
def networks():
    """One with both shortcuts, and one that has its state alone and zooms."""
    alone = dict(prototype=False, prior="none", zoom=True)
    return {"with shortcuts": network(), "state alone": network(**alone)}


@pytest.fixture(scope="session")
def others():
    """Scenes of another class, at the same gaps."""
    return {
        gap: EmojiEpisodes(0, "test", gap=gap, image_size=128)[4] for gap in ("same", "held_out")
    }


@pytest.fixture(scope="session")
def live(networks, episodes, others):
    """Every live picture by its topic, small."""
    from hmnet_lite.workbook.widgets.hidden import hidden_state
    from hmnet_lite.workbook.widgets.qim import pixel_inspector
    from hmnet_lite.workbook.widgets.state import forgetting_explorer
    from hmnet_lite.workbook.widgets.swap import swap_the_support
    from hmnet_lite.workbook.widgets.task import gap_dial

    half = {gap: np.linspace(0, 1, 128)[None].repeat(128, 0) for gap in episodes}
    return {
        "hidden": hidden_state(networks["state alone"], episodes["held_out"]),
        "qim": pixel_inspector(networks, episodes, start=(3, 3)),
        "state": forgetting_explorer(networks["state alone"], episodes),
        "swap": swap_the_support(networks, episodes, others),
        "task": gap_dial(episodes, {"right half": half}),
    }

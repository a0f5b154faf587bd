"""Small networks and small episodes for the live pictures' tests; none is trained."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from hmnet_lite import HMNet, HMNetConfig
from hmnet_lite.data import EmojiEpisodes
from hmnet_lite.data.emoji.referring.dataset import EmojiReferring
from hmnet_lite.models.diffews.config import DiffewSConfig
from hmnet_lite.models.diffews.model import DiffewS
from hmnet_lite.models.features import to_tensor
from hmnet_lite.models.remamba.config import ReMamberConfig
from hmnet_lite.models.remamba.model import ReMamber


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
def reader():
    """A network that reads sentences; two blocks."""
    torch.manual_seed(0)
    return ReMamber(ReMamberConfig(dim=16, inner=16, state=4)).eval()


@pytest.fixture(scope="session")
def told():
    """Two scenes of 128 × 128 with two sentences each."""
    scenes = EmojiReferring(0, "seen", image_size=128, sentences=2)
    return [scene for scene in (scenes[i] for i in range(9)) if len(scene.sentences) == 2][:2]


@pytest.fixture(scope="session")
def drawing():
    """A network that draws masks, and an episode of three supports at two gaps."""
    torch.manual_seed(0)
    model = DiffewS(DiffewSConfig(channels=8, blocks=(16, 32), heads=2, tokens=16)).eval()
    shown = {
        gap: EmojiEpisodes(0, "test", gap=gap, image_size=128, shots=3)[3]
        for gap in ("same", "cross")
    }
    pictures = [to_tensor(x) for e in shown.values() for x in e.support_images]
    with torch.no_grad():
        model.autoencoder.fit(model.backbone(torch.stack(pictures)))
    return model, shown


def growing(episodes):
    """(episodes, runs, losses) of a training whose mask grows more certain."""
    watched = [
        SimpleNamespace(query_image=e.query_image, query_mask=e.query_mask) for e in episodes
    ]
    truth = np.stack([(e.query_mask == 1).astype(float) for e in watched])
    grown = {done: 0.1 + truth * done / 140 for done in (0, 50, 100)}
    runs = {"without Mamba": grown, "HMNet-lite": {k: v[:, ::-1] for k, v in grown.items()}}
    return watched, runs, {name: np.linspace(2, 0.5, 300) for name in runs}


@pytest.fixture(scope="session")
def live(networks, episodes, others, reader, told, drawing):
    """Every live picture by its topic, small."""
    from hmnet_lite.workbook.widgets.attention import image_attention, sequence_attention
    from hmnet_lite.workbook.widgets.diffusion import draw_the_mask
    from hmnet_lite.workbook.widgets.fused_pca import fusion_comparer
    from hmnet_lite.workbook.widgets.hidden import hidden_state, sequence_state
    from hmnet_lite.workbook.widgets.maps import walk_the_network
    from hmnet_lite.workbook.widgets.qim import pixel_inspector
    from hmnet_lite.workbook.widgets.recap import recap_player
    from hmnet_lite.workbook.widgets.state import forgetting_explorer
    from hmnet_lite.workbook.widgets.swap import swap_the_support
    from hmnet_lite.workbook.widgets.task import gap_dial
    from hmnet_lite.workbook.widgets.training import training_film
    from hmnet_lite.workbook.widgets.twister import say_it

    half = {gap: np.linspace(0, 1, 128)[None].repeat(128, 0) for gap in episodes}
    steps = {"slow": np.full(16, 0.125), "fast": np.full(16, 0.5)}
    line = np.linspace(-1, 1, 16), steps, -np.arange(1.0, 5)
    matrices = {"scan": np.tril(np.arange(256.0).reshape(16, 16) - 99), "attention": np.eye(16)}
    return {
        "attention": image_attention(networks["state alone"], episodes["same"], hybrid=True),
        "diffusion": draw_the_mask(*drawing, shots=(1, 3)),
        "rows": sequence_attention(matrices),
        "fused_pca": fusion_comparer(networks["state alone"], episodes),
        "hidden": hidden_state(networks["state alone"], episodes["held_out"]),
        "maps": walk_the_network(networks["state alone"], episodes["same"]),
        "qim": pixel_inspector(networks, episodes, start=(3, 3)),
        "recap": recap_player(networks["state alone"], episodes["held_out"]),
        "sequence": sequence_state(*line, start=3),
        "state": forgetting_explorer(networks["state alone"], episodes),
        "swap": swap_the_support(networks, episodes, others),
        "training": training_film(*growing(episodes.values()), list(episodes)),
        "task": gap_dial(episodes, {"right half": half}),
        "twister": say_it(reader, told),
    }

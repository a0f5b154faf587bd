"""Looks at networks of every kind, for the analyses' tests; none is trained."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from hmnet_lite import HMNet, HMNetConfig
from hmnet_lite.analysis.look import look
from hmnet_lite.data.photos.folder import FolderEpisodes
from hmnet_lite.models.features import CachedFeatures
from hmnet_lite.models.hmnet.model import PublishedConfig, PublishedHMNet
from hmnet_lite.models.hmnet.weights import mixer_from_state_dict
from tests.data.photos import trees
from tests.golden.synth import synth_input, synth_state_dict

KINDS = {
    "both": {"recap_ratio": 4},
    "cross": {"srm": "basic", "qim": "off"},
    "own": {"qim": "own", "recap_ratio": 2, "zoom": True},
    "close": {"recap_ratio": 2, "support_ratio": 1, "qim_ratio": 1},
}
GOLDEN = Path(__file__).parents[1] / "golden"


@pytest.fixture(scope="session")
def photos(tmp_path_factory):
    """Four episodes of a folder of pictures: maps of 8 × 8."""
    root = trees.class_folders(tmp_path_factory.mktemp("own"), ("bowl", "cup", "mug"))
    options = trees.QUIET | {"image_size": 128, "small_object": 1}
    return FolderEpisodes(root, None, "test", length=4, **options)


@pytest.fixture(scope="session")
def batch(photos, tmp_path_factory):
    folder = tmp_path_factory.mktemp("cache")
    cached = CachedFeatures(photos, folder=folder, workers=1, progress=False)
    return cached.batch(range(4))


@pytest.fixture(scope="session")
def looks(batch):
    """A network of each of `KINDS` that starts as a matcher, and what it did."""
    found = {}
    for kind, switches in KINDS.items():
        torch.manual_seed(0)
        model = HMNet(HMNetConfig(dim=16, state=4, start="matching", **switches)).eval()
        model.mixer.start_matching()
        found[kind] = look(model, batch)
    return found


@pytest.fixture(params=KINDS)
def seen(request, looks):
    """A look at each kind of network."""
    return looks[request.param]


@pytest.fixture(scope="session")
def published():
    """The published network, its mixer with a golden run's synthetic weights, on two pictures."""
    weights = synth_state_dict(GOLDEN / "mixer_d4_c16.names.json", seed=0)
    torch.manual_seed(0)
    model = PublishedHMNet(PublishedConfig(dim=16, depth=4, image_size=97, maps=16)).eval()
    model.mixer = mixer_from_state_dict({k: torch.from_numpy(x) for k, x in weights.items()})
    y, x = np.mgrid[:97, :97] / 97
    disc = ((x - 0.5) ** 2 + (y - 0.45) ** 2 < 0.04).astype(np.uint8)
    seen = [synth_input(kind, (97, 97, 3)) for kind in ("query", "support")]
    query, support = ((255 / (1 + np.exp(-x))).astype(np.uint8) for x in seen)
    episode = SimpleNamespace(
        query_image=query, support_images=support[None], support_masks=disc[None], query_mask=disc
    )  # fmt: skip
    return look(model, [episode])

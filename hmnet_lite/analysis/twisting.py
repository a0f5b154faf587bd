"""What the twister does to its cube: colours by principal components, and how near its parts come.

    seen = watch(model, image, "the red bus")
    seen.colours[block][step]       # (3, h, w, 3): visual, text, local; step: a name in STEPS
    seen.likeness[block][step]      # mean cosine between the three parts
    seen.mask

ReMamber's figure paints the three parts of the cube before the scans, after the channel scan and
after the spatial scan, and reads from it that the channel scan gathers the modalities near the text
and the spatial scan spreads them again. `likeness` puts a number to "near".
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from hmnet_lite.analysis.fused_pca import fit_basis
from hmnet_lite.models.features import to_tensor
from hmnet_lite.models.remamba.model import ReMamber
from hmnet_lite.record import Recorder

STEPS = {"before": "cube", "channel scan": "cube_channel", "spatial scan": "cube_spatial"}
PARTS = ("visual", "text", "local")


@dataclass(frozen=True, eq=False)
class Twisting:
    """A sentence's way through the blocks.

    Attributes:
        probability: (H, W) in [0, 1], of what the sentence names.
        mask: (H, W) bool, the answer: where it is above one half.
        colours: a block → {step of `STEPS`: (3, h, w, 3) in [0, 1]}, principal components of the
            features' directions, one basis for the block.
        likeness: a block → {step: {"visual and text": mean cosine, …}}.
        grounded: (tokens, h, w), how much each pixel is each noun; 0 where a token is none.
    """

    probability: np.ndarray
    mask: np.ndarray
    colours: list[dict[str, np.ndarray]]
    likeness: list[dict[str, dict[str, float]]]
    grounded: np.ndarray


@torch.no_grad()
def watch(model: ReMamber, image: np.ndarray, text: str) -> Twisting:
    """Run a sentence and keep what the twister did.

    Args:
        model: with the twister, its scans in the paper's order.
        image: (H, W, 3) uint8, sides multiples of 16.
        text: the sentence.

    Raises:
        ValueError: another fusion or order of scans, or a sentence that cannot be read.
    """
    config = model.config
    if config.fusion != "twister" or config.scans != "channel-spatial" or config.permuted:
        raise ValueError(
            f"fusion={config.fusion!r}, scans={config.scans!r}, permuted={config.permuted}; "
            "expected the twister with scans='channel-spatial' and its channels in order"
        )
    with Recorder() as seen:
        logits = model(to_tensor(image)[None], [text])
    twists = [block for block in seen.blocks if "cube" in block]
    colours, likeness = [], []
    for block in twists:
        cubes = {step: _parts(block[name]) for step, name in STEPS.items()}
        # directions, not sizes: the interaction is many times as large as the other two
        directions = {step: F.normalize(parts, dim=1) for step, parts in cubes.items()}
        basis = fit_basis(directions.values())
        colours.append({step: basis.colours(parts) for step, parts in directions.items()})
        likeness.append({step: part_likeness(parts) for step, parts in cubes.items()})
    probability = logits.softmax(1)[0, 1].numpy()
    mask = (logits[0, 1] > logits[0, 0]).numpy()
    return Twisting(probability, mask, colours, likeness, seen.network["grounded"][0].numpy())


def _parts(cube: Tensor) -> Tensor:
    """(1, 3·dim, h, w) → (3, dim, h, w)."""
    return cube[0].unflatten(0, (3, -1)).float()


def part_likeness(parts: Tensor) -> dict[str, float]:
    """Mean over the pixels of the cosine between two parts (3, dim, h, w), for each pair."""
    pairs = ((0, 1), (1, 2), (0, 2))
    return {
        f"{PARTS[i]} and {PARTS[j]}": float(F.cosine_similarity(parts[i], parts[j], dim=0).mean())
        for i, j in pairs
    }

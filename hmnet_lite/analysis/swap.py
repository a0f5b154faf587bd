"""Which supports matter where: the same network, its mixer alone shown another support, or none.

Prototype and prior, where a network has them, stay those of the right support; so what changes in
the answer is what the mixer's state carries.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from hmnet_lite.data.episode import Episode
from hmnet_lite.models.features import to_tensor
from hmnet_lite.models.lite import HMNet

SHOWN = ("right", "another class's", "none")


@torch.inference_mode()
def swapped_supports(
    model: HMNet, episodes: Sequence[Episode], others: Sequence[Episode]
) -> dict[str, Tensor]:
    """The network's answers with each support at its mixer.

    Args:
        model: in evaluation mode.
        episodes: with as many shots each.
        others: for each of them one of another class, whose support is the wrong one.

    Returns:
        each of `SHOWN` to foreground probabilities, (episodes, H, W) in [0, 1].

    Raises:
        ValueError: an episode's other is of its own class.
    """
    for episode, other in zip(episodes, others, strict=True):
        if episode.class_id == other.class_id:
            raise ValueError(
                f"both episodes show {episode.class_name!r}; expected the other one to be of "
                "another class: choose another episode"
            )
    device = next(model.parameters()).device
    query = model.backbone(torch.stack([to_tensor(e.query_image) for e in episodes]).to(device))
    support, wrong = (_support(model, given, device) for given in (episodes, others))
    given = (query, *support)
    size = episodes[0].query_mask.shape
    answers = {}
    for name, shown in zip(SHOWN, (None, wrong, tuple(0 * x for x in support)), strict=True):
        logits = model.segment(*given, mixer_support=shown)
        logits = F.interpolate(logits, size, mode="bilinear", align_corners=False)
        answers[name] = logits.softmax(1)[:, 1].cpu()
    return answers


def _support(model: HMNet, episodes: Sequence[Episode], device) -> tuple[Tensor, Tensor]:
    """Deep features (batch, shots, channels, h, w) and masks (batch, shots, H, W)."""
    images = torch.stack([to_tensor(x) for e in episodes for x in e.support_images]).to(device)
    deep = model.backbone(images).deep.unflatten(0, (len(episodes), -1))
    masks = torch.stack([torch.from_numpy(e.support_masks) for e in episodes]).to(device)
    return deep, masks

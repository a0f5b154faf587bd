"""Draw the mask: what DiffewS sees, first guesses and draws, with noise, shots and a threshold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from hmnet_lite.data.episode import Episode
from hmnet_lite.models.diffews.fusion import likeness
from hmnet_lite.models.diffews.masks import shares, told_image
from hmnet_lite.models.diffews.model import DiffewS
from hmnet_lite.models.features import to_tensor
from hmnet_lite.scoring.metrics import mask_iou
from hmnet_lite.workbook.figures.task import paint_prediction, picture_table
from hmnet_lite.workbook.widgets.live import Live, Picture, as_bytes, in_steps, seen_as, still

STEPS = ("the query's latent", "the first guess", "drawn in one step")
NOISE = (0.0, 0.1, 0.3, 0.6, 0.9)  # shares of a noisy latent's variance
COARSE = 2  # pictures travel at their side over this, drawings at twice this


def draw_the_mask(
    model: DiffewS,
    episodes: Mapping[str, Episode],
    *,
    shots: Sequence[int] = (1, 3, 5),
    seed: int = 0,
) -> Live:
    """See what the network draws, and when it no longer can.

    Controls: the step that is shown, how noisy the query's latent is, the shots, the threshold of
    the mask (relative to the brightest pixel), the gap.

    Args:
        model: that draws masks white on black, in one step.
        episodes: gap to an episode with as many supports as the most of `shots`.
        shots: supports that the network is shown.
        seed: of the noise.

    Raises:
        ValueError: an episode has fewer supports, or the model draws other pictures.
    """
    fewest = min(len(e.support_images) for e in episodes.values())
    if fewest < max(shots):
        raise ValueError(f"an episode has {fewest} supports; expected {max(shots)} for these shots")
    config = model.config
    if (config.mask_image, config.generation) != ("white", "one-step"):
        raise ValueError(
            f"a network of mask_image={config.mask_image!r}, generation={config.generation!r}; "
            "expected 'white' and 'one-step'"
        )
    data = {
        "gaps": list(episodes),
        "steps": list(STEPS),
        "noise": list(NOISE),
        "shots": list(shots),
        "level": config.level,
        "episodes": {gap: _episode(model, e, shots, seed) for gap, e in episodes.items()},
    }
    alt = "What DiffewS draws for a query from one, three or five supports, and the mask in it"
    return Live("diffusion", data, still(_still(data)), alt)


@torch.inference_mode()
def _episode(model: DiffewS, episode: Episode, shots: Sequence[int], seed: int) -> dict[str, Any]:
    supports = torch.stack([to_tensor(x) for x in episode.support_images])
    masks = torch.from_numpy(episode.support_masks)
    looks = model.look(to_tensor(episode.query_image)[None]), model.look(supports)
    query, seen = (model.autoencoder.encode(x) for x in looks)
    seen = seen[None]
    marks = None
    if model.config.guess == "metric":
        marks, heard = (model.marks(x) for x in looks)
    told = model.encode(told_image(model.config.injection, supports, masks))[None]
    inside = shares(masks[None], query.shape[-2:])
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(query.shape, generator=generator)
    if marks is not None:
        blur = marks.std() * torch.randn(marks.shape, generator=generator)
    rows = []
    for share in NOISE:
        noisy = (1 - share) ** 0.5 * query + share**0.5 * noise
        alike, row = None, []
        if marks is not None:  # what the guess looks at is as noisy
            dim = (1 - share) ** 0.5 * marks + share**0.5 * blur
            alike = likeness(dim, heard[None])
        for count in shots:
            given = seen[:, :count], told[:, :count], inside[:, :count]
            near = None if alike is None else alike[:, :count]
            guess = model.guess(noisy, *given[:2], near)
            drawn = model.generate(noisy, *given, near)
            light = model.decode(drawn).mean(1, keepdim=True)
            light = (light / light.max()).clamp(0, 1)
            size = [n // COARSE for n in episode.query_mask.shape]
            whole = F.interpolate(light, size, mode="bilinear", align_corners=False)
            row.append(
                {"guess": _picture(model, guess), "drawn": _picture(model, drawn),
                 "light": in_steps(whole[0, 0].numpy())}
            )  # fmt: skip
        rows.append({"latent": _picture(model, noisy), "shots": row})
    coarse = slice(None, None, COARSE)
    return {
        "query": seen_as(episode.query_image[coarse, coarse], episode.query_mask[coarse, coarse]),
        "supports": [
            seen_as(image[coarse, coarse], mask[coarse, coarse])
            for image, mask in zip(episode.support_images, episode.support_masks, strict=True)
        ],
        "noise": rows,
    }


def _picture(model: DiffewS, latent: Tensor) -> Picture:
    """A latent as the decoder draws it, small."""
    image = F.avg_pool2d(model.decode(latent), 2)[0].permute(1, 2, 0).clamp(0, 1)
    return Picture(as_bytes(image.numpy()))


def _still(data: Mapping[str, Any]) -> Any:
    """The first gap without noise: an answer for each number of shots."""
    told = data["episodes"][data["gaps"][0]]
    image, mask = told["query"]["image"].image, told["query"]["mask"]
    found = [x["light"] > 255 * data["level"] for x in told["noise"][0]["shots"]]
    ious = [mask_iou(f, mask) or 0 for f in found]
    return picture_table(
        {"answer": [paint_prediction(image, f, mask) for f in found]},
        [f"{n} support{'s' * (n > 1)}" for n in data["shots"]],
        captions={"answer": [f"IoU {100 * x:.0f} %" for x in ious]},
        side=1.4,
    )

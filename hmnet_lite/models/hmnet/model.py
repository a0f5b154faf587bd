"""The whole HMNet as published: what the authors' checkpoints hold (paper, Fig. 2; BAM's ensemble).

    query, supports ──► backbone ─┬─ F2, F3 ─► reduce ─► prototype, masked support ─┐
      (frozen)                    ├─ F4 ─────────────┬─► two priors ────────────────┴─► merge
                                  └─ F4 ─► base ─ Fb ┘                                    │
                                          learner │               query map, support map ▼
      F2 ─► style distance ψ ─────────────────────┼──► ensemble ◄── decoder ◄──────── mixer
                                  base foreground ┘        └─► background, foreground

It is larger and older in its details than HMNet-lite, with which it shares the mixer alone:
`weights.py` reads weights into it, `golden/` in the tests holds what it must give.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hmnet_lite.mamba.config import MixerConfig
from hmnet_lite.mamba.mixer import MambaMixer
from hmnet_lite.maps import resize
from hmnet_lite.models.checks import check_episode
from hmnet_lite.models.hmnet.backbones import BACKBONES
from hmnet_lite.models.hmnet.base_learner import BaseLearner, Ensemble, style_distance
from hmnet_lite.models.hmnet.decoder import PublishedDecoder
from hmnet_lite.models.hmnet.prior import published_prior_maps
from hmnet_lite.models.prior import masked_mean
from hmnet_lite.record import record
from hmnet_lite.scan.precision import exact, in_full

PRIOR_SCALE = 10.0


@dataclass(frozen=True)
class PublishedConfig(MixerConfig):
    """Everything that decides the published network's shape: the mixer's switches, and these.

    Attributes:
        dim, depth: 256 channels and 8 mixer blocks, as published.
        published_skip: on, as released.
        backbone: "resnet50" or "vgg16".
        image_size: side of the square pictures: 473 (PASCAL-5i) or 633 (COCO-20i) as published;
            8 · n + 1 in general.
        shots: K, 1 or more; more than one has a reweighting head of its own.
        base_classes: background and the base classes: 16 (PASCAL-5i) or 61 (COCO-20i).
        reweight_bias: whether the K-shot head's convolutions have biases.
        maps: side of the mixer's square maps; None: 64 up to 473 px and 80 above, as released.
            (The paper's C.5 says an eighth of the picture: 60 and 80, and 100, 120, 140 at 793,
            953 and 1113 px.)

    Raises:
        ValueError: as `MixerConfig`; a backbone, size, shot count or map side that cannot be.
    """

    dim: int = 256
    depth: int = 8
    published_skip: bool = True
    backbone: str = "resnet50"
    image_size: int = 473
    shots: int = 1
    base_classes: int = 16
    reweight_bias: bool = False
    maps: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.backbone not in BACKBONES:
            raise ValueError(
                f"backbone={self.backbone!r} is not known; choose one of {', '.join(BACKBONES)}"
            )
        if self.image_size < 65 or self.image_size % 8 != 1:
            raise ValueError(
                f"image_size={self.image_size}; expected 473, 633 or another 8·n + 1 from 65 on, "
                "so that the strided maps' corners fall on the picture's"
            )
        if self.shots < 1:
            raise ValueError(f"shots={self.shots}; expected at least 1")
        if self.pool_shots != "features":
            raise ValueError(
                f"pool_shots={self.pool_shots!r}; the published network averages the features of "
                "its supports: expected features"
            )
        if self.maps is not None and self.maps < self.recap_ratio:
            raise ValueError(
                f"maps={self.maps}; expected a side of at least the recap ratio {self.recap_ratio}"
            )

    @property
    def map_side(self) -> int:
        """S, side of the mixer's square maps."""
        return self.maps or (64 if self.image_size <= 473 else 80)


class Features(NamedTuple):
    """What the frozen part knows of a batch of pictures; (…, channels, height, width) each."""

    low: Tensor  # F2
    mid: Tensor  # F3
    deep: Tensor  # F4
    base: Tensor  # Fb, the base learner's


class PublishedHMNet(nn.Module):
    """HMNet as published; called as HMNet-lite is.

    Its weights are random until `hmnet_from_state_dict` fills them in; the backbone and the base
    learner are frozen.

    Args:
        config: a `PublishedConfig`.
    """

    def __init__(self, config: PublishedConfig | None = None):
        super().__init__()
        self.config = config = config or PublishedConfig()
        dim = config.dim
        self.backbone = BACKBONES[config.backbone]()
        self.base_learner = BaseLearner(self.backbone.deep_channels, config.base_classes)
        mid = self.backbone.low_channels + self.backbone.mid_channels
        for kind in ("query", "support"):
            reduce = nn.Conv2d(mid, dim, 1, bias=False)
            self.add_module(f"reduce_{kind}", nn.Sequential(reduce, nn.ReLU(), nn.Dropout2d(0.5)))
        self.merge_query = nn.Conv2d(2 * dim + 2, dim, 1, bias=False)
        self.merge_support = nn.Conv2d(2 * dim + 1, dim, 1, bias=False)
        self.mixer = MambaMixer(config)
        self.decoder = PublishedDecoder(dim)
        self.ensemble = Ensemble(config.shots, config.reweight_bias)
        for name, values in (("mean", (0.485, 0.456, 0.406)), ("std", (0.229, 0.224, 0.225))):
            self.register_buffer(name, torch.tensor(values).view(3, 1, 1), persistent=False)

    def forward(
        self,
        query_image: Tensor,
        support_images: Tensor,
        support_masks: Tensor,
        left_out: Tensor | None = None,
    ) -> Tensor:
        """Segment the query as the supports show.

        Args:
            query_image: (batch, 3, side, side), float in [0, 1], side = config.image_size.
            support_images: (batch, shots, 3, side, side), likewise; shots = config.shots.
            support_masks: (batch, shots, side, side) of 0 background, 1 the class, 255 ignore
                (which counts as background, see `published_prior_maps`); each must hold some of
                the class.
            left_out: (batch,) int64, for training: see `BaseLearner.foreground`.

        Returns:
            scores (batch, 2, side, side): background, foreground; the larger one decides. Not
            probabilities and not log-odds: the ensemble is linear in probabilities, and training
            takes the cross-entropy of these two numbers.

        Raises:
            TypeError, ValueError: what was given, what was expected, the mend.
        """
        device = self.merge_query.weight.device
        check_episode(query_image, support_images, support_masks, 1, device)
        side, shots = self.config.image_size, self.config.shots
        for name, images in (("query_image", query_image), ("support_images", support_images)):
            if images.shape[-2:] != (side, side):
                raise ValueError(
                    f"{name} is {images.shape[-2]} × {images.shape[-1]} pixels and this network "
                    f"takes {side} × {side}; resize the pictures and masks, or build it with "
                    "another image_size (the weights fit any)"
                )
        if support_images.shape[1] != shots:
            raise ValueError(
                f"support_images holds {support_images.shape[1]} shots and this network weighs "
                f"{shots}; give {shots}, or load a checkpoint trained for "
                f"{support_images.shape[1]}"
            )
        pictures = (x.to(self.mean.dtype) for x in (query_image, support_images))
        query, support = ((x - self.mean) / self.std for x in pictures)
        return self.forward_normalised(query, support, support_masks, left_out)

    def forward_normalised(
        self, query: Tensor, support: Tensor, masks: Tensor, left_out: Tensor | None = None
    ) -> Tensor:
        """`forward` on pictures already normalised by ImageNet's mean and deviation; unchecked."""
        batch, shots = masks.shape[:2]
        support_features = self.features(support.flatten(0, 1))
        support_features = Features(*(x.unflatten(0, (batch, shots)) for x in support_features))
        scores = self.segment(self.features(query), support_features, masks, left_out)
        return resize(scores, *query.shape[-2:])

    def features(self, images: Tensor) -> Features:
        """The frozen part: (batch, 3, height, width), normalised → `Features`."""
        maps = self.backbone(images)
        return Features(*maps, self.base_learner(maps.deep))

    def segment(
        self, query: Features, support: Features, masks: Tensor, left_out: Tensor | None = None
    ) -> Tensor:
        """The trained part.

        Args:
            query: `Features` of the query pictures, (batch, channels, h, w).
            support: of the supports, (batch, shots, channels, h, w).
            masks: (batch, shots, height, width) of {0, 1, 255}.
            left_out: see `forward`.

        Returns:
            scores (batch, 2, S, S), S = config.map_side.

        Hands over to a `Recorder`: prior (before its ×10), prototype, query_in, support_in,
        query_out, meta_logits (the few-shot answer alone), base_foreground, style_distance (ψ, a
        shot) and mean_style (ψ̄).
        """
        side = (self.config.map_side,) * 2
        masks = resize((masks == 1).float(), *side)  # (b, k, S, S)
        shots = masks.shape[:2]
        with exact(masks):  # cosines: small differences decide
            queries, supports = ([in_full(x) for x in kinds[2:]] for kinds in (query, support))
            supports = [_resize_shots(x, side) for x in supports]
            prior = published_prior_maps(queries, supports, masks).to(query.deep.dtype)
        masks = masks.to(query.deep.dtype)  # prior: (b, 2, S, S)

        q = resize(self.reduce_query(torch.cat(query[:2], dim=1)), *side)  # (b, dim, S, S)
        s = self.reduce_support(torch.cat(support[:2], dim=2).flatten(0, 1))
        s = resize(s, *side).unflatten(0, shots)  # (b, k, dim, S, S)
        prototype = masked_mean(s, masks).mean(1)[..., None, None].expand_as(q)
        s = (s * masks[:, :, None]).mean(1)
        q = self.merge_query(torch.cat([q, prototype, PRIOR_SCALE * prior], dim=1))
        s = self.merge_support(torch.cat([s, prototype, masks.mean(1, keepdim=True)], dim=1))

        mixed = self.mixer(q, s)
        logits = self.decoder(F.relu(mixed))

        with exact(masks):
            style = style_distance(in_full(query.low), in_full(support.low))  # (b, k)
        style = style.to(logits.dtype)
        base = self.base_learner.foreground(resize(query.base, *side), left_out)
        record(
            prior=prior, prototype=prototype[..., 0, 0], query_in=q, support_in=s,
            query_out=mixed, meta_logits=logits, base_foreground=base, style_distance=style,
            mean_style=self.ensemble.mean_style(style),
        )  # fmt: skip
        return self.ensemble(logits, style, base)


def _resize_shots(x: Tensor, side: tuple[int, int]) -> Tensor:
    """(batch, shots, channels, height, width) → the same, resized."""
    return resize(x.flatten(0, 1), *side).unflatten(0, x.shape[:2])

"""HMNet-lite: frozen backbone → prior and prototype → Mamba mixer → decoder → mask.

    query picture ──────► backbone ─┬─ deep ─┬─► prior ──┐
                                    │        └───────────┴─► merge ─► mixer ─► decoder ─► logits
    support pictures ───► backbone ─┼─ deep · mask ────────► merge ────┘          ▲
    support masks ──────────────────┘   └─► prototype (to both merges)            │
                                    fine (query's stride-8 map) ──────────────────┘

With `depth=0` the mixer is empty and what is left is the classic prototype network: the baseline
that HMNet has to beat with everything else equal.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from hmnet_lite.mamba.blocks import MambaMixer
from hmnet_lite.models.backbones import BACKBONES, Features
from hmnet_lite.models.checks import check_episode
from hmnet_lite.models.decoder import Decoder
from hmnet_lite.models.prior import PRIORS, masked_mean, prior_maps


@dataclass(frozen=True)
class HMNetConfig:
    """Everything that decides the network's shape.

    Attributes:
        backbone: a name in `hmnet_lite.models.backbones.BACKBONES`.
        dim: channels of the mixer and decoder; a multiple of 16.
        depth: mixer blocks, self and hybrid in turn; 0 is the network without Mamba.
        state: size of each channel's state.
        recap_ratio: α; no side of the stride-16 map may be shorter.
        detach_support_state, srm, qim, directions: see `MambaMixer`; the ablations' switches.
        prior_scale: what the priors are multiplied by before the merge (published: 10).
    """

    backbone: str = "efficientnet_lite0"
    dim: int = 32
    depth: int = 2
    state: int = 16
    recap_ratio: int = 4
    detach_support_state: bool = True
    srm: str = "recap"
    qim: str = "shared"
    directions: int = 4
    prior_scale: float = 10.0

    def __post_init__(self) -> None:
        if self.backbone not in BACKBONES:
            raise ValueError(
                f"backbone={self.backbone!r} is not known; choose one of {', '.join(BACKBONES)}"
            )
        if self.dim < 16 or self.dim % 16:
            raise ValueError(f"dim={self.dim}; expected a positive multiple of 16")

    def to_dict(self) -> dict:
        """Plain values, for checkpoints and reports."""
        return asdict(self)


class HMNet(nn.Module):
    """Few-shot segmentation with hybrid Mamba over frozen features.

    Args:
        config: an `HMNetConfig`.
    """

    def __init__(self, config: HMNetConfig | None = None):
        super().__init__()
        self.config = config = config or HMNetConfig()
        self.backbone = BACKBONES[config.backbone]()
        deep, dim = self.backbone.deep_channels, config.dim
        self.reduce_query = nn.Sequential(nn.Conv2d(deep, dim, 1), nn.ReLU())
        self.reduce_support = nn.Sequential(nn.Conv2d(deep, dim, 1), nn.ReLU())
        self.merge_query = nn.Conv2d(2 * dim + PRIORS, dim, 1, bias=False)
        self.merge_support = nn.Conv2d(2 * dim + 1, dim, 1, bias=False)
        self.mixer = MambaMixer(
            dim, config.depth, state=config.state, recap_ratio=config.recap_ratio,
            detach_support_state=config.detach_support_state, srm=config.srm, qim=config.qim,
            directions=config.directions,
        )  # fmt: skip
        self.mixer.start_silent()
        self.decoder = Decoder(dim, self.backbone.fine_channels, PRIORS)

    def forward(
        self,
        query_image: Tensor,
        support_images: Tensor,
        support_masks: Tensor,
        trace: dict | None = None,
    ) -> Tensor:
        """Segment the query as the supports show.

        Args:
            query_image: (batch, 3, height, width), float in [0, 1], sides multiples of 16.
            support_images: (batch, shots, 3, height, width), likewise.
            support_masks: (batch, shots, height, width) of 0 background, 1 the class,
                255 ignore (any dtype); each must hold some of the class.
            trace: see `segment`.

        Returns:
            logits (batch, 2, height, width): background, foreground.

        Raises:
            TypeError, ValueError: what was given, what was expected, the mend.
        """
        device = self.merge_query.weight.device
        check_episode(query_image, support_images, support_masks, self.backbone.stride, device)
        shots = support_images.shape[1]
        query = self.backbone(query_image)
        support = self.backbone(support_images.flatten(0, 1)).deep
        support = rearrange(support, "(b k) c h w -> b k c h w", k=shots)
        logits = self.segment(query, support, support_masks, trace)
        size = query_image.shape[-2:]
        return F.interpolate(logits, size, mode="bilinear", align_corners=False)

    def segment(
        self, query: Features, support: Tensor, masks: Tensor, trace: dict | None = None
    ) -> Tensor:
        """The trained part, on features (which training caches).

        Args:
            query: `Features` of the query pictures.
            support: (batch, shots, channels, h, w) deep features of the supports.
            masks: (batch, shots, height, width) of {0, 1, 255}.
            trace: a dict that receives `prior`, `prototype`, `query_in`, `support_in`,
                `query_out` and `blocks` (see `MambaMixer`); the result does not change.

        Returns:
            logits (batch, 2, 2h, 2w) at stride 8.
        """
        # the share of each stride-16 cell that the class covers
        masks = F.adaptive_avg_pool2d((masks == 1).float(), support.shape[-2:])  # (b, k, h, w)
        prior = prior_maps(query.deep, support, masks)  # (b, 3, h, w)

        q = self.reduce_query(query.deep)  # (b, dim, h, w)
        s = self.reduce_support(support.flatten(0, 1)).unflatten(0, masks.shape[:2])
        prototype = masked_mean(s, masks).mean(1)[..., None, None].expand_as(q)
        s = (s * masks[:, :, None]).mean(1)  # supports averaged on their class only
        q = self.merge_query(torch.cat([q, prototype, self.config.prior_scale * prior], dim=1))
        s = self.merge_support(torch.cat([s, prototype, masks.mean(1, keepdim=True)], dim=1))

        blocks = None if trace is None else []
        mixed = self.mixer(q, s, blocks)
        if trace is not None:
            trace.update(prior=prior, prototype=prototype[..., 0, 0], query_in=q, support_in=s,
                         query_out=mixed, blocks=blocks)  # fmt: skip
        return self.decoder(F.relu(mixed), query.fine, prior)

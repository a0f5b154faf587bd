"""HMNet-lite: frozen backbone → metric → evidence and prototype → Mamba mixer → decoder → mask.

    query ───► backbone ─┬─ deep ─► metric ─┬─► evidence ─┐
                         │                  └─────────────┴─► merge ─► mixer ─► decoder ─► logits
    support ─► backbone ─┼─ deep ─► metric · mask ──────────► merge ────┘          ▲
    masks ───────────────┘                    └─► prototype (to both merges)       │
                         fine (query's stride-8 map) ──────────────────────────────┘

With `depth=0` the mixer is empty and what is left is the classic prototype network: the baseline
that HMNet has to beat with everything else equal.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from hmnet_lite.data.episode import IGNORE
from hmnet_lite.mamba.config import MixerConfig
from hmnet_lite.mamba.mixer import MambaMixer
from hmnet_lite.maps import resize
from hmnet_lite.models.backbones import BACKBONES, Features
from hmnet_lite.models.checks import check_episode
from hmnet_lite.models.controls import CORES, ControlMixer
from hmnet_lite.models.decoder import Decoder
from hmnet_lite.models.evidence import KINDS, evidence_maps
from hmnet_lite.models.metric import Metric
from hmnet_lite.models.prior import masked_mean
from hmnet_lite.models.zoom import zoom
from hmnet_lite.record import Recorder, record
from hmnet_lite.scan.precision import exact, in_full

DIGEST = 8  # channels of the evidence as the decoder sees it


@dataclass(frozen=True)
class HMNetConfig(MixerConfig):
    """Everything that decides the network's shape: the mixer's switches, and these.

    Attributes:
        dim: channels of the mixer and decoder; a multiple of 16.
        depth: mixer blocks; 0 is the network without Mamba.
        backbone: a name in `hmnet_lite.models.backbones.BACKBONES`.
        prototype: whether the query is shown the support's prototype before the mixer. This and
            the prior are shortcuts: with them the support reaches the query without the mixer.
        prior: who is shown the evidence maps: "both" the merge before the mixer and the decoder,
            the "decoder" alone, or "none". Or "mixed": the decoder is shown maps of the same kinds,
            but between query and support as they come out of the mixer, so none goes past it; or
            "all": as "both" and as "mixed". The last two are ours.
        prior_scale: how loud the evidence is beside features of size 1; the released network's
            priors are scaled by 10.
        zoom: show the mixer supports cut to the box of their class and enlarged.
        start: how the mixer begins: "silent", adding nothing, so that training starts from the
            network without Mamba; or "matching", as a matcher of query and support (see
            `start_matching`): beside no shortcut a random mixer hardly begins to learn.
        mixer: "mamba", or a control of the same size in its place, see
            `hmnet_lite.models.controls`: "convolution", "mlp", "attention" or "twister".

    Raises:
        ValueError: as `MixerConfig`; no such backbone; a dim that is no multiple of 16; a
            prior_scale that is not above 0.
    """

    backbone: str = "efficientnet_lite0"
    prototype: bool = True
    prior: Literal["both", "decoder", "none", "mixed", "all"] = "both"
    prior_scale: float = 1.0
    zoom: bool = False
    start: Literal["silent", "matching"] = "silent"
    mixer: Literal["mamba", "convolution", "mlp", "attention", "twister"] = "mamba"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.backbone not in BACKBONES:
            raise ValueError(
                f"backbone={self.backbone!r} is not known; choose one of {', '.join(BACKBONES)}"
            )
        if self.dim < 16 or self.dim % 16:
            raise ValueError(f"dim={self.dim}; expected a positive multiple of 16")
        if self.prior not in ("both", "decoder", "none", "mixed", "all"):
            raise ValueError(f"prior={self.prior!r}; expected both, decoder, none, mixed or all")
        if not 0 < self.prior_scale < float("inf"):
            raise ValueError(f"prior_scale={self.prior_scale!r}; expected a number above 0")
        if self.start not in ("silent", "matching"):
            raise ValueError(f"start={self.start!r}; expected silent or matching")
        if self.mixer not in ("mamba", *CORES):
            raise ValueError(f"mixer={self.mixer!r}; expected mamba, {', '.join(CORES)}")
        if self.matches and (self.mixer != "mamba" or self.pool_shots != "features"):
            raise ValueError(
                f"prior={self.prior!r} needs mixer='mamba', which gives a support beside the "
                "query, and pool_shots='features', one for all shots; they are "
                f"{self.mixer!r} and {self.pool_shots!r}"
            )
        for name, plain in (("pool_shots", "features"), ("generated", False)):
            if self.mixer != "mamba" and getattr(self, name) != plain:
                raise ValueError(
                    f"{name}={getattr(self, name)!r} needs mixer='mamba'; it is {self.mixer!r}"
                )

    @property
    def matches(self) -> bool:
        """Whether the decoder is shown maps of what comes out of the mixer."""
        return self.prior in ("mixed", "all")


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
        self.metric = Metric(self.backbone.deep_parts)
        evidence = KINDS * (len(self.backbone.deep_parts) + 1)
        self.evidence_norm = nn.BatchNorm2d(evidence, momentum=0.05)
        for kind in ("query", "support"):
            signed = config.start == "matching"  # a matcher's embedding has both signs
            bend = nn.Identity() if signed else nn.ReLU()
            self.add_module(f"reduce_{kind}", nn.Sequential(nn.Conv2d(deep, dim, 1), bend))
        self.merge_query = nn.Conv2d(2 * dim + evidence, dim, 1, bias=False)
        self.merge_support = nn.Conv2d(2 * dim + 1, dim, 1, bias=False)
        if config.mixer != "mamba":
            self.mixer = ControlMixer(config, config.mixer)
        else:
            self.mixer = MambaMixer(config, keep_support=config.matches)
        if config.start == "silent":
            self.mixer.start_silent()
        if config.matches:
            self.mixed_norm = nn.BatchNorm2d(KINDS, momentum=0.05)
        told = {"mixed": KINDS, "all": evidence + KINDS}.get(config.prior, evidence)
        self.digest = nn.Conv2d(told, DIGEST, 1)
        self.decoder = Decoder(dim, self.backbone.fine_channels, DIGEST)

    def forward(self, query_image: Tensor, support_images: Tensor, support_masks: Tensor) -> Tensor:
        """Segment the query as the supports show.

        Args:
            query_image: (batch, 3, height, width), float in [0, 1], sides multiples of 16.
            support_images: (batch, shots, 3, height, width), likewise; of any such size.
            support_masks: (batch, shots, height, width) of 0 background, 1 the class,
                255 ignore (any dtype); each must hold some of the class.

        Returns:
            logits (batch, 2, height, width): background, foreground.

        Raises:
            TypeError, ValueError: what was given, what was expected, the mend.
        """
        weight = self.merge_query.weight
        stride = self.backbone.stride
        check_episode(query_image, support_images, support_masks, stride, weight.device)
        shots = support_images.shape[1]
        query = self.backbone(query_image.to(weight.dtype))
        support = self.backbone(support_images.flatten(0, 1).to(weight.dtype)).deep
        support = rearrange(support, "(b k) c h w -> b k c h w", k=shots)
        logits = self.segment(query, support, support_masks)
        size = query_image.shape[-2:]
        return F.interpolate(logits, size, mode="bilinear", align_corners=False)

    def segment(
        self,
        query: Features,
        support: Tensor,
        masks: Tensor,
        mixer_support: tuple[Tensor, Tensor] | None = None,
        hidden: Tensor | None = None,
        keep_maps: bool = False,
    ) -> Tensor:
        """The trained part, on features (which training caches).

        Args:
            query: `Features` of the query pictures.
            support: (batch, shots, channels, h, w) deep features of the supports.
            masks: (batch, shots, height, width) of {0, 1, 255}.
            mixer_support: another (support, masks) for the mixer alone: what changes is what the
                network hears through its state. Prototype and priors stay those of `support`.
                Masks of zeros show the mixer no support at all. A mixed prior is then of that
                other support, too.
            hidden: (batch,) bool: episodes whose prototype and prior nobody is shown, as in
                `hmnet_lite.training.hiding`; None: none are. A mixed prior stays: it goes by
                the mixer.
            keep_maps: with another `mixer_support`, compare the query that comes out of the mixer
                with the own support all the same: a mixed prior that tells of the state alone.

        Returns:
            logits (batch, 2, 2h, 2w) at stride 8.

        Hands over to a `Recorder`: prior, prototype, query_in, support_in, query_out; and
        mixed_prior where there is one.
        """
        shares = class_share(masks, support)  # (b, k, h, w)
        with torch.no_grad(), exact(support):  # cosines: small differences decide
            queries, supports = self.metric(query.deep), self.metric(support)
            known = known_share(masks, support)
            prior = evidence_maps(queries, supports, shares, known)  # (b, 28, h, w)
        dtype = query.fine.dtype
        evidence = self.config.prior_scale * self.evidence_norm(prior.to(dtype))
        if hidden is not None:
            evidence = evidence.masked_fill(hidden[:, None, None, None], 0)
        nothing = torch.zeros_like(evidence)

        q = self.reduce_query(torch.cat(queries, dim=1).to(dtype))  # (b, dim, h, w)
        shown = self._reduce(supports)  # (b, k, dim, h, w)
        prototype = masked_mean(shown, shares.to(shown.dtype)).mean(1)  # (b, dim)
        told = prototype if self.config.prototype else torch.zeros_like(prototype)
        if hidden is not None:
            told = told.masked_fill(hidden[:, None], 0)
        hint = evidence if self.config.prior in ("both", "all") else nothing
        q = self.merge_query(torch.cat([q, _spread(told, q), hint], dim=1))

        own = shown, shares
        if mixer_support is not None:
            shares = class_share(mixer_support[1], mixer_support[0])
            with torch.no_grad(), exact(support):
                supports = self.metric(mixer_support[0])
            shown = self._reduce(supports)
        s, shares = self._support_map(shown, shares, q)

        hint = nothing if self.config.prior == "none" else evidence
        if self.config.matches:
            mixed, read = self.mixer.both(q, s)
            if keep_maps and mixer_support is not None:
                own_s, shares = self._support_map(*own, q)
                with Recorder():  # whoever listens hears of the other support
                    read = self.mixer.both(q, own_s)[1]
            maps = mixed_maps(mixed, read, shares)
            record(mixed_prior=maps)
            matched = self.mixed_norm(maps.to(mixed.dtype))
            alone = self.config.prior == "mixed"
            hint = matched if alone else torch.cat([evidence, matched], dim=1)
        else:
            mixed = self.mixer(q, s)
        record(prior=prior, prototype=prototype, query_in=q, support_in=s, query_out=mixed)
        return self.decoder(F.relu(mixed), query.fine, self.digest(hint))

    @torch.no_grad()
    def start_matching(self, objects: Tensor, classes: Tensor) -> None:
        """Begin as a matcher: query and support embedded alike, the mixer reading what it wrote.

        The embedding is Fisher's: the directions in which the classes' means differ most, in the
        metric, which must be fitted before. Ours; the paper says nothing about a start.

        Args:
            objects, classes: as in `Metric.fit`.
        """
        x = torch.cat([y[..., 0, 0] for y in self.metric(objects[..., None, None])], dim=1)
        kinds, members = classes.unique(return_inverse=True)
        means = torch.stack([x[members == k].mean(0) for k in range(len(kinds))])
        dim = self.config.dim
        axes = torch.linalg.svd(means - means.mean(0), full_matrices=False).Vh[:dim]
        seen = x @ axes.T
        for reduce in (self.reduce_query[0], self.reduce_support[0]):
            reduce.weight.zero_()
            reduce.weight[: len(axes), :, 0, 0] = axes / seen.std()
            reduce.bias.zero_()
            reduce.bias[: len(axes)] = -seen.mean(0) / seen.std()
        for merge in (self.merge_query, self.merge_support):
            merge.weight.zero_()
            merge.weight[:, :dim, 0, 0] = torch.eye(dim)
        nn.init.normal_(self.merge_support.weight[:, -1], std=0.7)  # where the class is
        self.mixer.start_matching()

    def _reduce(self, supports: list[Tensor]) -> Tensor:
        s = torch.cat(supports, dim=2).to(self.merge_support.weight.dtype)  # (b, k, channels, h, w)
        return self.reduce_support(s.flatten(0, 1)).unflatten(0, s.shape[:2])

    def _support_map(self, shown: Tensor, shares: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
        """Supports on their class only, cut where they are to be, at the query map's size.

        (batch, dim, h, w), averaged; or (batch, shots, dim, h, w) where the mixer reads each. And
        the share of each of their cells, (batch, shots, h, w).
        """
        shares = shares.to(shown.dtype)
        if self.config.zoom:
            cut = zoom(shown.flatten(0, 1), shares.flatten(0, 1))
            shown, shares = (x.unflatten(0, shares.shape[:2]) for x in cut)
        if self.config.pool_shots == "features":
            return self._averaged(shown, shares, like), shares
        each = zip(shown.split(1, 1), shares.split(1, 1), strict=True)
        return torch.stack([self._averaged(*shot, like) for shot in each], dim=1), shares

    def _averaged(self, shown: Tensor, shares: Tensor, like: Tensor) -> Tensor:
        prototype = masked_mean(shown, shares).mean(1)
        s = (shown * shares[:, :, None]).mean(1)
        parts = [s, _spread(prototype, s), shares.mean(1, keepdim=True)]
        return resize(self.merge_support(torch.cat(parts, dim=1)), *like.shape[-2:])


def mixed_maps(query: Tensor, support: Tensor, shares: Tensor) -> Tensor:
    """The seven maps of `evidence_maps` between query and support as the mixer puts them out.

    Learned, where those of the metric are not: gradients go through. What a mask ignores (255)
    counts as background here: the mixer is shown the class alone.

    Args:
        query, support: (batch, dim, height, width).
        shares: (batch, shots, h, w), as the mixer was shown the supports; averaged over shots.

    Returns:
        (batch, 7, height, width).
    """
    with exact(query):
        units = [F.normalize(in_full(x), dim=1) for x in (query, support)]
        covered = resize(in_full(shares).mean(1, keepdim=True), *support.shape[-2:])
        return evidence_maps(units[:1], [units[1][:, None]], covered, together=False)


def class_share(masks: Tensor, features: Tensor) -> Tensor:
    """The share of each cell of the features that the class covers.

    (batch, shots, height, width) of {0, 1, 255} → (batch, shots, h, w) in [0, 1], computed in full.
    """
    share = F.adaptive_avg_pool2d((masks == 1).float(), features.shape[-2:])
    return share.to(in_full(features).dtype)


def known_share(masks: Tensor, features: Tensor) -> Tensor:
    """The share of each cell that no 255 covers; shapes and type as in `class_share`."""
    share = F.adaptive_avg_pool2d((masks != IGNORE).float(), features.shape[-2:])
    return share.to(in_full(features).dtype)


def _spread(vector: Tensor, like: Tensor) -> Tensor:
    """(batch, channels) → (batch, channels, h, w), the same everywhere."""
    return vector[..., None, None].expand(-1, -1, *like.shape[-2:])

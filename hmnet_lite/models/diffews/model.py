"""DiffewS: one diffusion UNet that draws the query's mask as it would draw any picture.

    support, its mask ─► encoder ─► latents ‖ latents ─┐
                                                     UNet: the query's attention hears the supports'
    query ────────────► encoder ─► latents ‖ guess ────┘   keys and values, layer by layer
                                                       └─► latents of the mask ─► decoder ─► mask

The UNet is diffusers' `UNet2DConditionModel`, whose first convolution has twice the channels: the
second half is for a support's mask. For the query it holds a first guess, see `guess`, or the
noisy mask where that is generated in steps.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from einops import rearrange, repeat
from torch import Tensor, nn

from hmnet_lite.models.backbones import BACKBONES, Features
from hmnet_lite.models.checks import check_episode
from hmnet_lite.models.diffews.config import TIMES, DiffewSConfig
from hmnet_lite.models.diffews.fusion import FusedAttention, Together, copied, likeness
from hmnet_lite.models.diffews.latents import FeatureLatents, PixelLatents, tiny_autoencoder
from hmnet_lite.models.diffews.library import diffusers
from hmnet_lite.models.diffews.masks import brightness, margin, mask_image, shares, told_image
from hmnet_lite.models.metric import Metric
from hmnet_lite.record import record


class DiffewS(nn.Module):
    """Few-shot segmentation by generating a picture of the mask.

    Args:
        config: a `DiffewSConfig`.
        unet, autoencoder: those of a larger model, see `stable.py`; of the config's sizes if None.

    Attributes:
        multiple: of which a picture's sides are multiples, in pixels.
        side: of the square that it is asked at unless another is given, in pixels.

    Raises:
        ImportError: diffusers is not installed.
    """

    side = 256

    def __init__(
        self,
        config: DiffewSConfig | None = None,
        *,
        unet: nn.Module | None = None,
        autoencoder: PixelLatents | None = None,
    ):
        super().__init__()
        self.config = config = config or DiffewSConfig()
        self.backbone: nn.Module | None = None
        if autoencoder is not None:
            self.autoencoder: nn.Module = autoencoder
        elif config.latents == "features":
            self.backbone = net = BACKBONES[config.backbone]()
            self.autoencoder = FeatureLatents(config.channels, net.fine_channels, net.deep_channels)
            if config.guess == "metric":
                self.metric = Metric(net.deep_parts)
        else:
            self.autoencoder = tiny_autoencoder(config.channels)
        self.unet = unet = small_unet(config) if unet is None else unet
        unet.set_attn_processor(FusedAttention())
        width = unet.config.cross_attention_dim
        self.nothing = nn.Parameter(torch.randn(1, 1, width))  # what the text would be
        if config.interaction == "tokens":
            self.to_tokens = nn.Conv2d(2 * config.channels, width, 2, stride=2)
        self.multiple = self.autoencoder.stride * 2 ** (len(unet.config.block_out_channels) - 1)

    # ------------------------------------------------------------------ pictures in, masks out

    def forward(self, query_image: Tensor, support_images: Tensor, support_masks: Tensor) -> Tensor:
        """Segment the queries.

        Args:
            query_image: (batch, 3, height, width), float in [0, 1], sides multiples of `multiple`.
            support_images: (batch, shots, 3, height, width).
            support_masks: (batch, shots, height, width) of {0, 1, 255}.

        Returns:
            (batch, 2, height, width): 0 for the background, for the foreground the brightness of
            the generated picture less the threshold.

        Raises:
            TypeError, ValueError: what was given, what was expected, the mend.
        """
        device = self.nothing.device
        check_episode(query_image, support_images, support_masks, self.multiple, device)
        supports, masks = support_images.flatten(0, 1), support_masks.flatten(0, 1)
        seen, seen_supports = self.look(query_image), self.look(supports)
        query = self.autoencoder.encode(seen)
        told = self.encode(told_image(self.config.injection, supports, masks))
        shape = support_masks.shape[:2]
        generated = self.generate(
            query, self.autoencoder.encode(seen_supports).unflatten(0, shape),
            told.unflatten(0, shape), shares(support_masks, query.shape[-2:]),
            self.alike(seen, seen_supports, shape),
        )  # fmt: skip
        found = self.margin(generated, query_image)
        found = F.interpolate(
            found[:, None], query_image.shape[-2:], mode="bilinear", align_corners=False
        )
        return torch.cat([torch.zeros_like(found), found], dim=1)

    def look(self, images: Tensor) -> Features | Tensor:
        """What is encoded of pictures: the backbone's features, or themselves where it has none."""
        return images if self.backbone is None else self.backbone(images)

    def encode(self, images: Tensor) -> Tensor:
        """(batch, 3, H, W) in [0, 1] → latents (batch, channels, h, w)."""
        return self.autoencoder.encode(self.look(images))

    def marks(self, features: Features) -> Tensor:
        """What the metric compares pixels by: a unit vector a depth, (batch, channels, h, w)."""
        return torch.cat(self.metric(features.deep), dim=1)

    def alike(
        self, query: Features | Tensor, supports: Features | Tensor, shape: tuple[int, int]
    ) -> Tensor | None:
        """Likeness in the metric, see `likeness`; None where the latents themselves tell.

        Args:
            query, supports: what `look` gives, of (batch, …) and (batch · shots, …).
            shape: (batch, shots).
        """
        if self.config.guess != "metric":
            return None
        return likeness(self.marks(query), self.marks(supports).unflatten(0, shape))

    def decode(self, latents: Tensor) -> Tensor:
        """Latents → pictures (batch, 3, H / shrink, W / shrink), about [0, 1]."""
        return self.autoencoder.decode(latents)

    def target(self, images: Tensor, masks: Tensor) -> Tensor:
        """Latents of the pictures that are to be generated; arguments as in `mask_image`."""
        return self.encode(mask_image(self.config.mask_image, images, masks))

    def margin(self, generated: Tensor, images: Tensor) -> Tensor:
        """Generated latents and the queries → brightness less the threshold, (batch, h, w)."""
        picture = self.decode(generated)
        small = F.interpolate(images, picture.shape[-2:], mode="area")
        light = brightness(self.config.mask_image, picture, small)
        record(generated=picture, brightness=light)
        return margin(light, self.config.threshold, self.config.level)

    # ----------------------------------------------------------------------- among latents

    def generate(self, query: Tensor, supports: Tensor, told: Tensor, inside: Tensor,
                 alike: Tensor | None = None) -> Tensor:  # fmt: skip
        """Latents of the query's mask.

        Args:
            query: latents (batch, channels, h, w).
            supports: latents (batch, shots, channels, h, w).
            told: latents of what is told of the supports' masks, see `told_image`; the same shape.
            inside: (batch, shots, h, w): the masks' share of each latent.
            alike: how like the pixels are, see `alike`; None: as the latents are.
        """
        config = self.config
        given = (supports, told, inside, alike)
        if config.generation == "one-step":
            return self.step(query, None, config.timestep, *given)
        scheduler = diffusers().DDIMScheduler(
            TIMES, prediction_type="sample", clip_sample=False, timestep_spacing="trailing"
        )
        scheduler.set_timesteps(config.sampling_steps)
        from_noise = config.generation == "noise-to-mask"
        x = torch.randn_like(query) if from_noise else query
        for time in scheduler.timesteps:
            seen, noisy = (query, x) if from_noise else (x, None)
            clean = self.step(seen, noisy, int(time), *given)
            x = scheduler.step(clean, time, x).prev_sample
        return x

    def step(
        self,
        query: Tensor,
        noisy: Tensor | None,
        time: int | Tensor,
        supports: Tensor,
        told: Tensor,
        inside: Tensor,
        alike: Tensor | None = None,
    ) -> Tensor:
        """One pass of the UNet: the clean latents that it sees behind the query's.

        Args:
            query: latents (batch, channels, h, w).
            noisy: latents of a noisy mask, beside the query; None: none.
            time: of the noise, one for all or (batch,).
            supports, told, inside, alike: see `generate`.
        """
        config, (count, shots) = self.config, supports.shape[:2]
        flat = supports.flatten(0, 1)
        half = torch.zeros_like(flat)
        if config.injection == "concatenation":
            half = told.flatten(0, 1)
        elif config.injection == "multiplication-rgb":
            flat = told.flatten(0, 1)
        elif config.injection == "multiplication-latent":
            flat = flat * rearrange(inside, "b s h w -> (b s) 1 h w")
        elif config.injection == "addition":
            flat = flat + told.flatten(0, 1)
        support_in = torch.cat([flat, half], dim=1)
        if noisy is None and config.guess != "none" and config.generation == "one-step":
            noisy = self.guess(query, supports, told, alike)
        query_in = torch.cat([query, torch.zeros_like(query) if noisy is None else noisy], dim=1)
        times = torch.as_tensor(time, device=query.device).expand(count)
        if config.interaction == "tokens":
            tokens = rearrange(self.to_tokens(support_in), "(b s) c h w -> b (s h w) c", s=shots)
            heard = torch.cat([self.nothing.expand(count, -1, -1), tokens], dim=1)
            return self.unet(query_in, times, heard).sample
        together = Together(
            shots, config.interaction == "qkv",
            keep=inside if config.injection == "attention-mask" else None,
            sampled=config.support_keys == "sampled",
        )  # fmt: skip
        times = torch.cat([times, repeat(times, "b -> (b s)", s=shots)])
        out = self.unet(
            torch.cat([query_in, support_in]), times, self.nothing.expand(len(times), -1, -1),
            cross_attention_kwargs={"together": together},
        )  # fmt: skip
        return out.sample[:count]

    def guess(
        self, query: Tensor, supports: Tensor, told: Tensor, alike: Tensor | None = None
    ) -> Tensor:
        """The first guess of the mask's latents; arguments as in `generate`.

        Raises:
            ValueError: the metric is to tell, and was not asked.
        """
        if alike is None and self.config.guess == "metric":
            raise ValueError(
                "guess='metric' needs the pixels' likeness; expected alike=model.alike(…)"
            )
        return copied(likeness(query, supports) if alike is None else alike, told)

    def denoise(self, noisy: Tensor, time: Tensor) -> Tensor:
        """Latents of noisy pictures and their times (batch,) → of the clean pictures; nobody else
        is asked. What the UNet is pretrained for."""
        x = torch.cat([noisy, torch.zeros_like(noisy)], dim=1)
        return self.unet(x, time, self.nothing.expand(len(x), -1, -1)).sample


def small_unet(config: DiffewSConfig) -> nn.Module:
    """A `UNet2DConditionModel` of the config's sizes, attention at every size."""
    count = len(config.blocks)
    return diffusers().UNet2DConditionModel(
        in_channels=2 * config.channels, out_channels=config.channels,
        down_block_types=("CrossAttnDownBlock2D",) * count,
        up_block_types=("CrossAttnUpBlock2D",) * count,
        block_out_channels=config.blocks, layers_per_block=config.layers,
        cross_attention_dim=config.tokens, attention_head_dim=config.heads, norm_num_groups=16,
    )  # fmt: skip

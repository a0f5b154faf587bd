"""ReMamber in its published shape: from pixels, VMamba's stages, a twisting layer after each.

    picture ─► stage 1 ─► twist 1 ─► stage 2 ─► twist 2 ─► stage 3 ─► twist 3 ─► stage 4 ─► twist 4
                            └──────────────────┴── decoder ──┴──────────────────────┘ ─► logits

What the paper gives: four blocks, VSS layers 2-2-15-2, the cube, channel scan, then spatial scan,
every block's output into a simple convolutional decoder, VMamba's ImageNet weights to begin with,
480 pixels. As released: channels 128 to 1,024, a channel's map pooled to 16 × 16 before the channel
scan, its residual, and a spatial scan from 3·C channels to C. What neither gives is ours and is a
field of the config: the width of the text, how many tokens, the decoder's width, and that the
spatial scan is as wide inside as a VSS layer of C channels. The text encoder stands outside: the
network takes its tokens.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from hmnet_lite.mamba.twister import ChannelScan
from hmnet_lite.models.checks import check_images
from hmnet_lite.models.remamba.vmamba import SS2D, stages
from hmnet_lite.record import begin_block, record_block
from hmnet_lite.scan.backends import BACKENDS

STRIDE = 32  # of the last stage


@dataclass(frozen=True)
class PublishedConfig:
    """What decides a `PublishedReMamber`; the defaults are the paper's shape.

    Attributes:
        dims: channels of each stage; multiples of 2.
        depths: VSS layers of each.
        state: size of each channel's state in the VSS layers, VMamba's.
        twist_state: the same in the twisting layers' channel scans.
        token_side: a channel's map is pooled to this square before the channel scan.
        text: channels of the text's tokens; 768 is a usual encoder's.
        tokens: most tokens of a sentence.
        decoder: channels of the decoder.
        backend: see `hmnet_lite.selective_scan`.

    Raises:
        ValueError: a size that is not as above.
    """

    dims: tuple[int, ...] = (128, 256, 512, 1024)
    depths: tuple[int, ...] = (2, 2, 15, 2)
    state: int = 1
    twist_state: int = 16
    token_side: int = 16
    text: int = 768
    tokens: int = 20
    decoder: int = 256
    backend: str = "auto"

    def __post_init__(self) -> None:
        if len(self.dims) != len(self.depths) or len(self.dims) != 4:
            raise ValueError(f"dims={self.dims}, depths={self.depths}; expected four of each")
        if any(dim < 2 or dim % 2 for dim in self.dims) or any(depth < 1 for depth in self.depths):
            raise ValueError(
                f"dims={self.dims}, depths={self.depths}; expected even channels, a layer or more"
            )
        for name in ("state", "twist_state", "token_side", "text", "tokens", "decoder"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)}; expected at least 1")
        if self.backend not in ("auto", *BACKENDS):
            raise ValueError(f"backend={self.backend!r}; expected auto, {', '.join(BACKENDS)}")


class Twist(nn.Module):
    """The twisting layer of a stage (section 3): cube, channel scan, spatial scan from 3·C to C."""

    def __init__(self, config: PublishedConfig, dim: int):
        super().__init__()
        self.sentence = nn.Linear(config.text, dim)
        self.of_image = nn.Linear(dim, dim, bias=False)
        self.of_text = nn.Linear(config.text, dim, bias=False)
        self.convolve = nn.Conv2d(config.tokens, dim, 3, padding=1)
        self.channel = ChannelScan(config.token_side, config.twist_state, config.backend)
        self.norm = nn.LayerNorm(3 * dim)
        self.spatial = SS2D(3 * dim, dim, config.state, config.backend)

    def forward(self, visual: Tensor, tokens: Tensor, sentence: Tensor) -> Tensor:
        """(batch, height, width, dim) → the same, having heard the text.

        Hands over to a `Recorder`: cube, cube_channel, (batch, 3·dim, height, width).
        """
        spread = self.sentence(sentence)[:, None, None].expand_as(visual)
        image, text = self.of_image(visual), self.of_text(tokens)  # F_i W_i and F_t W_t
        together = torch.einsum("bhwc,blc->blhw", image, text) / visual.shape[-1] ** 0.5
        missing = self.convolve.in_channels - together.shape[1]
        local = self.convolve(F.pad(together, (0, 0, 0, 0, 0, missing)))
        parts = [visual, spread, rearrange(local, "b c h w -> b h w c")]
        cube = rearrange(torch.cat(parts, dim=-1), "b h w c -> b c h w")
        twisted = cube + self.channel(cube)
        record_block(cube=cube, cube_channel=twisted)
        return visual + self.spatial(self.norm(rearrange(twisted, "b c h w -> b h w c")))


class SimpleDecoder(nn.Module):
    """Every stage's map through a 1×1 convolution, added up at the largest; two of 3×3; logits."""

    def __init__(self, dims: tuple[int, ...], width: int):
        super().__init__()
        self.narrow = nn.ModuleList(nn.Conv2d(dim, width, 1) for dim in dims)
        self.refine = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1), nn.GroupNorm(1, width), nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1), nn.GroupNorm(1, width), nn.ReLU(),
        )  # fmt: skip
        self.classify = nn.Conv2d(width, 2, 1)

    def forward(self, maps: list[Tensor]) -> Tensor:
        """Maps (batch, h, w, dim), the largest first → logits (batch, 2, h, w) of that size."""
        size = maps[0].shape[1:3]
        total = torch.zeros(())
        for narrow, x in zip(self.narrow, maps, strict=True):
            x = narrow(rearrange(x, "b h w c -> b c h w"))
            total = total.to(x) + F.interpolate(x, size, mode="bilinear", align_corners=False)
        return self.classify(self.refine(total))


class PublishedReMamber(nn.Module):
    """The network, from pixels.

    Args:
        config: a `PublishedConfig`.
    """

    def __init__(self, config: PublishedConfig | None = None):
        super().__init__()
        self.config = config = config or PublishedConfig()
        for name, rgb in (("mean", (0.485, 0.456, 0.406)), ("std", (0.229, 0.224, 0.225))):
            self.register_buffer(name, torch.tensor(rgb)[:, None, None], persistent=False)
        self.stages = stages(config.dims, config.depths, config.state, config.backend)
        self.twists = nn.ModuleList(Twist(config, dim) for dim in config.dims)
        self.decoder = SimpleDecoder(config.dims, config.decoder)

    def forward(self, images: Tensor, tokens: Tensor, sentence: Tensor | None = None) -> Tensor:
        """Segment what each sentence names in its picture.

        Args:
            images: (batch, 3, height, width), float in [0, 1], sides multiples of 32.
            tokens: (batch, words, text), a text encoder's; zeros after a sentence's end.
            sentence: (batch, text), of the sentence as a whole; the tokens' mean when None.

        Returns:
            logits (batch, 2, height, width): background, foreground.

        Raises:
            TypeError, ValueError: what was given, what was expected, the mend.
        """
        if not images.is_meta:  # (which has a shape and no values)
            check_images("images", images, 4, STRIDE, self.mean.device)
        self._check(tokens, len(images))
        if sentence is None:
            there = tokens.any(-1, keepdim=True).sum(1)
            sentence = tokens.sum(1) / there.clamp_min(1)
        x = rearrange((images - self.mean) / self.std, "b c h w -> b h w c")
        maps = []
        for stage, twist in zip(self.stages, self.twists, strict=True):
            x = stage(x)
            begin_block()
            x = twist(x, tokens, sentence)
            maps.append(x)
        logits = self.decoder(maps)
        return F.interpolate(logits, images.shape[-2:], mode="bilinear", align_corners=False)

    def _check(self, tokens: Tensor, batch: int) -> None:
        most, text = self.config.tokens, self.config.text
        if tokens.ndim != 3 or tokens.shape[0] != batch or tokens.shape[2] != text:
            raise ValueError(
                f"tokens has shape {tuple(tokens.shape)}; expected ({batch}, words, {text}): a "
                "text encoder's last layer, one row a picture"
            )
        if not 1 <= tokens.shape[1] <= most:
            raise ValueError(f"tokens holds {tokens.shape[1]} words; expected 1 to {most}")

"""What a picture is to the UNet: a small map of latents, and the way back to a picture.

Stable Diffusion's UNet works on an autoencoder's latents, a sixty-fourth as many pixels. Here are
two of our own size, both 256 × 256 pixels → 16 × 16 latents, both decoded at 128 × 128:

- `FeatureLatents`: a frozen backbone's features, turned by principal components and cut to the
  first few, and a decoder that is trained (the idea of representation autoencoders: Zheng et al.,
  2025). They know what ImageNet taught the backbone.
- `PixelLatents`: diffusers' tiny autoencoder, trained on scenes alone, which knows nothing of
  classes, as Stable Diffusion's own. It holds that one, too (`stable.py`).
"""

from __future__ import annotations

import hashlib

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from hmnet_lite.models.backbones import Features
from hmnet_lite.models.diffews.library import diffusers

WIDTH = 24  # of the tiny autoencoder
FINE = 0.25  # share of the latents' channels that tell of edges


class FeatureLatents(nn.Module):
    """Features → latents, a linear map that is fitted once; latents → picture, which is trained.

    Args:
        channels: of the latents.
        fine, deep: channels of the backbone's two maps.
        width: of the decoder.
    """

    stride, shrink = 16, 2

    def __init__(self, channels: int, fine: int, deep: int, width: int = 64):
        super().__init__()
        self.parts = {"deep": channels - round(FINE * channels), "fine": round(FINE * channels)}
        for name, size in (("deep", deep), ("fine", 4 * fine)):
            self.register_buffer(f"{name}_mean", torch.zeros(size))
            self.register_buffer(f"{name}_basis", torch.zeros(self.parts[name], size))
        up = nn.Upsample(scale_factor=2)
        self.decoder = nn.Sequential(
            nn.Conv2d(channels, width, 3, padding=1), nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1), nn.ReLU(), up,
            nn.Conv2d(width, 3 * width // 4, 3, padding=1), nn.ReLU(), up,
            nn.Conv2d(3 * width // 4, width // 2, 3, padding=1), nn.ReLU(),
            nn.Conv2d(width // 2, 12, 3, padding=1), nn.PixelShuffle(2),
        )  # fmt: skip

    @torch.no_grad()
    def fit(self, features: Features) -> None:
        """Principal components of the pixels of these features; each map has unit variance."""
        for name, x in _maps(features).items():
            pixels = rearrange(x.float(), "b c h w -> (b h w) c")
            mean = pixels.mean(0)
            count = self.parts[name]
            _, spread, axes = torch.linalg.svd(
                torch.cov((pixels - mean).T).double(), full_matrices=False
            )
            scale = spread[:count].mean().sqrt()  # (of a covariance: variances)
            getattr(self, f"{name}_mean").copy_(mean)
            getattr(self, f"{name}_basis").copy_((axes[:count] / scale).float())

    def encode(self, features: Features) -> Tensor:
        """Features of pictures (batch, 3, H, W) → (batch, channels, H/16, W/16)."""
        found = []
        for name, x in _maps(features).items():
            mean, basis = getattr(self, f"{name}_mean"), getattr(self, f"{name}_basis")
            found.append(torch.einsum("bchw,kc->bkhw", x - mean[:, None, None], basis))
        return torch.cat(found, dim=1)

    def decode(self, latents: Tensor) -> Tensor:
        """(batch, channels, h, w) → pictures (batch, 3, 8h, 8w), about [0, 1]."""
        return self.decoder(latents) + 0.5

    @property
    def digest(self) -> str:
        """Names what `encode` computes."""
        return digest(dict(self.named_buffers()))


class PixelLatents(nn.Module):
    """An autoencoder of diffusers behind the same doors.

    Args:
        network: an `AutoencoderTiny` or `AutoencoderKL`.
        shrink: pictures are encoded at this fraction of their size.
        scale: what latents are multiplied by, which brings them to unit variance; None: fitted.
    """

    def __init__(self, network: nn.Module, shrink: int = 1, scale: float | None = None):
        super().__init__()
        self.network, self.shrink = network, shrink
        # (every size but the first halves the picture)
        self.stride = shrink * 2 ** (len(network.config.get("block_out_channels") or (1,) * 4) - 1)
        self.register_buffer("scale", torch.tensor(1.0 if scale is None else scale))

    @torch.no_grad()
    def fit(self, images: Tensor) -> None:
        """Make the latents of these pictures of unit variance."""
        self.scale.fill_(1.0)
        self.scale.fill_(1 / self.encode(images).std())

    def encode(self, images: Tensor) -> Tensor:
        """(batch, 3, H, W) in [0, 1] → (batch, channels, H/stride, W/stride)."""
        if self.shrink > 1:
            images = F.avg_pool2d(images, self.shrink)
        found = self.network.encode(2 * images - 1)
        # a distribution's mode, or the latents themselves
        latents = found.latent_dist.mode() if hasattr(found, "latent_dist") else found.latents
        return latents * self.scale

    def decode(self, latents: Tensor) -> Tensor:
        """(batch, channels, h, w) → pictures (batch, 3, H / shrink, W / shrink), about [0, 1]."""
        return self.network.decode(latents / self.scale).sample / 2 + 0.5

    @property
    def digest(self) -> str:
        """Names what `encode` computes."""
        return digest(self.state_dict())


def tiny_autoencoder(channels: int) -> PixelLatents:
    """8×, at half the picture's size."""
    widths, blocks = (WIDTH,) * 4, (1, 1, 1, 2)
    network = diffusers().AutoencoderTiny(
        encoder_block_out_channels=widths, decoder_block_out_channels=widths,
        num_encoder_blocks=blocks, num_decoder_blocks=blocks[::-1], latent_channels=channels,
    )  # fmt: skip
    return PixelLatents(network, shrink=2)


def _maps(features: Features) -> dict[str, Tensor]:
    """Both maps at stride 16: four pixels of the fine one side by side."""
    return {"deep": features.deep, "fine": F.pixel_unshuffle(features.fine, 2)}


def digest(tensors: dict[str, Tensor]) -> str:
    """16 hex digits that name these tensors."""
    found = hashlib.sha256()
    for name, value in sorted(tensors.items()):
        found.update(name.encode() + value.detach().cpu().contiguous().numpy().tobytes())
    return found.hexdigest()[:16]

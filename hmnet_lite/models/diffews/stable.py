"""Stable Diffusion 2.1's folder, as diffusers lays it out, read into a `DiffewS`.

    model = from_folder("stable-diffusion-2-1")   # unet/ and vae/, each config.json and weights

What it generated pictures with stays as it is. The first convolution gets channels for the masks,
which begin at zero: before it is fine-tuned, the network hears the supports' pictures alone.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import torch
from torch import nn

from hmnet_lite.models.diffews.config import DiffewSConfig
from hmnet_lite.models.diffews.latents import PixelLatents
from hmnet_lite.models.diffews.library import diffusers
from hmnet_lite.models.diffews.model import DiffewS

#: part of the folder → the class that its config.json must name
PARTS = {"unet": "UNet2DConditionModel", "vae": "AutoencoderKL"}
SIDE = 512  # pixels of the pictures that DiffewS was published with


def from_folder(folder: str | os.PathLike[str], **switches: Any) -> DiffewS:
    """A DiffewS around the UNet and the autoencoder of a folder; nothing is downloaded.

    Args:
        folder: holds `unet/` and `vae/`.
        switches: fields of `DiffewSConfig` that are arms, not sizes.

    Raises:
        ImportError: diffusers is not installed.
        FileNotFoundError: a part of the folder is not there (named).
        ValueError: a part is of another network (named), or the two do not fit together.
    """
    folder = Path(folder)
    parts = {name: _part(folder, name) for name in PARTS}
    unet, vae = parts["unet"], parts["vae"]
    channels = vae.config.latent_channels
    if unet.config.in_channels != channels or unet.config.out_channels != channels:
        raise ValueError(
            f"the UNet in {folder} takes {unet.config.in_channels} channels and gives "
            f"{unet.config.out_channels}, its autoencoder has {channels}; expected the same: an "
            "inpainting or depth model has more, take the base model"
        )
    config = DiffewSConfig(
        latents="pixels", channels=channels, blocks=tuple(unet.config.block_out_channels),
        tokens=unet.config.cross_attention_dim, heads=1, **{"guess": "none"} | switches,
    )  # fmt: skip
    widen(unet)
    scale = vae.config.scaling_factor
    return DiffewS(config, unet=unet, autoencoder=PixelLatents(vae, scale=scale)).eval()


@torch.no_grad()
def widen(unet: nn.Module) -> None:
    """Double the channels of the first convolution, in place; the new ones weigh nothing yet."""
    old = unet.conv_in
    new = nn.Conv2d(2 * old.in_channels, old.out_channels, old.kernel_size, padding=old.padding)
    new.weight.zero_()
    new.weight[:, : old.in_channels] = old.weight
    new.bias.copy_(old.bias)
    unet.conv_in = new.to(old.weight)
    unet.register_to_config(in_channels=2 * old.in_channels)


def _part(folder: Path, name: str) -> nn.Module:
    kind, place = PARTS[name], folder / name
    library = diffusers()
    path = place / "config.json"
    if not path.is_file():
        raise FileNotFoundError(
            f"there is no {path}; expected the folder of Stable Diffusion 2.1 as diffusers saves "
            f"it, with {' and '.join(f'{part}/' for part in PARTS)}"
        )
    try:
        given = json.loads(path.read_text("utf-8")).get("_class_name")
    except (ValueError, AttributeError) as error:
        raise ValueError(f"{path} is damaged ({error}); copy it again") from error
    if given != kind:
        raise ValueError(f"{place} holds a {given}; expected a {kind}, as Stable Diffusion 2.1 has")
    try:
        return getattr(library, kind).from_pretrained(place, local_files_only=True)
    except (OSError, RuntimeError, ValueError) as error:
        first = str(error).strip().splitlines()[0]
        raise ValueError(f"the weights in {place} cannot be read: {first}") from error

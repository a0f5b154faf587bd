"""Stable Diffusion 2.1's folder, as diffusers lays it out, read into a `DiffewS`.

    model = from_folder("stable-diffusion-2-1")   # unet/ and vae/, each config.json and weights

What it generated pictures with stays as it is. The first convolution gets channels for the masks,
which begin at zero: before it is fine-tuned, the network hears the supports' pictures alone. One
that was fine-tuned and saved, `model.unet.save_pretrained("mine/unet")`, has them already.
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
EXPECTED = "expected the folder of Stable Diffusion 2.1 as diffusers saves it, with unet/ and vae/"
WEIGHTS, HALF = "diffusion_pytorch_model", "fp16"  # how their files begin, and are told apart
SIDE = 512  # pixels of the pictures that DiffewS was published with
#: what UNets of other models hear besides a picture, its time and a text
MORE = ("addition_embed_type", "class_embed_type", "encoder_hid_dim_type")


def from_folder(folder: str | os.PathLike[str], **switches: Any) -> DiffewS:
    """A DiffewS around the UNet and the autoencoder of a folder; nothing is downloaded.

    There is no text, so the cross-attention hears zeros, and the folder is all that is needed.

    Args:
        folder: holds `unet/` and `vae/`.
        switches: fields of `DiffewSConfig` that are arms, not sizes.

    Raises:
        ImportError: diffusers is not installed.
        FileNotFoundError: a part of the folder is not there (named).
        ValueError: a part is of another network (named), or the two do not fit together.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder {folder}; {EXPECTED}")
    parts = {name: _part(folder, name) for name in PARTS}
    unet, vae = parts["unet"], parts["vae"]
    channels = vae.config.latent_channels
    given = unet.config.in_channels
    if given not in (channels, 2 * channels) or unet.config.out_channels != channels:
        raise ValueError(
            f"the UNet in {folder} takes {given} channels and gives {unet.config.out_channels}, "
            f"its autoencoder has {channels}; expected the same, or twice as many taken where it "
            "was fine-tuned for masks: an inpainting or depth model has more, take the base model"
        )
    if more := [f"{name}={unet.config[name]}" for name in MORE if unet.config.get(name)]:
        raise ValueError(
            f"the UNet in {folder} wants more than a picture, its time and a text "
            f"({', '.join(more)}), as SDXL's does; expected that of Stable Diffusion 1 or 2"
        )
    config = DiffewSConfig(
        latents="pixels", channels=channels, blocks=tuple(unet.config.block_out_channels),
        tokens=unet.config.cross_attention_dim, heads=1, **{"guess": "none"} | switches,
    )  # fmt: skip
    if given == channels:
        widen(unet)
    scale = vae.config.scaling_factor
    model = DiffewS(config, unet=unet, autoencoder=PixelLatents(vae, scale=scale)).eval()
    model.side = SIDE
    torch.nn.init.zeros_(model.nothing).requires_grad_(False)
    return model


def hears_masks(model: DiffewS) -> bool:
    """Whether anything but zeros weighs the supports' masks, as fine-tuning leaves it."""
    channels = model.config.channels
    return bool(model.unet.conv_in.weight[:, channels:].any())


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
        raise FileNotFoundError(f"there is no {path}; {EXPECTED}")
    try:
        given = json.loads(path.read_text("utf-8")).get("_class_name")
    except (ValueError, AttributeError) as error:
        raise ValueError(f"{path} is damaged ({error}); copy it again") from error
    if given != kind:
        raise ValueError(f"{place} holds a {given}; expected a {kind}, as Stable Diffusion 2.1 has")
    files = [file.name for file in place.glob(f"{WEIGHTS}*")]
    if not files:  # (diffusers tells it in three lines, of another file)
        raise FileNotFoundError(f"there are no weights in {place}; expected {WEIGHTS}.safetensors")
    half = HALF if all(f".{HALF}." in name for name in files) else None
    try:
        return getattr(library, kind).from_pretrained(place, local_files_only=True, variant=half)
    except (OSError, RuntimeError, ValueError) as error:
        first = str(error).strip().splitlines()[0]
        raise ValueError(f"the weights in {place} cannot be read: {first}") from error

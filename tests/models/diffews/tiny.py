"""The folder of Stable Diffusion, in diffusers' layout, tiny and random."""

from pathlib import Path

import torch

from hmnet_lite.models.diffews.library import diffusers


def unet(channels: int = 4, **more):
    return diffusers().UNet2DConditionModel(
        in_channels=channels, out_channels=4, block_out_channels=(16, 32), layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"), norm_num_groups=8,
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"), cross_attention_dim=24,
        attention_head_dim=(2, 4), use_linear_projection=True, **more,
    )  # fmt: skip


def write_folder(folder: Path) -> Path:
    """`unet/` and `vae/` in the folder; returns it."""
    torch.manual_seed(0)
    unet().save_pretrained(folder / "unet")
    vae = diffusers().AutoencoderKL(
        block_out_channels=(8, 8, 16, 16), down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4, norm_num_groups=4, sample_size=64,
        layers_per_block=1,
    )  # fmt: skip
    vae.save_pretrained(folder / "vae")
    return folder

"""The folder of Stable Diffusion, in diffusers' layout, tiny and random."""

import json

import pytest
import torch

from hmnet_lite.models.diffews.library import diffusers
from hmnet_lite.models.diffews.stable import from_folder


def unet(channels=4):
    return diffusers().UNet2DConditionModel(
        in_channels=channels, out_channels=4, block_out_channels=(16, 32), layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"), norm_num_groups=8,
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"), cross_attention_dim=24,
        attention_head_dim=(2, 4), use_linear_projection=True,
    )  # fmt: skip


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stable-diffusion")
    torch.manual_seed(0)
    unet().save_pretrained(folder / "unet")
    vae = diffusers().AutoencoderKL(
        block_out_channels=(8, 8, 16, 16), down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4, norm_num_groups=4, sample_size=64,
        layers_per_block=1,
    )  # fmt: skip
    vae.save_pretrained(folder / "vae")
    return folder


def test_it_is_read_and_segments(written):
    model = from_folder(written, interaction="kv", threshold="absolute")
    assert model.config.channels == 4 and model.config.blocks == (16, 32)
    assert model.multiple == 16 and model.autoencoder.stride == 8
    assert model.autoencoder.scale == pytest.approx(0.18215)
    masks = torch.zeros(1, 2, 32, 32, dtype=torch.uint8)
    masks[..., 8:24, 8:24] = 1
    query, supports = torch.rand(1, 3, 32, 32), torch.rand(1, 2, 3, 32, 32)
    with torch.no_grad():
        out = model(query, supports, masks)
        assert out.shape == (1, 2, 32, 32) and out.isfinite().all()
        assert torch.equal(out, model(query, supports, masks.flip(-1)))  # masks weigh nothing yet


def test_alone_it_is_the_unet_that_was_saved(written):
    model = from_folder(written)
    plain = diffusers().UNet2DConditionModel.from_pretrained(written / "unet")
    x, time = torch.randn(2, 4, 4, 4), torch.tensor([3, 900])
    with torch.no_grad():
        text = model.nothing.expand(2, -1, -1)
        assert torch.allclose(model.denoise(x, time), plain(x, time, text).sample, atol=1e-5)
        picture = torch.rand(1, 3, 32, 32)
        vae = diffusers().AutoencoderKL.from_pretrained(written / "vae")
        latents = vae.encode(2 * picture - 1).latent_dist.mode()
        assert torch.allclose(model.encode(picture), 0.18215 * latents, atol=1e-5)
        again = vae.decode(latents).sample / 2 + 0.5
        assert torch.allclose(model.decode(0.18215 * latents), again, atol=1e-5)


def test_another_model_s_folder_is_told(written, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"there is no .*unet.config.json; expected"):
        from_folder(tmp_path)
    for name in ("unet", "vae"):
        (tmp_path / name).mkdir()
        for path in (written / name).iterdir():
            (tmp_path / name / path.name).write_bytes(path.read_bytes())
    told = tmp_path / "unet" / "config.json"
    config = json.loads(told.read_text())
    told.write_text(json.dumps(config | {"_class_name": "SD3Transformer2DModel"}))
    with pytest.raises(ValueError, match="holds a SD3Transformer2DModel; expected a UNet2D"):
        from_folder(tmp_path)
    told.write_text("{")
    with pytest.raises(ValueError, match="damaged"):
        from_folder(tmp_path)
    unet(9).save_pretrained(tmp_path / "unet")
    with pytest.raises(ValueError, match=r"takes 9 channels and gives 4.*inpainting"):
        from_folder(tmp_path)
    told.write_text(json.dumps(config))  # the weights are still those of nine channels
    with pytest.raises(ValueError, match=r"the weights in .*unet cannot be read"):
        from_folder(tmp_path)

"""The folder of Stable Diffusion is read; another one is told."""

import json
import shutil

import pytest
import torch

from hmnet_lite.models.diffews.library import diffusers
from hmnet_lite.models.diffews.stable import from_folder, hears_masks
from tests.models.diffews.tiny import unet, write_folder


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp("stable-diffusion"))


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
        again = from_folder(written, interaction="kv", threshold="absolute")
        assert torch.equal(out, again(query, supports, masks))  # nothing of it is drawn at random
    assert not hears_masks(model)


def test_one_that_was_fine_tuned_comes_back_with_its_masks(written, tmp_path):
    model = from_folder(written)
    torch.nn.init.normal_(model.unet.conv_in.weight)
    shutil.copytree(written / "vae", tmp_path / "vae")
    model.unet.save_pretrained(tmp_path / "unet", variant="fp16")  # (the name alone)
    again = from_folder(tmp_path)
    assert hears_masks(again)
    masks = torch.zeros(1, 1, 32, 32, dtype=torch.uint8)
    masks[..., 8:24, 8:24] = 1
    query, supports = torch.rand(1, 3, 32, 32), torch.rand(1, 1, 3, 32, 32)
    with torch.no_grad():
        found = again(query, supports, masks)
        assert torch.equal(found, model(query, supports, masks))
        assert not torch.equal(found, again(query, supports, masks.roll(8, -1)))


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
    with pytest.raises(FileNotFoundError, match=r"there is no folder .*none; expected the folder"):
        from_folder(tmp_path / "none")
    with pytest.raises(FileNotFoundError, match=r"there is no .*unet.config.json; expected"):
        from_folder(tmp_path)
    for name in ("unet", "vae"):
        shutil.copytree(written / name, tmp_path / name)
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
    sizes = dict(addition_embed_type="text_time", addition_time_embed_dim=8,
                 projection_class_embeddings_input_dim=72)  # fmt: skip
    unet(**sizes).save_pretrained(tmp_path / "unet")
    with pytest.raises(ValueError, match=r"\(addition_embed_type=text_time\), as SDXL's does"):
        from_folder(tmp_path)
    for path in (tmp_path / "unet").glob("*.safetensors"):
        path.unlink()
    with pytest.raises(FileNotFoundError, match=r"no weights in .*unet; expected diffusion_py"):
        from_folder(tmp_path)

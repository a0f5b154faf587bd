"""Costs at Stable Diffusion 2.1's sizes, against counts that are known or done by hand."""

import pytest
import torch

from hmnet_lite.analysis.diffusion_costs import PeakMemory, published, published_costs


def test_the_sizes_are_stable_diffusion_s():
    model = published()
    new = 4 * 320 * 9  # weights for the latents of the masks
    assert sum(p.numel() for p in model.unet.parameters()) - new == 865_910_724
    assert sum(p.numel() for p in model.autoencoder.network.parameters()) == 83_653_863
    assert all(p.is_meta for p in model.parameters())


def test_costs_of_one_and_of_more_supports():
    one, two = published_costs(128, 1), published_costs(128, 2)
    assert two["encoder"]["teraflops"] == pytest.approx(5 / 3 * one["encoder"]["teraflops"])
    assert two["decoder"] == one["decoder"]
    assert (
        1.4 < two["UNet"]["teraflops"] / one["UNet"]["teraflops"] < 1.7
    )  # three pictures, not two
    assert one["UNet"]["largest attention gigabytes"] == 5 * 256 * 512 * 2 / 1e9
    assert one["UNet"]["peak gigabytes"] > one["UNet"]["largest attention gigabytes"]
    with pytest.raises(ValueError, match="side=500; expected a multiple of 64"):
        published_costs(500)


def test_memory_is_followed_from_making_to_letting_go():
    x = torch.ones(1000)
    with torch.no_grad(), PeakMemory() as memory:
        a = x + 1
        b = (a * 2).view(10, 100)
        del a
        c = b.sum(0)
        x.view(10, 100)
    assert memory.peak == 8000
    assert memory.live == 4000 + 400
    del b, c
    assert memory.live == 0

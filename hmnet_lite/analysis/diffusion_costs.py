"""What DiffewS costs around Stable Diffusion 2.1, computed without its weights.

    costs = published_costs(side=512, shots=1)
    costs["UNet"]["parameters"], costs["UNet"]["teraflops"], costs["UNet"]["peak gigabytes"]

Nothing is run: tensors on torch's meta device have shapes and no numbers. Operations are those that
`FlopCounterMode` counts (products and convolutions, a multiply-add as two); memory is followed
tensor by tensor, each storage from its making until nobody holds it.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten
from torch.utils.flop_counter import FlopCounterMode

from hmnet_lite.models.diffews.config import DiffewSConfig
from hmnet_lite.models.diffews.latents import PixelLatents
from hmnet_lite.models.diffews.library import diffusers
from hmnet_lite.models.diffews.model import DiffewS
from hmnet_lite.models.diffews.stable import SIDE, widen

#: Stable Diffusion 2.1's own sizes, as its folder's config.json files name them
UNET: dict[str, Any] = dict(
    in_channels=4, out_channels=4, block_out_channels=(320, 640, 1280, 1280), layers_per_block=2,
    down_block_types=("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",),
    up_block_types=("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3, cross_attention_dim=1024,
    attention_head_dim=(5, 10, 20, 20), use_linear_projection=True,
)  # fmt: skip
VAE: dict[str, Any] = dict(
    block_out_channels=(128, 256, 512, 512), layers_per_block=2, latent_channels=4,
    down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4,
)  # fmt: skip
BYTES = 2  # of a number in float16


class PeakMemory(TorchDispatchMode):
    """How much what is made inside takes at most; `peak` in bytes. For runs without gradients."""

    def __init__(self) -> None:
        super().__init__()
        self.peak = self.live = 0
        self._held: dict[int, int] = {}

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        given = {x.untyped_storage()._cdata for x in tree_flatten((args, kwargs))[0]
                 if isinstance(x, Tensor)}  # fmt: skip
        result = func(*args, **(kwargs or {}))
        for x in tree_flatten(result)[0]:
            if isinstance(x, Tensor):
                self._follow(x, known=x.untyped_storage()._cdata in given)
        return result

    def _follow(self, x: Tensor, known: bool) -> None:
        storage = x.untyped_storage()
        key, size = storage._cdata, storage.nbytes()
        if key not in self._held:
            if known:  # a view of what was there before
                return
            self._held[key] = 0
            self.live += size
            self.peak = max(self.peak, self.live)
        self._held[key] += 1
        weakref.finalize(x, self._let_go, key, size)

    def _let_go(self, key: int, size: int) -> None:
        self._held[key] -= 1
        if not self._held[key]:
            del self._held[key]
            self.live -= size


def published_costs(side: int = SIDE, shots: int = 1) -> dict[str, dict[str, float]]:
    """Of one episode at Stable Diffusion 2.1's sizes, computed on the meta device.

    Args:
        side: of the pictures in pixels, a multiple of 64.
        shots: supports.

    Returns:
        part ("encoder", for all pictures and masks; "UNet"; "decoder") to "parameters",
        "teraflops" (10^12 operations), "weights' gigabytes" and "peak gigabytes" (10^9 bytes of
        float16; the peak is of what the part makes, attention matrices written out) and, for the
        UNet, "largest attention gigabytes": what a fused kernel need not hold.

    Raises:
        ImportError: diffusers is not installed.
        ValueError: a side that is no multiple of 64.
    """
    if side < 64 or side % 64:
        raise ValueError(f"side={side}; expected a multiple of 64")
    model = published()
    vae, small = model.autoencoder, side // 8

    def meta(*shape: int) -> Tensor:
        return torch.empty(*shape, device="meta")

    latents = meta(1, 4, small, small)
    supports = meta(1, shots, 4, small, small)
    inside = meta(1, shots, small, small)
    pictures = 1 + 2 * shots
    runs: dict[str, tuple[Any, Callable[[], Any]]] = {
        "encoder": (vae.network.encoder, lambda: vae.encode(meta(1, 3, side, side))),
        "UNet": (
            model.unet, lambda: model.step(latents, None, 1, supports, supports, inside)
        ),
        "decoder": (vae.network.decoder, lambda: vae.decode(latents)),
    }  # fmt: skip
    found = {}
    for name, (part, run) in runs.items():
        often = pictures if name == "encoder" else 1  # one after another
        with torch.no_grad(), FlopCounterMode(display=False) as counter, PeakMemory() as memory:
            run()
        count = sum(p.numel() for p in part.parameters())
        found[name] = {
            "parameters": count,
            "teraflops": often * counter.get_total_flops() / 1e12,
            "weights' gigabytes": BYTES * count / 1e9,
            "peak gigabytes": memory.peak / 4 * BYTES / 1e9,
        }
    heads, pixels = UNET["attention_head_dim"][0], small**2
    found["UNet"]["largest attention gigabytes"] = (
        heads * pixels * (1 + shots) * pixels * BYTES / 1e9
    )
    return found


@lru_cache(maxsize=1)
def published() -> DiffewS:
    """A DiffewS of Stable Diffusion 2.1's sizes on the meta device: shapes, no numbers."""
    library = diffusers()
    with torch.device("meta"):
        unet, vae = library.UNet2DConditionModel(**UNET), library.AutoencoderKL(**VAE)
        widen(unet)
        config = DiffewSConfig(
            latents="pixels", channels=4, blocks=UNET["block_out_channels"],
            tokens=UNET["cross_attention_dim"], heads=1, guess="none",
        )  # fmt: skip
        model = DiffewS(config, unet=unet, autoencoder=PixelLatents(vae, scale=0.18215))
    return model.eval().requires_grad_(False)

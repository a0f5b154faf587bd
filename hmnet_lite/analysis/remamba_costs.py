"""What ReMamber costs in its published shape: parameters and operations, part by part.

    for part in remamba_costs(side=480):
        print(part.name, part.parameters, part.operations)

Operations are counted as VMamba's authors count: a multiply-add is one, the scan takes nine for
each step of each state entry (Mamba's authors' number for their kernel) and one for the skip;
norms, activations, sums and the resizing of maps are left out. Counted so, VMamba's base size comes
to 88.6 M parameters and 15.3 G operations at 224 pixels, beside the 89 M and 15.4 G that its paper
gives: the check. Nothing is run.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from hmnet_lite.models.remamba.published import (
    STRIDE,
    PublishedConfig,
    PublishedReMamber,
    SimpleDecoder,
    Twist,
)
from hmnet_lite.models.remamba.vmamba import SS2D, Halve, Stage

VMAMBA_BASE = {"side": 224, "parameters": 89e6, "operations": 15.4e9}  # (Liu et al., 2024, table 1)
CLASSES = 1000  # of ImageNet: VMamba's counts include its classifier


@dataclass(frozen=True)
class Part:
    """One part of the network.

    Attributes:
        name: what it is.
        parameters: how many numbers are trained.
        operations: of one picture.
    """

    name: str
    parameters: int
    operations: int


def remamba_costs(side: int = 480, config: PublishedConfig | None = None) -> list[Part]:
    """Stages, twisting layers, decoder; the text encoder stands outside and is not counted.

    Args:
        side: of the picture in pixels, a multiple of 32.
        config: the paper's shape when None.

    Raises:
        ValueError: a side that is no multiple of 32.
    """
    if side < STRIDE or side % STRIDE:
        raise ValueError(f"side={side}; expected a multiple of {STRIDE}")
    with torch.device("meta"):  # no memory is taken for the weights
        model = PublishedReMamber(config)
    sides = [side // 4 // 2**i for i in range(len(model.stages))]
    found = []
    for i, (stage, at) in enumerate(zip(model.stages, sides, strict=True)):
        name = f"stage {i + 1}: {len(stage.layers)} VSS layers"
        found.append(Part(name, trained(stage), _stage(stage, at)))
    for i, (twist, at) in enumerate(zip(model.twists, sides, strict=True)):
        found.append(Part(f"twist {i + 1}", trained(twist), _twist(twist, at)))
    found.append(Part("decoder", trained(model.decoder), _decoder(model.decoder, sides)))
    return found


def vmamba_costs(parts: list[Part], width: int) -> Part:
    """The stages among these parts, with the norm and classifier that VMamba has behind them.

    Args:
        parts: of `remamba_costs`.
        width: channels of the last stage.
    """
    stages = [part for part in parts if part.name.startswith("stage")]
    return Part(
        "VMamba",
        sum(part.parameters for part in stages) + 2 * width + CLASSES * (width + 1),
        sum(part.operations for part in stages) + CLASSES * width,
    )


def trained(module: nn.Module) -> int:
    """How many numbers of a module are trained."""
    return sum(x.numel() for x in module.parameters())


def _stage(stage: Stage, side: int) -> int:
    """The stage's map has side × side pixels."""
    smaller = [part for part in stage.smaller.modules() if isinstance(part, Halve)]
    work = sum(
        _convolution(part.conv, side * 2 ** (len(smaller) - 1 - i))
        for i, part in enumerate(smaller)
    )
    for layer in stage.layers:
        work += _scan(layer.scan, side)
        work += side**2 * sum(x.weight.numel() for x in layer.mlp if isinstance(x, nn.Linear))
    return work


def _scan(scan: SS2D, side: int) -> int:
    ssm, inner = scan.ssm, scan.out.in_features
    point = scan.into.weight.numel() + scan.out.weight.numel() + scan.conv.weight.numel()
    return side**2 * point + _selective(ssm, inner, side**2)


def _selective(ssm: nn.Module, channels: int, length: int) -> int:
    """Δ, B and C of every step, and the scan itself, in all directions."""
    selected = channels * (ssm.rank + 2 * ssm.state) + channels * ssm.rank
    return ssm.directions * length * (selected + 9 * channels * ssm.state + channels)


def _twist(twist: Twist, side: int) -> int:
    tokens, dim = twist.convolve.in_channels, twist.of_image.in_features
    point = twist.of_image.weight.numel() + dim * tokens  # F_i W_i, and its product with the text
    told = tokens * twist.of_text.weight.numel() + twist.sentence.weight.numel()
    channel, features = twist.channel, twist.channel.side**2
    along = _selective(channel.ssm, features, 3 * dim) + 3 * dim * channel.out.weight.numel()
    return (
        side**2 * point + told + _convolution(twist.convolve, side) + along
        + _scan(twist.spatial, side)
    )  # fmt: skip


def _decoder(decoder: SimpleDecoder, sides: list[int]) -> int:
    work = sum(_convolution(c, at) for c, at in zip(decoder.narrow, sides, strict=True))
    rest = [*decoder.refine, decoder.classify]
    return work + sum(_convolution(c, sides[0]) for c in rest if isinstance(c, nn.Conv2d))


def _convolution(conv: nn.Conv2d, side: int) -> int:
    """Its result has side × side pixels."""
    return side**2 * conv.weight.numel()

"""ImageNet weights in torchvision's format, read into the published backbones."""

from __future__ import annotations

import os
from pathlib import Path

from torch import Tensor, nn

from hmnet_lite.models.hmnet.backbones import VGG16
from hmnet_lite.models.state_dicts import read_state_dict

_STEM = {"conv1": 0, "bn1": 1, "conv2": 3, "bn2": 4, "conv3": 6, "bn3": 7}


def read_imagenet(backbone: nn.Module, path: str | os.PathLike[str]) -> None:
    """Fill a backbone with ImageNet weights.

    ResNet-50 with a deep stem takes files with conv1, conv2, conv3 before layer1 (as PFENet and
    BAM use), with a plain stem torchvision's own; VGG-16 takes torchvision's vgg16_bn.

    Args:
        backbone: a `ResNet50` or `VGG16` of `hmnet_lite.models.hmnet.backbones`.
        path: a .pth file of tensors, or a safetensors file.

    Raises:
        FileNotFoundError: no such file.
        ValueError: it holds something else; the names that do not fit are told.
    """
    given = {n.removeprefix("module."): x for n, x in _read(Path(path)).items()}
    kept = {n: x for n, x in given.items() if not n.startswith(("fc.", "classifier."))}
    named = _vgg(backbone, kept) if isinstance(backbone, VGG16) else _resnet(kept)
    own = backbone.state_dict()
    counters = {n for n in own if n.endswith("num_batches_tracked")}
    missing, unexpected = own.keys() - named.keys() - counters, named.keys() - own.keys()
    shapes = [n for n in own.keys() & named.keys() if own[n].shape != named[n].shape]
    if missing or unexpected or shapes:
        raise ValueError(
            f"{path} does not hold ImageNet weights of this {type(backbone).__name__}: "
            f"missing {_some(missing)}, unexpected {_some(unexpected)}, of another shape "
            f"{_some(shapes)}. {_mend(given, own)}"
        )
    backbone.load_state_dict(named, strict=False)


def _read(path: Path) -> dict[str, Tensor]:
    if path.suffix == ".safetensors":
        from hmnet_lite.tensors import read_tensors

        return read_tensors(path)[0]
    return dict(read_state_dict(path))


def _resnet(given: dict[str, Tensor]) -> dict[str, Tensor]:
    """conv1 … bn3 become places of layer0; the rest has our names."""
    named = {}
    for name, value in given.items():
        head, _, rest = name.partition(".")
        named[f"layer0.{_STEM[head]}.{rest}" if head in _STEM else name] = value
    return named


def _vgg(backbone: nn.Module, given: dict[str, Tensor]) -> dict[str, Tensor]:
    """features.N is the N-th module of the whole network, poolings and ReLUs counted."""
    names = {}
    place = 0
    for layer in ("layer0", "layer1", "layer2", "layer3", "layer4"):
        for i in range(len(getattr(backbone, layer))):
            names[f"features.{place}"] = f"{layer}.{i}"
            place += 1
    renamed = {}
    for name, value in given.items():
        head, _, leaf = name.rpartition(".")
        renamed[f"{names.get(head, head)}.{leaf}"] = value
    return renamed


def _mend(given: dict[str, Tensor], own: dict[str, Tensor]) -> str:
    stem, ours = given.get("conv1.weight"), own.get("layer0.0.weight")
    if stem is not None and ours is not None and stem.shape != ours.shape:
        if stem.shape[-1] == 7:
            return (
                "It has torchvision's stem, one 7 × 7 convolution: take backbone='resnet50_plain', "
                "or a file with the deep stem that the published network has"
            )
        return "It has a deep stem: take backbone='resnet50'"
    return "Expected torchvision's resnet50 or vgg16_bn (with batch norms)"


def _some(names) -> str:
    names = sorted(names)
    more = f" and {len(names) - 4} more" if len(names) > 4 else ""
    return ", ".join(names[:4]) + more if names else "nothing"

"""Names and shapes of the released model's other variants, from those of ResNet-50 at one shot.

Only that one names file is at hand. The others follow from what is known of the released model
and, where that is silent, from these assumptions:

- VGG-16-BN's convolutions have a bias, as in the usual `vgg16_bn` (the stock 3×3 conv + BN).
- Each slice of its `features` is a Sequential of its own, so numbered from 0: features[7] is
  `layer1.0`.
- `kshot_rw` is Sequential(conv, ReLU, conv) of stock 1×1 convolutions, so with biases. The
  one-shot file cannot tell: of its 1×1 convolutions some have a bias (`base_learner.2`,
  `cls_meta.3`, `ASPP_meta.*`) and some have none (`down_*`, `init_merge_*`, `*_merge`).
- Nothing else depends on the backbone but `ppm`, `cls.0` and `down_*`, whose inputs are its maps;
  nothing else on the number of shots.
"""

import torch
from torch import Tensor

from tests.golden.synth import synth_array

Names = dict[str, list[int]]
VGG16 = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))  # channels


def variant_names(names: Names, *, backbone: str = "resnet50", shots: int = 1) -> Names:
    """{name: shape} of a variant. names: those of ResNet-50 at one shot."""
    out = dict(names)
    if backbone == "vgg16":
        out = vgg16_names() | {k: v for k, v in out.items() if not k.startswith("layer")}
        for k in ("down_query.0.weight", "down_supp.0.weight"):
            out[k] = [256, 256 + 512, 1, 1]  # F2 ++ F3
        for i in range(4):  # "1×1 conv to C4/4 + BN"
            out[f"ppm.features.{i}.1.weight"] = [128, 512, 1, 1]
            out |= batch_norm_names(f"ppm.features.{i}.2", 128)
        out["cls.0.weight"] = [512, 512 + 4 * 128, 3, 3]
    elif backbone != "resnet50":
        raise ValueError(f"no released variant with backbone {backbone!r}: resnet50 or vgg16")
    if shots > 1:  # "1×1 convs K→2→K with ReLU"
        out |= conv_names("kshot_rw.0", shots, 2, 1) | conv_names("kshot_rw.2", 2, shots, 1)
    return out


def vgg16_names() -> Names:
    out, before = {}, 3
    for layer, widths in enumerate(VGG16):
        for i, channels in enumerate(widths):  # conv, BN, ReLU: three numbers each
            out |= conv_names(f"layer{layer}.{3 * i}", before, channels, 3)
            out |= batch_norm_names(f"layer{layer}.{3 * i + 1}", channels)
            before = channels
    return out


def conv_names(name: str, before: int, after: int, kernel: int) -> Names:
    return {f"{name}.weight": [after, before, kernel, kernel], f"{name}.bias": [after]}


def batch_norm_names(name: str, channels: int) -> Names:
    leaves = ("weight", "bias", "running_mean", "running_var")
    return {f"{name}.{leaf}": [channels] for leaf in leaves} | {f"{name}.num_batches_tracked": []}


def synth_weights(names: Names, seed: int = 0) -> dict[str, Tensor]:
    """`synth_state_dict` for names that are no file, as tensors."""
    return {k: torch.from_numpy(synth_array(k, tuple(v), seed)) for k, v in names.items()}

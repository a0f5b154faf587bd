"""Read weights with the published model's names into ours. Names only; no published code.

Every tensor keeps its values: some change their shape, because we keep directions apart where the
published tensors are flat.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from hmnet_lite.mamba.mixer import MambaMixer
from hmnet_lite.models.hmnet.model import PublishedConfig, PublishedHMNet
from hmnet_lite.models.state_dicts import (
    CheckpointMismatch,
    bare,
    fill,
    read_state_dict,
    tensors_of,
)

# published leaf below `layers.0.blocks.i` → ours below `blocks.i`; {x} is q or s
_SHARED = {
    "ln_1.weight": "norm_core.weight",
    "ln_1.bias": "norm_core.bias",
    "ln_2.weight": "norm_mlp.weight",
    "ln_2.bias": "norm_mlp.bias",
    "self_attention.x_proj_weight": "ssm.select",
    "self_attention.dt_projs_weight": "ssm.delta_weight",
    "self_attention.dt_projs_bias": "ssm.delta_bias",
    "self_attention.A_logs": "ssm.A_log",
    "self_attention.Ds": "ssm.D",
    "self_attention.out_norm.weight": "norm_out.weight",
    "self_attention.out_norm.bias": "norm_out.bias",
}
_OWN = {
    "self_attention.in_proj_{x}.weight": "in_{name}.weight",
    "self_attention.conv2d_{x}.weight": "conv_{name}.weight",
    "self_attention.conv2d_{x}.bias": "conv_{name}.bias",
    "self_attention.out_proj_{x}.weight": "out_{name}.weight",
    "mlp_{x}.fc1.weight": "mlp_{name}.0.weight",
    "mlp_{x}.fc1.bias": "mlp_{name}.0.bias",
    "mlp_{x}.fc2.weight": "mlp_{name}.2.weight",
    "mlp_{x}.fc2.bias": "mlp_{name}.2.bias",
}
_PREFIX = "mamba."

# ours → published, the longest of the parts whose inner names agree
_PARTS = {
    "backbone.": "",
    "base_learner.pyramid.": "ppm.",
    "base_learner.reduce.": "cls.",
    "base_learner.classify.": "base_learner.2.",
    "reduce_query.": "down_query.",
    "reduce_support.": "down_supp.",
    "merge_query.": "init_merge_query.0.",
    "merge_support.": "init_merge_supp.0.",
    **{f"decoder.context.{i}.": f"ASPP_meta.layer6_{i}." for i in range(5)},
    "decoder.merge.": "res1_meta.",
    "decoder.refine.": "res2_meta.",
    "decoder.classify.": "cls_meta.",
    "ensemble.style_merge.": "gram_merge.",
    "ensemble.base_merge.": "cls_merge.",
    "ensemble.reweight.": "kshot_rw.",
}
_FIRST_CONV = {"resnet50": "layer1.0.conv1.weight", "vgg16": "layer1.0.weight"}


def mixer_from_state_dict(state_dict: Mapping[str, Tensor]) -> MambaMixer:
    """Build the mixer that a published state dict holds, in parity mode.

    Args:
        state_dict: published names → tensors or arrays, with or without a leading `module.`;
            names outside the mixer (`mamba.`) are ignored.

    Returns:
        A MambaMixer with its sizes read from the weights, `published_skip=True` and
        `detach_support_state=True`, as released.

    Raises:
        CheckpointMismatch: a ValueError: no mixer in it, missing names, names nobody reads, or a
            wrong shape.
    """
    given = tensors_of({k: v for k, v in state_dict.items() if bare(k).startswith(_PREFIX)})
    dim, depth, state = _mixer_sizes(given, len(state_dict))
    mixer = MambaMixer(dim, depth, state=state, published_skip=True)
    fill(mixer, given, _mixer_names(depth), "the mixer")
    return mixer


def hmnet_from_state_dict(
    state_dict: Mapping[str, Tensor],
    *,
    backbone: str = "resnet50",
    image_size: int = 473,
    shots: int = 1,
) -> PublishedHMNet:
    """Build the whole HMNet that a published state dict holds, in evaluation mode.

    Args:
        state_dict: published names → tensors or arrays, with or without a leading `module.`.
        backbone: "resnet50" or "vgg16".
        image_size: side of the pictures it will be given; 473 (PASCAL-5i) or 633 (COCO-20i).
        shots: K it was trained for.

    Returns:
        A `PublishedHMNet`; depth, widths and the number of base classes are read from the weights.
        The weights fit any image size, so a wrong one cannot be refused: 61 base classes (COCO)
        at another size than 633, or 16 (PASCAL) at another than 473, are warned about.

    Raises:
        CheckpointMismatch: a ValueError: the checkpoint is of another backbone or shot count, has
            missing, unexpected or misshapen weights: all are named.
        ValueError: an argument that no published model has.
    """
    asked = dict(backbone=backbone, image_size=image_size, shots=shots)
    PublishedConfig(**asked)  # refuses what no published model has
    if isinstance(state_dict.get("state_dict"), Mapping):
        raise CheckpointMismatch(
            "this is a checkpoint file's dict, not a state dict; pass its ['state_dict'], or use "
            "load_published(path)"
        )
    given = tensors_of(state_dict)
    _check_backbone(given, backbone)
    _check_shots(given, shots)
    dim, depth, state = _mixer_sizes(given, len(state_dict))
    classes = given.get("base_learner.2.weight")
    config = PublishedConfig(
        **asked, dim=dim, depth=depth, state=state,
        base_classes=16 if classes is None else len(classes),
        reweight_bias="kshot_rw.0.bias" in given,
    )  # fmt: skip
    model = PublishedHMNet(config)
    names = {k: f"mixer.{v}" for k, v in _mixer_names(depth).items()}
    for ours in model.state_dict():
        for part, published in _PARTS.items():
            if ours.startswith(part):
                names[published + ours.removeprefix(part)] = ours
    fill(model, given, names, f"the published HMNet ({backbone}, {shots}-shot, {depth} blocks)")
    usual = {16: 473, 61: 633}.get(config.base_classes, image_size)
    if image_size != usual:
        warnings.warn(
            f"this checkpoint has {config.base_classes} base classes, whose published models saw "
            f"{usual} px, and will be given {image_size} px; it runs, but scores will differ: "
            f"pass image_size={usual}",
            stacklevel=2,
        )
    return model.eval()


def load_published(
    path: str | os.PathLike,
    *,
    backbone: str = "resnet50",
    image_size: int = 473,
    shots: int = 1,
) -> PublishedHMNet:
    """Read one of the authors' checkpoint files: a dict with `state_dict`, or a bare state dict.

    Only tensors and plain containers are ever unpickled (`weights_only=True`): a file that asks
    for anything else is refused before any of it runs.

    Args:
        path: the .pth file.
        backbone, image_size, shots: see `hmnet_from_state_dict`.

    Raises:
        FileNotFoundError: no such file.
        ValueError: cut short, not a checkpoint, or holding more than tensors.
        CheckpointMismatch: see `hmnet_from_state_dict`; the file is named.
    """
    path = Path(path)
    state_dict = read_state_dict(path)
    try:
        return hmnet_from_state_dict(
            state_dict, backbone=backbone, image_size=image_size, shots=shots
        )
    except CheckpointMismatch as error:
        parts = error.missing, error.unexpected, error.misshapen
        raise CheckpointMismatch(f"{path}: {error}", *parts) from None


def _check_backbone(given: Mapping[str, Tensor], backbone: str) -> None:
    found = [name for name, first in _FIRST_CONV.items() if first in given]
    if found and found != [backbone]:
        raise CheckpointMismatch(
            f"this checkpoint is of backbone {found[0]!r} and backbone={backbone!r} was asked for; "
            f"pass backbone={found[0]!r}"
        )
    stem = given.get("layer0.0.weight")
    if backbone == "resnet50" and stem is not None and stem.shape[-1] == 7:
        raise CheckpointMismatch(
            "this checkpoint's ResNet has the standard stem (one 7 × 7 convolution); the published "
            "HMNet's has the deep one (three 3 × 3): use the authors' files"
        )
    if backbone == "resnet50" and "layer3.6.conv1.weight" in given:
        raise CheckpointMismatch(
            "this checkpoint's ResNet has more than 6 bottlenecks in layer3 (ResNet-101?); the "
            f"published ones are {' and '.join(_FIRST_CONV)}"
        )


def _check_shots(given: Mapping[str, Tensor], shots: int) -> None:
    head = given.get("kshot_rw.0.weight")
    trained = 1 if head is None else head.shape[1]
    if trained != shots:
        raise CheckpointMismatch(
            f"this checkpoint was trained for {trained} shot{'s' * (trained > 1)} "
            f"({'it has no' if head is None else 'see its'} kshot_rw) and shots={shots} was asked "
            f"for; pass shots={trained}, or use the {shots}-shot checkpoint"
        )


def _mixer_sizes(given: Mapping[str, Tensor], total: int) -> tuple[int, int, int]:
    """(dim, depth, state) of the mixer among the given weights."""
    depth = 1 + max((_block_index(name) for name in given), default=-1)
    first = given.get("mamba.layers.0.blocks.0.self_attention.A_logs")
    norm = given.get("mamba.norm.weight")
    if not 0 < depth <= total or first is None or norm is None or first.ndim != 2 or norm.ndim != 1:
        raise CheckpointMismatch(
            f"no published mixer among the {total} names given; expected names such as "
            "'mamba.layers.0.blocks.0.self_attention.A_logs' and 'mamba.norm.weight' (for a "
            "checkpoint file pass its inner 'state_dict')"
        )
    return norm.shape[0], depth, first.shape[1]


def _mixer_names(depth: int) -> dict[str, str]:
    """Published name → ours, for all of a mixer's parameters."""
    names = {"mamba.norm.weight": "norm.weight", "mamba.norm.bias": "norm.bias"}
    for i in range(depth):
        for theirs, ours in _SHARED.items():
            names[f"mamba.layers.0.blocks.{i}.{theirs}"] = f"blocks.{i}.{ours}"
        for theirs, ours in _OWN.items():
            for x, name in (("q", "query"), ("s", "support")):
                published = f"mamba.layers.0.blocks.{i}.{theirs.format(x=x)}"
                names[published] = f"blocks.{i}.{ours.format(name=name)}"
    return names


def _block_index(name: str) -> int:
    """The block a published name belongs to, or -1."""
    parts = name.split(".")
    return int(parts[4]) if parts[1:4:2] == ["layers", "blocks"] and parts[4].isdecimal() else -1

"""Read VMamba's names into the published shape. Names only: no code of ReMamber's was read.

    model, unread = remamba_from_state_dict(read_state_dict(Path("vssm1_base_0229.pth")))

ReMamber starts from VMamba's ImageNet weights and keeps its stages, whose names VMamba documents.
How ReMamber's authors name the rest (twisting layers, decoder, text encoder), no text says: such
tensors are handed back by name, never guessed at.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

from hmnet_lite.models.remamba.published import PublishedConfig, PublishedReMamber
from hmnet_lite.models.state_dicts import CheckpointMismatch, fill, tensors_of

#: VMamba's leaf below `layers.i.blocks.j` → ours below `stages.i.layers.j`
_LAYER = {
    "norm.weight": "norm.weight",
    "norm.bias": "norm.bias",
    "op.in_proj.weight": "scan.into.weight",
    "op.conv2d.weight": "scan.conv.weight",
    "op.x_proj_weight": "scan.ssm.select",
    "op.dt_projs_weight": "scan.ssm.delta_weight",
    "op.dt_projs_bias": "scan.ssm.delta_bias",
    "op.A_logs": "scan.ssm.A_log",
    "op.Ds": "scan.ssm.D",
    "op.out_norm.weight": "scan.norm.weight",
    "op.out_norm.bias": "scan.norm.bias",
    "op.out_proj.weight": "scan.out.weight",
    "norm2.weight": "norm_mlp.weight",
    "norm2.bias": "norm_mlp.bias",
    "mlp.fc1.weight": "mlp.0.weight",
    "mlp.fc1.bias": "mlp.0.bias",
    "mlp.fc2.weight": "mlp.2.weight",
    "mlp.fc2.bias": "mlp.2.bias",
}
#: of a convolution and its norm, by their places in VMamba's sequences
_EMBED = {"0": "0.conv", "2": "0.norm", "5": "2.conv", "7": "2.norm"}
_DOWN = {"1": "conv", "3": "norm"}
_FIRST = "patch_embed.0.weight"
_OLD = "self_attention"  # VMamba's first form has layers by this name
_STAGES = re.compile(r"(patch_embed|layers)\.")


def remamba_from_state_dict(
    state_dict: Mapping[str, Tensor], *, config: PublishedConfig | None = None
) -> tuple[PublishedReMamber, list[str]]:
    """Build a ReMamber whose stages hold a VMamba's weights, in evaluation mode.

    Args:
        state_dict: VMamba's names → tensors, with or without something before them (`module.`,
            `backbone.`).
        config: for what VMamba has not; dims, depths and state are read from the weights.

    Returns:
        The network, its twisting layers and decoder freshly drawn, and the names that were not
        read, sorted: a classifier's, or whatever stands beside the stages.

    Raises:
        CheckpointMismatch: a ValueError: no VMamba in it, one of another form, or missing,
            unknown or misshapen weights of its stages: all are named.
    """
    if isinstance(state_dict.get("model"), Mapping):
        raise CheckpointMismatch(
            "this is a checkpoint file's dict, not a state dict; pass its ['model']"
        )
    everything = tensors_of(state_dict)
    before = next((name for name in everything if name.endswith(_FIRST)), None)
    if before is None:
        raise CheckpointMismatch(
            f"no VMamba among the {len(everything)} names given; expected names such as "
            f"'{_FIRST}' and 'layers.0.blocks.0.op.A_logs'"
        )
    prefix = before.removesuffix(_FIRST)
    inside = {
        name.removeprefix(prefix): value
        for name, value in everything.items()
        if name.startswith(prefix) and _STAGES.match(name.removeprefix(prefix))
    }
    dims, depths, state = _sizes(inside)
    fields = {**vars(config or PublishedConfig()), "dims": dims, "depths": depths, "state": state}
    model = PublishedReMamber(PublishedConfig(**fields))
    # a 1×1 convolution holds a matrix with two more axes
    given = {k: v[..., 0, 0] if _is_point(k, v) else v for k, v in inside.items()}
    fill(model.stages, given, _names(depths), f"VMamba's stages (dims {dims}, depths {depths})")
    unread = sorted(everything.keys() - {prefix + name for name in inside})
    return model.eval(), unread


def _sizes(inside: Mapping[str, Tensor]) -> tuple[tuple[int, ...], tuple[int, ...], int]:
    """(dims, depths, state) of the stages."""
    if any(_OLD in name for name in inside):
        raise CheckpointMismatch(
            f"these are weights of VMamba's first form (names with '{_OLD}', gated scans, no MLP); "
            "expected the second (names with '.op.' and '.mlp.'), which has depths 2, 2, 15, 2"
        )
    places: dict[int, int] = {}
    for name in inside:
        if found := re.match(r"layers\.(\d+)\.blocks\.(\d+)\.", name):
            stage, layer = (int(x) for x in found.groups())
            places[stage] = max(places.get(stage, 0), layer + 1)
    if sorted(places) != [0, 1, 2, 3]:
        raise CheckpointMismatch(
            f"layers in stages {sorted(places)}; expected stages 0 to 3: is the file whole?"
        )
    norms = [inside.get(f"layers.{i}.blocks.0.norm.weight") for i in range(4)]
    first = inside.get("layers.0.blocks.0.op.A_logs")
    if first is None or first.ndim != 2 or any(x is None or x.ndim != 1 for x in norms):
        raise CheckpointMismatch(
            "sizes cannot be read: expected 'layers.i.blocks.0.norm.weight' (channels,) for i from "
            "0 to 3 and 'layers.0.blocks.0.op.A_logs' (4·inner, state)"
        )
    dims = tuple(len(x) for x in norms if x is not None)
    if any(dim < 2 or dim % 2 for dim in dims):
        raise CheckpointMismatch(f"stages of {dims} channels; expected even numbers of them")
    return dims, tuple(places[i] for i in range(4)), first.shape[1]


def _names(depths: tuple[int, ...]) -> dict[str, str]:
    """VMamba's names → ours below `stages`."""
    names = {}
    for leaf in ("weight", "bias"):
        for theirs, ours in _EMBED.items():
            names[f"patch_embed.{theirs}.{leaf}"] = f"0.smaller.{ours}.{leaf}"
        for stage in range(len(depths) - 1):
            for theirs, ours in _DOWN.items():
                published = f"layers.{stage}.downsample.{theirs}.{leaf}"
                names[published] = f"{stage + 1}.smaller.{ours}.{leaf}"
    for stage, depth in enumerate(depths):
        for layer in range(depth):
            for theirs, ours in _LAYER.items():
                published = f"layers.{stage}.blocks.{layer}.{theirs}"
                names[published] = f"{stage}.layers.{layer}.{ours}"
    return names


def _is_point(name: str, value: Tensor) -> bool:
    return value.shape[2:] == (1, 1) and name.endswith((".in_proj.weight", ".out_proj.weight"))

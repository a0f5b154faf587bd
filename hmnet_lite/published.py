"""Read weights with the published model's names into ours. Names only; no published code.

Every tensor keeps its values: some change their shape, because we keep directions apart where the
published tensors are flat.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from hmnet_lite.blocks import MambaMixer

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


def mixer_from_state_dict(state_dict: Mapping[str, Tensor]) -> MambaMixer:
    """Build the mixer that a published state dict holds, in parity mode.

    Args:
        state_dict: published names → tensors or arrays, with or without a leading `module.`;
            names outside the mixer (`mamba.`) are ignored.

    Returns:
        A MambaMixer with its sizes read from the weights, `published_skip=True` and
        `detach_support_state=True`, as released.

    Raises:
        ValueError: no mixer in it, missing names, names nobody reads, or a wrong shape.
    """
    given = {}
    for name, value in state_dict.items():
        name = name.removeprefix("module.")
        if name.startswith(_PREFIX):
            given[name] = torch.as_tensor(value)
    depth = 1 + max((_block_index(name) for name in given), default=-1)
    first = given.get("mamba.layers.0.blocks.0.self_attention.A_logs")
    if depth == 0 or first is None or "mamba.norm.weight" not in given:
        raise ValueError(
            f"no published mixer among the {len(state_dict)} names given; expected names such as "
            "'mamba.layers.0.blocks.0.self_attention.A_logs' and 'mamba.norm.weight' (for a "
            "checkpoint file pass its inner 'state_dict')"
        )
    mixer = MambaMixer(
        dim=given["mamba.norm.weight"].shape[0], depth=depth, state=first.shape[1],
        published_skip=True,
    )  # fmt: skip
    names = _mixer_names(depth)
    missing, unknown = sorted(names.keys() - given.keys()), sorted(given.keys() - names.keys())
    if missing or unknown:
        raise ValueError(
            f"the mixer's names do not match: missing {missing or 'none'}, unexpected "
            f"{unknown or 'none'}"
        )
    own = mixer.state_dict()
    for published, name in names.items():
        if given[published].numel() != own[name].numel():
            raise ValueError(
                f"{published} has shape {tuple(given[published].shape)}; expected the "
                f"{own[name].numel()} numbers of {tuple(own[name].shape)}"
            )
        own[name] = given[published].reshape(own[name].shape).to(own[name].dtype)
    mixer.load_state_dict(own)
    return mixer


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
    return int(parts[4]) if parts[1:4:2] == ["layers", "blocks"] and parts[4].isdigit() else -1

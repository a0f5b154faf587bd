"""The numbers of the figures that take seconds to compute; a test computes them again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from hmnet_kernels.bench.run import inputs
from hmnet_lite.data import EmojiEpisodes
from hmnet_lite.data.emoji.protocol import GAPS
from hmnet_lite.maps import reading_order
from hmnet_lite.scan.selective import selective_scan

GPU = Path(__file__).resolve().parents[2] / "figures" / "gpu"
#: names in the file of a GPU's blocks → what figures call them
ON_GPU = {
    "literal/mamba_ssm": "as published, mamba-ssm's kernel",
    "literal/triton": "as published, our kernel then",
    "sequences/triton": "affine recap, our kernel then",
    "sdpa fp32 512ch": "attention, float32",
    "sdpa bf16 512ch": "attention, bfloat16",
}


def readme() -> dict[str, Any]:
    """The scene on the front page: which it is, who drew it, how large its targets are."""
    fold, index = 0, 0
    scenes = [EmojiEpisodes(fold, "test", gap=gap)[index] for gap in GAPS]
    return {
        "fold": fold,
        "index": index,
        "gaps": list(GAPS),
        "classes": [scene.class_name for scene in scenes],
        "styles": [[scene.support_styles[0], scene.query_style] for scene in scenes],
        "target pixels": [
            [int((mask == 1).sum()) for mask in (scene.support_masks[0], scene.query_mask)]
            for scene in scenes
        ],
    }


def scan_matrix(length: int = 64) -> dict[str, Any]:
    """The matrix of one channel's scan: column s is what an impulse at step s alone gives."""
    u, delta, A, B, C, _ = inputs(1, 64, 16, 256)
    delta, A = delta[:, :1, :length].double(), A[:1].double()
    B, C = (x[..., :length].double() for x in (B, C))
    impulses = torch.eye(length, dtype=torch.float64)[:, None]  # (steps, one channel, length)
    each = [x.expand(length, *x.shape[1:]) for x in (delta, B, C)]
    M = selective_scan(impulses, each[0], A, *each[1:], backend="reference")[:, 0].T
    line = u[0, 0, :length].double()
    return {"M": M.numpy(), "u": line.numpy(), "y": (M @ line).numpy()}


def reading_orders(side: int = 16, recap_ratio: int = 4) -> dict[str, Any]:
    """The order in which each direction reads a map that is cut in patches."""
    orders = reading_order(side, side, recap_ratio).numpy()
    where = {"fold": 0, "gap": "cross", "index": 3}
    return where | {"side": side, "recap_ratio": recap_ratio, "orders": orders}


def gpu_blocks() -> dict[str, Any]:
    """Way of fusing to its cost on one GPU: pixels of the map to milliseconds forward, batch 1."""
    measured = json.loads((GPU / "h100_blocks.json").read_text(encoding="utf-8"))
    lines: dict[str, Any] = {words: {} for words in ON_GPU.values()}
    for case, found in measured.items():
        side, batch = map(int, case.split("x"))
        for name, words in ON_GPU.items():
            if batch == 1 and name in found:
                lines[words][str(side * side)] = found[name]["fwd"]
    return {"gpu": "NVIDIA H100", "milliseconds": lines}

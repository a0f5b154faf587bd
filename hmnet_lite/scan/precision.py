"""Which numbers are computed in full, whatever mixed precision surrounds them."""

from __future__ import annotations

from contextlib import nullcontext

import torch
from torch import Tensor


def in_full(x: Tensor) -> Tensor:
    """float32, or float64 as it is."""
    return x if x.dtype == torch.float64 else x.float()


def exact(x: Tensor) -> torch.autocast | nullcontext:
    """A context without mixed precision, on x's device (meta, for one, has none anyway)."""
    if not torch.amp.is_autocast_available(x.device.type):
        return nullcontext()
    return torch.autocast(x.device.type, enabled=False)

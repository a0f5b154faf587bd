"""Which numbers are computed in full, whatever mixed precision surrounds them."""

from __future__ import annotations

import torch
from torch import Tensor


def in_full(x: Tensor) -> Tensor:
    """float32, or float64 as it is."""
    return x if x.dtype == torch.float64 else x.float()


def exact(x: Tensor) -> torch.autocast:
    """A context without mixed precision, on x's device."""
    return torch.autocast(x.device.type, enabled=False)

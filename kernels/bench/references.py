"""Other people's selective scans, to check and to measure ours against.

All are called as scan(u, delta, A, B, C, D) with u, delta (batch, channels, length), delta
positive, A (channels, state), B and C (batch, groups, state, length), D (channels,), and
return y (batch, channels, length). Those that are not installed raise ImportError.
"""

import importlib
import importlib.util
import sys
import types
from collections.abc import Callable

import torch
from torch import Tensor

MAMBA_SSM_RECIPE = (
    "to install its Python part: MAMBA_FORCE_BUILD=TRUE MAMBA_SKIP_CUDA_BUILD=TRUE "
    "pip install --no-build-isolation --no-deps mamba-ssm==2.3.2.post1; pip install triton einops"
)

MAMBA_SSM_BUILD = (
    "to build it for one architecture (sm_90: 155 s with 12 jobs on 16 cores): unpack "
    "`pip download --no-deps --no-binary :all: mamba-ssm==2.3.2.post1`, leave in its setup.py the "
    "one -gencode pair of your GPU (arch=compute_90,code=sm_90), then MAMBA_FORCE_BUILD=TRUE "
    "MAX_JOBS=12 pip install --no-build-isolation --no-deps ."
)


def mamba_ssm_reference() -> Callable:
    """mamba-ssm's own `selective_scan_ref` (all of its arguments), on any device.

    Only the Python of `mamba_ssm.ops.selective_scan_interface` runs, so that the package
    may be installed without its CUDA extension, as MAMBA_SSM_RECIPE says.
    """
    name = "mamba_ssm.ops.selective_scan_interface"
    if name in sys.modules:
        return sys.modules[name].selective_scan_ref
    spec = importlib.util.find_spec("mamba_ssm")
    if spec is None:
        raise ImportError(f"mamba-ssm is not installed; {MAMBA_SSM_RECIPE}")
    # Its __init__ files import models and CUDA extensions; a bare package skips them all.
    package = types.ModuleType("mamba_ssm")
    package.__path__ = list(spec.submodule_search_locations)
    stand_ins = {"mamba_ssm": package}
    if importlib.util.find_spec("selective_scan_cuda") is None:
        stand_ins["selective_scan_cuda"] = types.ModuleType("selective_scan_cuda")
    before = {key: sys.modules.get(key) for key in stand_ins}
    sys.modules.update(stand_ins)
    try:
        return importlib.import_module(name).selective_scan_ref
    except ImportError as error:
        raise ImportError(
            f"mamba-ssm's reference does not import ({error}); {MAMBA_SSM_RECIPE}"
        ) from error
    finally:
        for key, module in before.items():
            if module is None:
                del sys.modules[key]
            else:
                sys.modules[key] = module


def mambapy_pscan() -> Callable:
    """mambapy's parallel scan, wrapped as its Mamba block calls it (one group only)."""
    try:
        from mambapy.pscan import pscan
    except ImportError as error:
        raise ImportError(f"mambapy is not installed ({error}): pip install mambapy") from error

    def scan(u, delta, A, B, C, D):
        x, step = u.transpose(1, 2), delta.transpose(1, 2)  # (batch, length, channels)
        B, C = B[:, 0].transpose(1, 2), C[:, 0].transpose(1, 2)  # (batch, length, state)
        decay = torch.exp(step.unsqueeze(-1) * A)
        drive = step.unsqueeze(-1) * B.unsqueeze(2) * x.unsqueeze(-1)
        h = pscan(decay, drive)  # (batch, length, channels, state)
        return ((h @ C.unsqueeze(-1)).squeeze(3) + D * x).transpose(1, 2)

    return scan


def linear_reference(u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor):
    """`selective_scan_ref` with its indexing replaced by `unbind`.

    Indexing one step at a time makes the backward pass add a full-length gradient for every
    step, so its time grows with the square of the length; this one's is linear, and a fair
    opponent where gradients are measured.
    """
    per_group = u.shape[1] // B.shape[1]
    B, C = (t.unsqueeze(2).expand(-1, -1, per_group, -1, -1).flatten(1, 2) for t in (B, C))
    decays = torch.exp(torch.einsum("bcl,cn->bcln", delta, A)).unbind(2)
    drives = torch.einsum("bcl,bcnl,bcl->bcln", delta, B, u).unbind(2)
    h, ys = 0, []
    for decay, drive, c in zip(decays, drives, C.unbind(-1), strict=True):
        h = decay * h + drive
        ys.append(torch.einsum("bcn,bcn->bc", h, c))
    return torch.stack(ys, dim=2) + u * D[:, None]

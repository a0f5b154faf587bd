"""Which implementation runs a scan: what each one can do, and what `backend="auto"` takes.

    reference   the readable loop (`selective.reference_scan`)
    chunked     pure torch, runs anywhere (`chunked.chunked_scan`)
    cpu         compiled for CPUs with numba (`hmnet_kernels.selective_scan_cpu`)
    triton      compiled for GPUs with Triton (`hmnet_kernels.gpu.scan`)
    mamba_ssm   the authors' own CUDA kernel, when mamba-ssm is installed with it

The last three keep the state in float32 and never hold all states. mamba-ssm's kernel also takes
no initial state and gives its last state no gradient.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor

BACKENDS = ("reference", "chunked", "cpu", "triton", "mamba_ssm")
COMPILED = ("mamba_ssm", "triton", "cpu")  # in the order "auto" tries them

_MODULE = {"cpu": "numba", "triton": "triton", "mamba_ssm": "selective_scan_cuda"}
_INSTALL = {
    "cpu": "numba is not installed (pip install numba)",
    "triton": "triton is not installed (pip install triton; it is for Linux)",
    "mamba_ssm": "mamba-ssm is not installed with its CUDA kernel "
    "(pip install --no-build-isolation mamba-ssm, on a machine with CUDA)",
}
_WHY = {
    "cpu": "float32 state on a CPU and numba is installed: the compiled kernel is fastest",
    "triton": "the tensors are on a GPU and triton is installed: its kernel can run this call",
    "mamba_ssm": "the tensors are on a GPU and mamba-ssm's own kernel can run this call",
}


def choose_backend(
    u: Tensor,
    *,
    initial_state: bool = False,
    last_state_gradient: bool = False,
    return_states: bool = False,
    transformed: bool = False,
) -> tuple[str, str]:
    """What backend="auto" takes for a call that needs these things, and why.

    Args:
        u: (batch, channels, length), the scan's input: its device and dtype decide.
        initial_state: the call gives one (a recap counts as one).
        last_state_gradient: a gradient has to flow through the last state.
        return_states: the call asks for every state.
        transformed: a tensor of the call is one of `torch.func`'s (see `is_transformed`).

    Returns:
        (name, reason): name is one of `BACKENDS`, reason one sentence.
    """
    needs = dict(
        initial_state=initial_state,
        last_state_gradient=last_state_gradient,
        return_states=return_states,
        transformed=transformed,
    )
    lacking = []
    for name in COMPILED:
        if (name == "cpu") != (u.device.type == "cpu"):
            continue  # not worth a word
        reason = why_not(name, u, **needs)
        if reason is None:
            return name, _WHY[name]
        lacking.append(f"{name} is out because {reason}")
    if transformed:
        return "reference", f"only the plain loop can be transformed; {'; '.join(lacking)}"
    return "chunked", f"pure torch, runs anywhere; {'; '.join(lacking)}"


def why_not(
    backend: str,
    u: Tensor,
    *,
    initial_state: bool = False,
    last_state_gradient: bool = False,
    return_states: bool = False,
    transformed: bool = False,
) -> str | None:
    """Why a backend cannot run such a call; None when it can. Arguments as `choose_backend`."""
    if transformed and backend != "reference":
        return "torch.func (vmap, grad, jvp …) cannot look into it"
    if backend not in COMPILED:
        return None
    if return_states:
        return "it never holds all states and return_states=True asks for them"
    if u.dtype == torch.float64:
        return "it computes in float32 and the input is float64"
    on = "cpu" if _runs_on_cpu(backend) else "cuda"
    if u.device.type != on:
        return f"it runs on {on} and the tensors are on {u.device}"
    if backend == "mamba_ssm" and u.numel() == 0:
        return "it needs at least one batch row and one step"
    if backend == "mamba_ssm" and initial_state:
        return "it takes no initial state"
    if backend == "mamba_ssm" and last_state_gradient:
        return "it gives its last state no gradient"
    return out_of_order(backend)


def is_transformed(*tensors: Tensor | None) -> bool:
    """Whether one of them stands for what `torch.func` transforms: inside of vmap, grad, jvp …"""
    if torch.compiler.is_compiling():  # which turns these into graphs itself
        return False
    wrapped = torch._C._functorch.is_functorch_wrapped_tensor
    return any(x is not None and wrapped(x) for x in tensors)


@cache
def out_of_order(backend: str) -> str | None:
    """Why a backend is of no use on this machine, None when it is: it is tried, once, on one step.

    To find a package on disk is not enough: numba may be there and not fit numpy, a CUDA extension
    may be built for another torch.
    """
    if importlib.util.find_spec(_MODULE[backend]) is None:
        return _INSTALL[backend]
    device = "cuda" if backend == "mamba_ssm" or not _runs_on_cpu(backend) else "cpu"
    try:
        with torch.inference_mode(False), torch.no_grad():
            one = torch.ones(1, 1, 1, 1, dtype=torch.float32, device=device)
            line = (one[0], one[0], -one[0, 0], one, one, None, None)
            compiled_scan(backend)(
                *line, delta_bias=None, delta_softplus=False, return_last_state=True
            )
    except Exception as error:
        said = (str(error).strip() or "no message").splitlines()[0]
        return (
            f"{_MODULE[backend]} is installed but does not run here ({type(error).__name__}: "
            f"{said}); reinstall it to fit this torch and numpy"
        )
    return None


# torch.compiler.assume_constant_result(out_of_order), which would import the whole compiler, two
# seconds of it, for everyone who imports this package
out_of_order._dynamo_marked_constant = True  # type: ignore[attr-defined]


def resolve(backend: str, u: Tensor, **needs: bool) -> str:
    """The backend that runs a call: the one asked for, or what "auto" takes.

    Arguments as `why_not`.

    Returns:
        one of `BACKENDS`.

    Raises:
        ValueError: no such backend, or it cannot do what the call needs.
        ImportError: it is not installed; says what to install.
    """
    if backend == "auto":
        return choose_backend(u, **needs)[0]
    if backend not in BACKENDS:
        raise ValueError(
            f"backend={backend!r} is not known; choose 'auto' or one of {', '.join(BACKENDS)}"
        )
    lacking = why_not(backend, u, **needs)
    if lacking is not None:
        error = ImportError if "installed" in lacking else ValueError
        raise error(
            f"backend={backend!r} cannot run this call: {lacking}; "
            "use backend='auto', which takes what can"
        )
    return backend


def compiled_scan(backend: str) -> Callable:
    """The function behind one of `COMPILED`.

    It is called as f(u, delta, A, B, C, D, initial_state, delta_bias=…, delta_softplus=…,
    return_last_state=True), B and C with groups, and returns (y, last_state).
    """
    if backend == "cpu":
        from hmnet_kernels import selective_scan_cpu

        return selective_scan_cpu
    if backend == "triton":
        from hmnet_kernels.gpu.scan import selective_scan_triton

        return selective_scan_triton
    return _mamba_ssm_scan


def _mamba_ssm_scan(u, delta, A, B, C, D, initial_state, **options):
    """mamba-ssm's `selective_scan_fn`, called as the other compiled scans are."""
    from mamba_ssm.ops.selective_scan_interface import selective_scan_fn

    assert initial_state is None  # `require` has seen to it
    return selective_scan_fn(u, delta, A, B, C, D, **options)


def _runs_on_cpu(backend: str) -> bool:
    """Triton does, in Python, when its interpreter is asked for (for tests)."""
    interpreted = os.environ.get("TRITON_INTERPRET") == "1"
    return backend == "cpu" or (backend == "triton" and interpreted)

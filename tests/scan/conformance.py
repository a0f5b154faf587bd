"""One suite for every backend: its problems, its oracle, and how far a result may be off.

A backend named "… on cuda" needs a GPU and is skipped without one. Triton also runs where
TRITON_INTERPRET=1 lets its kernels run on a CPU; test_triton.py runs this folder again in such a
process.
"""

import importlib.util
import os

import pytest
import torch
from torch import Tensor

from hmnet_lite.scan.backends import BACKENDS, COMPILED
from hmnet_lite.scan.selective import selective_scan
from tests.oracle import loop64

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
VALUES, VALUES_STRESS, GRADIENTS, GRADIENTS_STRESS = 1e-6, 1e-5, 1e-5, 1e-4
STEPS = 21 if INTERPRETED else 45  # of a line where any length would do

if INTERPRETED:
    import tests.interpreter  # noqa: F401


with_mamba_ssm = pytest.mark.skipif(
    importlib.util.find_spec("selective_scan_cuda") is None,
    reason="needs mamba-ssm with its CUDA kernel",
)


def on_gpu(backend):
    marks = [pytest.mark.gpu, *[with_mamba_ssm] * (backend == "mamba_ssm")]
    return pytest.param(f"{backend} on cuda", marks=marks)


TRITON = "triton" if INTERPRETED else on_gpu("triton")
HERE = [TRITON, "reference", "chunked", "cpu", on_gpu("chunked")]
ALL = [*HERE, "auto", on_gpu("auto")]
IN_DOUBLE = ["reference", "chunked"]
NAMES = [*BACKENDS, "auto"]  # where bad input is found before a backend is looked for
TIME = ("u", "delta", "B", "C")


def compiled(where):
    """Whether a backend, wherever it runs, is one that computes in float32 only."""
    return where.partition(" ")[0] in COMPILED


# ---- problems -------------------------------------------------------------------------------


def problem(batch=2, channels=6, length=11, state=4, groups=2, dtype=torch.float32, seed=0):
    """A dict of ordinary scan arguments; delta already positive."""
    g = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(*shape, generator=g, dtype=torch.float64).to(dtype)

    return dict(
        u=normal(batch, channels, length),
        delta=torch.nn.functional.softplus(normal(batch, channels, length) - 1),
        A=-torch.exp(normal(channels, state) * 0.5),
        B=normal(batch, groups, state, length),
        C=normal(batch, groups, state, length),
        D=normal(channels),
        initial_state=normal(batch, channels, state),
    )


def variant(kind, **sizes):
    """A problem that uses the arguments otherwise."""
    p = problem(**sizes)
    if kind == "gate, bias, softplus":
        q = problem(**sizes | {"seed": 1})
        p |= dict(delta=q["u"], z=q["delta"], delta_bias=q["D"], delta_softplus=True)
    if kind == "bias alone":
        p["delta_bias"] = problem(**sizes | {"seed": 1})["D"].abs()
    if kind == "no skip, no start":
        del p["D"], p["initial_state"]
    if kind in ("one group", "B for all, C constant"):
        p["B"], p["C"] = p["B"][:, 0], p["C"][:, 0]
    if kind in ("constant", "B for all, C constant"):
        p["C"] = problem(**sizes | {"seed": 2})["A"]
    if kind == "constant":
        p["B"] = problem(**sizes | {"seed": 3})["A"]
    if kind == "recap":
        p = with_recap(p)
    return p


def with_recap(p, segment=None):
    """The problem with a recap before every so many steps (by default a third of the length).

    Its three parts stand under names of their own, for each to have a gradient; `run` and `truth`
    put them together.
    """
    q = problem(*p["u"].shape, p["A"].shape[1], seed=4, groups=1, dtype=p["u"].dtype)
    keep, support_state = q["initial_state"].sigmoid(), q["initial_state"].flip(-1)
    segment = segment or max(p["u"].shape[-1] // 3, 1)
    return p | dict(support_keep=keep, support_state=support_state, segment=segment)


VARIANTS = ["plain", "gate, bias, softplus", "bias alone", "no skip, no start", "one group"]
VARIANTS += ["constant", "B for all, C constant", "recap"]
RECAP = ("support_keep", "support_state", "segment")


# ---- running and judging --------------------------------------------------------------------


def run(where, p, **more):
    """selective_scan by a backend, on a GPU if `where` says so; the results come back."""
    backend, _, device = where.partition(" on ")
    p = {k: v.to(device or "cpu") if isinstance(v, Tensor) else v for k, v in p.items()}
    result = selective_scan(**packed(p), backend=backend, **more)
    return tuple(x.cpu() for x in result) if isinstance(result, tuple) else result.cpu()


def packed(p):
    """The arguments of `selective_scan`: a recap's three parts in one."""
    rest = {k: v for k, v in p.items() if k not in RECAP}
    return rest | {"recap": tuple(p[k] for k in RECAP)} if "segment" in p else rest


def truth(p, *, return_states=False):
    """y and the last state, or every state, by the float64 loop (which wants groups in B and C)."""
    batch, _, length = p["u"].shape
    full = {
        k: p[k][:, None] if p[k].ndim == 3 else p[k][None, :, :, None].expand(batch, -1, -1, length)
        for k in "BC"
        if p[k].ndim < 4
    }
    *recap, segment = (p.get(k) for k in RECAP)
    rest = {k: v for k, v in p.items() if k not in RECAP}
    recap = None if segment is None else tuple(recap)
    return loop64(**rest | full, recap=recap, segment=segment, return_states=return_states)


def everything(function, p, *, last_gradient=True):
    """y, the last state, and each tensor's gradient of one fixed mixture of the two."""
    x = {k: v.detach().requires_grad_() if isinstance(v, Tensor) else v for k, v in p.items()}
    y, last = function(x)
    g = torch.Generator().manual_seed(1)
    loss = (y * torch.randn(y.shape, generator=g).to(y.dtype)).sum()
    if last_gradient:
        loss = loss + (last * torch.randn(last.shape, generator=g).to(last.dtype)).sum()
    names = [k for k, v in x.items() if isinstance(v, Tensor)]
    grads = torch.autograd.grad(loss, [x[k] for k in names], materialize_grads=True)
    return {"y": y.detach(), "last_state": last.detach()} | dict(zip(names, grads, strict=True))


def by(where):
    return lambda p: run(where, p, return_last_state=True)


def doubled(p):
    return {k: v.double() if isinstance(v, Tensor) else v for k, v in p.items()}


def relative(a, b):
    assert a.shape == b.shape
    if b.numel() == 0:
        return 0.0
    return ((a.double() - b).abs().max() / b.abs().max().clamp_min(1e-30)).item()


def assert_close(ours, exact, values=VALUES, gradients=GRADIENTS):
    """Relative to the largest exact number, for y and the state, and for each gradient."""
    off = {name: relative(ours[name], exact[name]) for name in exact}
    limits = {name: values if name in ("y", "last_state") else gradients for name in exact}
    assert not {name: value for name, value in off.items() if not value < limits[name]}

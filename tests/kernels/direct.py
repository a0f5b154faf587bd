"""The kernels called directly, as people without `hmnet_lite` call them, and judged."""

import torch

from hmnet_kernels import selective_scan_cpu
from tests.oracle import loop64
from tests.scan.conformance import GRADIENTS, TRITON, VALUES, relative

KERNELS = ["cpu", TRITON]
NAMES = ("u", "delta", "A", "B", "C", "D", "initial_state", "delta_bias", "P", "S")


def problem(batch=2, channels=20, state=16, length=70, groups=1, seed=0):
    """Every tensor a scan can take, by name; delta is raw (for bias and softplus)."""
    g = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(*shape, generator=g)

    return {
        "u": normal(batch, channels, length),
        "delta": normal(batch, channels, length) - 2,
        "A": -torch.exp(normal(channels, state)),
        "B": normal(batch, groups, state, length),
        "C": normal(batch, groups, state, length),
        "D": normal(channels),
        "initial_state": normal(batch, channels, state),
        "delta_bias": normal(channels),
        "P": torch.sigmoid(normal(batch, channels, state)),
        "S": normal(batch, channels, state),
    }


def kernel(where):
    """A kernel as a function that returns (y, last_state), from a GPU if `where` says so."""
    name, _, device = where.partition(" on ")
    if name == "cpu":
        scan = selective_scan_cpu
    else:
        from hmnet_kernels.gpu.scan import selective_scan_triton as scan

    def there_and_back(*tensors, recap=None, **more):
        if device:
            tensors = (t.to(device) for t in tensors)
            more = {k: t.to(device) if isinstance(t, torch.Tensor) else t for k, t in more.items()}
            recap = recap and tuple(t.to(device) for t in recap)
        result = scan(*tensors, recap=recap, return_last_state=True, **more)
        return tuple(t.cpu() for t in result)

    return there_and_back


def run(function, x, segment=None, **more):
    """Calls a scan on `problem`'s tensors: (y, last_state)."""
    keywords = {k: x[k] for k in ("D", "initial_state", "delta_bias") if k in x} | more
    keywords["delta_softplus"] = keywords.get("delta_softplus", "delta_bias" in x)
    if segment is not None:
        keywords |= {"recap": (x["P"], x["S"]), "segment": segment}
    return function(x["u"], x["delta"], x["A"], x["B"], x["C"], **keywords)


def compare(where, x, segment=None, values=VALUES, gradients=GRADIENTS):
    """Values, last state and every gradient of a kernel against the float64 loop's."""
    used = [k for k in NAMES if k in x and (segment is not None or k not in ("P", "S"))]
    ours = {k: x[k].clone().requires_grad_() for k in used}
    theirs = {k: x[k].clone().double().requires_grad_() for k in used}
    got, want = run(kernel(where), ours, segment), run(loop64, theirs, segment)
    weights = [torch.randn(t.shape, generator=torch.Generator().manual_seed(7)) for t in got]
    for name, a, b in zip(("y", "last_state"), got, want, strict=True):
        assert relative(a, b) < values, name
    loss_got = sum((w * t).sum() for w, t in zip(weights, got, strict=True))
    loss_want = sum((w * t).sum() for w, t in zip(weights, want, strict=True))
    got = torch.autograd.grad(loss_got, [ours[k] for k in used])
    want = torch.autograd.grad(loss_want, [theirs[k] for k in used], materialize_grads=True)
    for name, a, b in zip(used, got, want, strict=True):
        assert relative(a, b) < gradients, f"gradient of {name}"

"""Maps and QIM in Triton's kernels: against the definition, and in a block beside the CPU's.

On a GPU, or in a process with TRITON_INTERPRET=1 (tests/scan/test_triton.py starts one).
"""

import pytest
import torch
import torch.nn.functional as F

from hmnet_lite.mamba.blocks import HybridMambaBlock
from hmnet_lite.mamba.hybrid import intercept
from hmnet_lite.maps import reading_order_on
from tests.kernels import test_map_scan as maps
from tests.scan.conformance import GRADIENTS, INTERPRETED, TRITON, VALUES, relative

DEVICE = "cpu" if INTERPRETED else "cuda"
SHAPES = [dict(batch=1, height=3, width=4, channels=3, state=2, directions=4, ratio=2)]
if not INTERPRETED:  # minutes there
    SHAPES += [
        dict(channels=3, state=1, directions=2, ratio=3, rank=1),
        dict(batch=2, height=16, width=15, channels=70, state=16),
    ]


def moved(x):
    """On the device, but for what the host looks at."""
    return {
        k: t.to(DEVICE) if isinstance(t, torch.Tensor) and k != "starts" else t
        for k, t in x.items()
    }


def judge(ours, truth, x, names):
    """Outputs to `VALUES` and every gradient of one mixture of them to `GRADIENTS`."""
    leaves = [x[name] for name in names]
    g = torch.Generator().manual_seed(3)
    weights = [torch.randn(t.shape, generator=g) for t in ours]
    found = [
        torch.autograd.grad(sum((w.to(t) * t).sum() for w, t in zip(weights, out, strict=True)),
                            leaves)
        for out in (ours, truth)
    ]  # fmt: skip
    for a, b in zip(ours, truth, strict=True):
        assert relative(a.cpu(), b.cpu()) < VALUES
    for name, a, b in zip(names, *found, strict=True):
        assert relative(a.cpu(), b.cpu()) < GRADIENTS, name


@pytest.mark.parametrize("where", [TRITON])
@pytest.mark.parametrize("spans", [1, 3])
@pytest.mark.parametrize("left_out", [(), ("P", "S", "D", "delta_bias")], ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_maps_match_the_definition(where, shape, left_out, spans, monkeypatch):
    from hmnet_kernels.gpu import launch, map_scan

    if INTERPRETED and (spans > 1) == bool(left_out):
        pytest.skip("minutes in the interpreter")
    monkeypatch.setattr(launch, "spans_for", lambda *given: spans)
    monkeypatch.setattr(maps, "map_scan_cpu", map_scan.map_scan_triton)
    x = maps.problem(**shape) | dict.fromkeys(left_out)
    names = [name for name in maps.NAMES if x[name] is not None]
    for name in names:
        x[name].requires_grad_()
    there = moved(x)
    judge([t.cpu() for t in maps.run(there)], maps.readable(x), x, names)


@pytest.mark.parametrize("where", [TRITON])
def test_a_rank_higher_than_what_is_kept_in_registers(where, monkeypatch):
    from hmnet_kernels.gpu import map_scan

    monkeypatch.setattr(maps, "map_scan_cpu", map_scan.map_scan_triton)
    x = maps.problem(
        batch=1, height=2, width=3, channels=2, state=1, directions=1, ratio=1, rank=19
    )
    x["delta_weight"] *= 0.2
    names = ("low_rank", "delta_weight")
    for name in names:
        x[name].requires_grad_()
    judge([t.cpu() for t in maps.run(moved(x))], maps.readable(x), x, names)


@pytest.mark.parametrize("where", [TRITON])
def test_qim_is_one_step_from_the_state_at_every_pixel(where):
    from hmnet_kernels.gpu.map_scan import map_intercept_triton

    g = torch.Generator().manual_seed(0)
    shapes = dict(u=(2, 9, 3), low=(2, 1, 9, 2), weight=(3, 2), A=(3, 2), B=(2, 1, 9, 2))
    shapes |= dict(C=(2, 1, 9, 2), D=(3,), state=(2, 3, 2), delta_bias=(3,))
    x = {k: torch.randn(*shape, generator=g) for k, shape in shapes.items()}
    x["A"] = -x["A"].exp()
    for t in x.values():
        t.requires_grad_()
    *given, bias = moved(x).values()
    y = map_intercept_triton(*given, delta_bias=bias, delta_softplus=True).cpu()
    d = {k: t.double() for k, t in x.items()}
    delta = F.softplus(d["low"][:, 0] @ d["weight"].mT + d["delta_bias"]).mT
    B, C = d["B"][:, 0].mT, d["C"][:, 0].mT
    truth = intercept(d["u"].mT, delta, d["A"], B, C, d["D"], d["state"]).mT
    judge([y], [truth], x, list(x))


@pytest.mark.parametrize("where", [TRITON])
def test_a_hybrid_block_is_the_same_on_triton(where, monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)  # its convolutions, 10 bits
    blocks = {}
    for backend in ("chunked", "triton"):
        torch.manual_seed(0)
        blocks[backend] = HybridMambaBlock(2, state=2, recap_ratio=2, backend=backend)
        torch.manual_seed(1)
        maps_ = [torch.randn(1, 4, 5, 2, requires_grad=True) for _ in "qs"]
        block = blocks[backend].to(DEVICE if backend == "triton" else "cpu")
        outputs = [y.cpu() for y in block(*(x.to(next(block.parameters()).device) for x in maps_))]
        loss = sum((y * y.detach().cos()).sum() for y in outputs)
        parameters = [p for n, p in block.named_parameters() if n.startswith("ssm")]
        blocks[backend] = [*outputs, *torch.autograd.grad(loss, [*maps_, *parameters])]
    for ours, readable in zip(*reversed(blocks.values()), strict=True):
        assert relative(ours.detach().cpu(), readable.detach().double()) < GRADIENTS


@pytest.mark.parametrize("where", [TRITON])
def test_a_hybrid_block_compiles_to_one_graph(where):
    """Nothing in it makes torch.compile begin anew: orders are kept, starts are numbers."""
    torch.manual_seed(0)
    block = HybridMambaBlock(2, state=2, recap_ratio=2, backend="triton").to(DEVICE)
    compiled = torch.compile(block, backend="aot_eager", fullgraph=True)
    leaves = [torch.randn(1, 4, 5, 2, device=DEVICE, requires_grad=True) for _ in "qs"]
    found = [[*f(*leaves)] for f in (compiled, block)]
    for outputs in found:
        outputs += torch.autograd.grad(sum(y.sin().sum() for y in outputs), leaves)
    for one, plain in zip(*found, strict=True):
        assert relative(one.detach().cpu(), plain.detach().cpu().double()) < GRADIENTS


@pytest.mark.parametrize("where", [TRITON])
def test_what_a_captured_graph_reads_stays(where):
    """Hundreds of other sizes later: a graph knows only where it lay."""
    from hmnet_kernels.gpu.launch import chunk_table

    device = torch.device(DEVICE)
    reads = [
        lambda: reading_order_on(device, 4, 3, 3),
        lambda: chunk_table(((0, 9),), 2, 8, DEVICE),
    ]
    before = [read().data_ptr() for read in reads]
    for side in range(4, 104):
        reading_order_on(device, 1, side, 2)
        chunk_table(((0, side),), 20, 8, DEVICE)
    assert [read().data_ptr() for read in reads] == before


@pytest.mark.parametrize("where", [TRITON])
def test_lines_cut_in_spans_are_the_same(where, monkeypatch):
    from hmnet_kernels.gpu import launch
    from tests.kernels.direct import compare, problem

    monkeypatch.setattr(launch, "spans_for", lambda *given: 3)
    compare(where, problem(batch=1, channels=2, length=27, state=2), 10)


@pytest.mark.parametrize("where", [TRITON])
def test_the_same_call_gives_the_same_bits(where):
    """There are no atomics: not in the gradients of B and C either, which all channels share."""
    from hmnet_kernels.gpu.scan import selective_scan_triton
    from tests.kernels.direct import problem

    sizes = dict(channels=40, length=12, state=2) if INTERPRETED else dict(channels=300, length=900)
    x = problem(batch=1, **sizes)
    results = []
    for _ in range(2):
        leaves = {k: x[k].to(DEVICE).requires_grad_() for k in ("u", "delta", "A", "B", "C")}
        y = selective_scan_triton(*leaves.values(), delta_softplus=True)
        results.append([y, *torch.autograd.grad(y.square().sum(), list(leaves.values()))])
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


@pytest.mark.parametrize("where", [TRITON])
def test_compilers_are_told_what_comes(where):
    """Shapes, strides and devices that the operators promise are those of what they compute."""
    from hmnet_kernels.gpu import map_scan, scan
    from tests.kernels.direct import problem

    def check(operator, *given):
        torch.library.opcheck(operator, given, test_utils="test_faketensor")

    def there(*tensors):
        return [t if t is None else t.to(DEVICE) for t in tensors]

    x = problem(batch=1, channels=2, length=9, state=2)
    rest = there(*(x[k] for k in ("u", "delta", "A", "B", "C", "D")), None)
    start, P, S = there(x["initial_state"], x["P"], x["S"])
    check(scan._scan, True, 4, True, *rest, start, P, S, None)
    y, last, saved = scan._scan_now(True, 4, True, *rest, start, P, S, None)
    check(scan._scan_backward, y, last, saved, 4, True, *rest, P, S, None)

    x = moved(maps.problem(batch=1, height=3, width=3, channels=2, state=2, directions=2, ratio=2))
    names = ("u", "low_rank", "delta_weight", "A", "B", "C", "D", "delta_bias", "P", "S")
    rest = (x["order"], x["starts"].flatten().tolist(), *(x[k] for k in names))
    check(map_scan._map_scan, True, True, False, *rest)
    y, last, saved = map_scan._map_scan_now(True, True, False, *rest)
    check(map_scan._map_scan_backward, y, last, saved, True, False, *rest)

"""The compiled CPU scan against mamba-ssm's reference and a float64 loop."""

import importlib
import json
import os
import subprocess
import sys
import threading
import zlib
from functools import partial
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from hmnet_kernels import selective_scan_cpu
from hmnet_kernels.bench import run as bench
from hmnet_kernels.bench.references import linear_reference
from tests.oracle import loop64, mamba_ssm_reference

pytest.importorskip("numba", reason="the compiled CPU scan needs numba")

scan = partial(selective_scan_cpu, return_last_state=True)

VALUES, VALUES_STRESS, GRADIENTS, GRADIENTS_STRESS = 1e-6, 1e-5, 1e-5, 1e-4
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


def run(function, x, segment=None, **more):
    """Calls a scan on `problem`'s tensors: (y, last_state)."""
    keywords = {k: x[k] for k in ("D", "initial_state", "delta_bias") if k in x} | more
    keywords["delta_softplus"] = keywords.get("delta_softplus", "delta_bias" in x)
    if segment is not None:
        keywords |= {"recap": (x["P"], x["S"]), "segment": segment}
    return function(x["u"], x["delta"], x["A"], x["B"], x["C"], **keywords)


def error(got, wanted):
    """Largest difference, relative to the largest wanted value."""
    assert got.shape == wanted.shape
    if wanted.numel() == 0:
        return 0.0
    return ((got - wanted).abs().max() / wanted.abs().max().clamp_min(1e-30)).item()


def compare(x, segment=None, values=VALUES, gradients=GRADIENTS, wanted=loop64, kernel=scan):
    """Values, last state and every gradient of a kernel against an oracle's."""
    used = [k for k in NAMES if k in x and (segment is not None or k not in ("P", "S"))]
    ours = {k: x[k].clone().requires_grad_() for k in used}
    theirs = {k: x[k].clone().double().requires_grad_() for k in used}
    got, want = run(kernel, ours, segment), run(wanted, theirs, segment)
    weights = [torch.randn(t.shape, generator=torch.Generator().manual_seed(7)) for t in got]
    for name, a, b in zip(("y", "last_state"), got, want, strict=True):
        assert error(a, b) < values, name
    loss_got = sum((w * t).sum() for w, t in zip(weights, got, strict=True))
    loss_want = sum((w * t).sum() for w, t in zip(weights, want, strict=True))
    got = torch.autograd.grad(loss_got, [ours[k] for k in used])
    want = torch.autograd.grad(loss_want, [theirs[k] for k in used], materialize_grads=True)
    for name, a, b in zip(used, got, want, strict=True):
        assert error(a, b) < gradients, f"gradient of {name}"


@pytest.mark.parametrize("segment", [None, 1, 7, 32, 65, 1000])
@pytest.mark.parametrize(
    "shape",
    [
        {},
        {"channels": 16, "length": 64},
        {"channels": 48, "groups": 3, "length": 33},
        {"channels": 34, "groups": 2, "state": 5, "length": 31},
        {"channels": 1, "state": 1, "length": 1},
        {"batch": 3, "channels": 17, "state": 3, "length": 129},
        {"batch": 1, "channels": 4, "groups": 4, "state": 2, "length": 16},
    ],
    ids=str,
)
def test_matches_float64_loop(shape, segment):
    compare(problem(**shape), segment)


def test_optional_arguments_may_be_left_out():
    x = problem()
    bare = {k: x[k] for k in ("u", "A", "B", "C")} | {"delta": F.softplus(x["delta"])}
    compare(bare)
    with_bias = bare | {"delta_bias": x["delta_bias"].abs()}
    got = run(scan, with_bias, delta_softplus=False)
    assert error(got[0], run(loop64, with_bias, delta_softplus=False)[0]) < VALUES
    y = selective_scan_cpu(*(bare[k] for k in NAMES[:5]))
    assert torch.equal(y, run(scan, bare)[0])


def test_matches_mamba_ssm():
    try:
        reference = mamba_ssm_reference()
    except ImportError as missing:
        pytest.skip(str(missing))
    x = problem(channels=24, groups=2, length=50)
    del x["initial_state"]

    def wanted(u, delta, A, B, C, D, delta_bias, delta_softplus):
        inputs = (t.float() for t in (u, delta, A, B, C, D))
        y, last = reference(*inputs, None, delta_bias.float(), delta_softplus, True)
        return y.double(), last.double()

    # both sides are float32 here, so each may be off by its own rounding
    compare(x, values=2 * VALUES, gradients=GRADIENTS, wanted=wanted)


@pytest.mark.parametrize("length", [0, 1])
@pytest.mark.parametrize("batch", [0, 2])
def test_empty_and_single_step(batch, length):
    x = problem(batch=batch, length=length)
    for t in x.values():
        t.requires_grad_()
    y, last = run(scan, x)
    assert y.shape == (batch, 20, length) and last.shape == (batch, 20, 16)
    if length == 0:
        assert torch.equal(last, x["initial_state"])
    (y.sum() + last.sum()).backward()
    assert all(t.grad is not None for k, t in x.items() if k not in ("P", "S"))


def test_non_contiguous_inputs():
    x = problem(channels=24)
    turned = {k: t.transpose(0, -1).contiguous().transpose(0, -1) for k, t in x.items()}
    assert not turned["u"].is_contiguous()
    for a, b in zip(run(scan, turned, 9), run(scan, x, 9), strict=True):
        assert torch.equal(a, b)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 90), st.integers(1, 90), st.integers(0, 10**6))
def test_split_and_carry_gives_the_whole(before, after, seed):
    x = problem(channels=9, state=4, length=before + after, seed=seed)
    y, last = run(scan, x)
    cut = ("u", "delta", "B", "C")
    first = x | {k: x[k][..., :before] for k in cut}
    y1, carried = run(scan, first)
    second = x | {k: x[k][..., before:] for k in cut} | {"initial_state": carried}
    y2, last2 = run(scan, second)
    assert error(torch.cat([y1, y2], -1), y) < VALUES
    assert error(last2, last) < VALUES


def test_linear_in_drive_and_initial_state():
    x, other = problem(seed=1), problem(seed=2)
    linear = ("u", "initial_state")
    mixed = x | {k: 2 * x[k] - 3 * other[k] for k in linear}
    y1, y2 = run(scan, x)[0], run(scan, x | {k: other[k] for k in linear})[0]
    assert error(run(scan, mixed)[0], 2 * y1 - 3 * y2) < 2 * VALUES


def test_causal():
    x = problem()
    changed = x | {"u": x["u"].clone()}
    changed["u"][..., 40:] += 1
    y, z = run(scan, x)[0], run(scan, changed)[0]
    assert torch.equal(y[..., :40], z[..., :40]) and not torch.equal(y, z)


def test_recap_equals_rescanning_the_support():
    """h ← P h + S with P = exp(A ΣΔ), S the support's last state: the support scanned again
    (DESIGN: recap is an affine map)."""
    x, support = problem(length=40, seed=3), problem(length=10, seed=4)
    for k in ("A", "D", "delta_bias"):
        support[k] = x[k]
    del x["initial_state"], support["initial_state"]
    delta = F.softplus(support["delta"] + x["delta_bias"][:, None])
    x["P"] = torch.exp(delta.sum(-1)[..., None] * x["A"])
    x["S"] = run(scan, support)[1]
    y = run(scan, x, segment=20)[0]
    parts = [support, 0, support, 20]
    cut = ("u", "delta", "B", "C")
    pieces = [p if p is support else {k: x[k][..., p : p + 20] for k in cut} for p in parts]
    joined = x | {k: torch.cat([p[k] for p in pieces], -1) for k in cut}
    whole = run(scan, joined)[0]
    assert error(y, torch.cat([whole[..., 10:30], whole[..., 40:]], -1)) < 2 * VALUES


@pytest.mark.parametrize("name", ["u", "delta", "A", "B", "C", "D", "initial_state"])
def test_nan_propagates(name):
    x = problem()
    x[name] = x[name].clone()
    x[name].view(-1)[5] = float("nan")
    y, last = run(scan, x)
    y64, last64 = run(loop64, x)
    assert y.isnan().any()
    assert torch.equal(y.isnan(), y64.isnan()) and torch.equal(last.isnan(), last64.isnan())


def test_nan_of_any_bit_pattern_propagates():
    x = problem(channels=16)
    bits = torch.tensor([0x7FFFFFFF], dtype=torch.int32)  # would shift into an exponent
    x["delta"][0, 3, 8] = bits.view(torch.float32)[0]
    assert run(scan, x)[0][0, 3, 8:].isnan().all()


STRESS = {
    "huge Δ": lambda x: x | {"delta": x["delta"] * 1e4},
    "infinite decay": lambda x: x | {"A": x["A"] * 1e30},
    "huge and tiny by turns": lambda x: x | {"delta": x["delta"].abs() ** 9 - 8},
    "tiny Δ": lambda x: x | {"delta": x["delta"] - 12},
    "Δ at the edge of underflow": lambda x: x | {"A": -torch.linspace(60, 130, 16).repeat(20, 1)},
    "growing state": lambda x: x | {"A": -x["A"] * 0.005},
}


@pytest.mark.parametrize("kind", STRESS)
@pytest.mark.parametrize("segment", [None, 25])
def test_stress(kind, segment):
    x = STRESS[kind](problem(channels=20, length=300))
    compare(x, segment, values=VALUES_STRESS, gradients=GRADIENTS_STRESS)


def test_overflow_is_infinite_not_garbage():
    x = problem() | {"A": torch.full((20, 16), 500.0)}
    y = run(scan, x)[0]
    assert not y[..., -1].isfinite().any()


@pytest.mark.slow
@pytest.mark.parametrize("shift", [0, -9], ids=["ordinary", "tiny Δ"])
def test_long_sequence(shift):
    x = problem(batch=1, channels=16, length=8192)
    x["delta"] = x["delta"] + shift
    values = VALUES if shift == 0 else VALUES_STRESS
    compare(x, values=values, gradients=GRADIENTS_STRESS)


def test_gradient_of_one_output_only():
    for pick in (0, 1):
        x = {k: t.requires_grad_() for k, t in problem().items()}
        w = {k: t.detach().double().requires_grad_() for k, t in x.items()}
        got = torch.autograd.grad(run(scan, x)[pick].sum(), x["delta"])[0]
        want = torch.autograd.grad(run(loop64, w)[pick].sum(), w["delta"])[0]
        assert error(got, want) < GRADIENTS


@pytest.mark.parametrize(
    ("change", "kind", "words"),
    [
        ({"u": torch.zeros(2, 20)}, ValueError, "expected u"),
        ({"delta": torch.zeros(2, 20, 69)}, ValueError, "delta has shape"),
        ({"B": torch.zeros(2, 3, 16, 70), "C": torch.zeros(2, 3, 16, 70)}, ValueError, "divide"),
        ({"C": torch.zeros(2, 1, 15, 70)}, ValueError, "C has shape"),
        ({"initial_state": torch.zeros(2, 16, 20)}, ValueError, "initial_state has shape"),
        ({"D": torch.zeros(20).double()}, TypeError, "D is torch.float64"),
        ({"A": torch.zeros(20, 16, device="meta")}, TypeError, "A is .* on meta"),
    ],
    ids=["u", "delta", "groups", "C", "initial_state", "dtype", "device"],
)
def test_bad_input_is_named(change, kind, words):
    with pytest.raises(kind, match=words):
        run(scan, problem() | change)


def test_bad_recap_is_named():
    x = problem()
    with pytest.raises(ValueError, match="together"):
        run(scan, x, recap=(x["P"], x["S"]))
    with pytest.raises(ValueError, match="at least 1"):
        run(scan, x, segment=0)
    with pytest.raises(ValueError, match=r"recap\[1\] has shape"):
        run(scan, x | {"S": x["S"][:1]}, segment=4)


def test_threads_agree_and_calls_may_overlap():
    x = problem(batch=3, channels=80, length=600)
    w = {k: t.requires_grad_() for k, t in x.items()}

    def everything():
        y, last = run(scan, w)
        return (y, last, *torch.autograd.grad(y.sum() + last.sum(), [w[k] for k in NAMES[:8]]))

    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        alone = everything()
        torch.set_num_threads(3)
        results = []
        callers = [threading.Thread(target=lambda: results.append(everything())) for _ in "abc"]
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join()
    finally:
        torch.set_num_threads(threads)
    assert len(results) == 3
    for result in results:
        assert torch.equal(result[0], alone[0])
        assert all(error(a, b) < GRADIENTS for a, b in zip(result, alone, strict=True))


@pytest.mark.slow
def test_compiled_code_is_cached(tmp_path):
    """The second process loads what the first compiled."""
    code = (
        "import torch, hmnet_kernels; from hmnet_kernels.cpu import line_loops\n"
        "x = torch.rand(1, 16, 8, requires_grad=True); A = -torch.rand(16, 16)\n"
        "b = torch.rand(1, 1, 16, 8); hmnet_kernels.selective_scan_cpu(x, x, A, b, b).sum()"
        ".backward()\n"
        "s = [f.stats for f in (line_loops.forward, line_loops.backward)]\n"
        "print(sum(len(x.cache_hits) for x in s), sum(len(x.cache_misses) for x in s))"
    )
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}
    environment["PYTHONPATH"] = os.pathsep.join(p for p in sys.path if p)
    for wanted in ("0 2", "2 0"):
        done = subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True
        )
        assert done.stdout.strip() == wanted, done.stderr


@pytest.mark.parametrize("module", ["line_loops", "map_loops"])
def test_cached_code_cannot_be_stale(module):
    """numba notices changes of a loops file only, so that it names what it was built from."""
    loops = importlib.import_module(f"hmnet_kernels.cpu.{module}")
    folder = Path(loops.__file__).parent
    sources = b"".join((folder / f"{name}.py").read_bytes() for name in ("lanes", "tiles", "steps"))
    assert zlib.crc32(sources) == loops.BUILT_FROM, (
        f"lanes.py, tiles.py or steps.py changed: set BUILT_FROM = 0x{zlib.crc32(sources):08X} in "
        f"{module}.py, so that compiled code cached from the old ones is not used"
    )


def test_linear_reference_is_the_reference():
    """What the benchmark calls the reference with linear time computes the same."""
    x = problem(groups=2)
    bare = [x["u"], F.softplus(x["delta"]), x["A"], x["B"], x["C"], x["D"]]
    y = linear_reference(*bare)
    assert error(y, loop64(*bare)[0]) < 2 * VALUES
    try:
        reference = mamba_ssm_reference()
    except ImportError as missing:
        pytest.skip(str(missing))
    assert error(y, reference(*bare)) < 2 * VALUES


@pytest.mark.slow
def test_benchmark_writes_its_table_and_plot(tmp_path):
    pytest.importorskip("matplotlib")
    small = ["--cases", "1x32x4x64", "--rounds", "1", "--seconds", "0", "--threads", "1"]
    bench.main([*small, "--out", str(tmp_path), "--scan", "mine=hmnet_kernels:selective_scan_cpu"])
    result = json.loads((tmp_path / "scan_benchmark.json").read_text())
    (case,) = result["cases"]
    assert case["floor_milliseconds"] >= 0
    for kind in ("forward", "forward_backward"):
        assert {"cpu", "mine", bench.LINEAR} <= set(case[kind])
        assert all(row["milliseconds"] > 0 for row in case[kind].values())
    assert case["forward_backward"][bench.LINEAR]["speed_up"] == 1
    assert 0 < (tmp_path / "scan_benchmark.png").stat().st_size < 100_000


@pytest.mark.gpu
def test_benchmark_on_a_gpu(tmp_path):
    small = ["--cases", "1x32x4x64", "--rounds", "1", "--seconds", "0", "--device", "cuda"]
    bench.main([*small, "--out", str(tmp_path)])
    (case,) = json.loads((tmp_path / "scan_benchmark_cuda.json").read_text())["cases"]
    assert case["forward_backward"]["triton"]["peak_megabytes"] > 0


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_benchmark_without_a_gpu_says_so(capsys):
    with pytest.raises(SystemExit):
        bench.main(["--device", "cuda"])
    assert "torch sees no CUDA device" in capsys.readouterr().err


def test_benchmark_names_what_it_does_not_know():
    with pytest.raises(SystemExit):
        bench.main(["--only", "nonsense"])
    with pytest.raises(SystemExit, match="expected NAME"):
        bench.main(["--scan", "nonsense"])


TRITON_CASES = {
    "plain": ({"channels": 3, "length": 20, "state": 4}, None, {}),
    "groups, odd sizes, recap": ({"channels": 4, "groups": 2, "length": 21, "state": 3}, 10, {}),
    "recap shorter than a chunk": ({"batch": 1, "channels": 1, "length": 7, "state": 1}, 3, {}),
    "one step": ({"batch": 1, "channels": 2, "length": 1, "state": 2}, None, {}),
    "no step": ({"batch": 1, "channels": 2, "length": 0, "state": 2}, None, {}),
    "huge delta": ({"batch": 1, "channels": 2, "length": 20}, None, {"delta": 1e4}),
    "tiny delta": ({"batch": 1, "channels": 2, "length": 20}, None, {"delta": 7.0}),
}


def triton_report() -> dict[str, str]:
    """What is wrong with the Triton kernels, by case: run where TRITON_INTERPRET is set."""
    from hmnet_kernels.gpu import scan as scan_triton

    scan_triton.BLOCK_T = 8  # several chunks, yet little to interpret
    kernel = partial(scan_triton.selective_scan_triton, return_last_state=True)
    report = {}
    for name, (shape, segment, factors) in TRITON_CASES.items():
        x = problem(**shape)
        x |= {k: x[k] * factor for k, factor in factors.items()}
        stress = (VALUES_STRESS, GRADIENTS_STRESS) if factors else (VALUES, GRADIENTS)
        try:
            compare(x, segment, *stress, kernel=kernel)
            bare = {k: x[k] for k in NAMES[:5]} | {"delta": F.softplus(x["delta"])}
            compare(bare, None, *stress, kernel=kernel)
            report[name] = "right"
        except Exception as wrong:
            report[name] = repr(wrong)
    x = problem(batch=1, channels=2, length=20, state=2)
    x["u"][0, 0, 5] = float("nan")
    y = run(kernel, x)[0]
    right = torch.equal(y.isnan(), run(loop64, x)[0].isnan())
    report["NaN"] = "right" if right else f"NaN at {y.isnan().nonzero().tolist()}"
    y = run(kernel, {k: t.bfloat16() for k, t in problem(length=20).items()})[0]
    near = error(y.double(), run(loop64, problem(length=20))[0]) < 0.02
    report["bfloat16"] = "right" if near and y.dtype == torch.bfloat16 else f"{y}"
    return report


@pytest.fixture(scope="module")
def triton_in_the_interpreter():
    """The report, from a process of its own: Triton decides at import whether to interpret."""
    pytest.importorskip("triton", reason="the Triton kernels need triton")
    environment = os.environ | {"TRITON_INTERPRET": "1"}
    environment["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parents[2]), *sys.path])
    code = "import json; from tests.kernels.test_scans import *; print(json.dumps(triton_report()))"
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
@pytest.mark.parametrize("case", [*TRITON_CASES, "NaN", "bfloat16"])
def test_triton_in_the_interpreter(case, triton_in_the_interpreter):
    assert triton_in_the_interpreter[case] == "right"


@pytest.mark.slow
@pytest.mark.parametrize("full", [True, False], ids=["every option", "no option"])
@pytest.mark.parametrize("kernel", ["_forward", "_backward"])
def test_triton_compiles_for_a_gpu_without_one(kernel, full):
    """What the interpreter does not check: types, layouts, and that registers suffice."""
    triton = pytest.importorskip("triton")
    from triton.backends.compiler import GPUTarget

    from hmnet_kernels.gpu import scan as scan_triton

    function = getattr(scan_triton, kernel)
    sizes = ("channels", "groups", "states", "length", "segment", "chunks")
    optional = ("D", "bias", "initial", "P", "S", "dP", "dS")
    constants = {"BLOCK_T": scan_triton.BLOCK_T, "BLOCK_N": 16}
    signature = {}
    for name in function.arg_names:
        if name.isupper() and len(name) > 1:
            constants.setdefault(name, full)
        elif name in optional and not full:
            constants[name] = None
        signature[name] = "constexpr" if name in constants else "i32" if name in sizes else "*fp32"
    places = {(function.arg_names.index(name),): value for name, value in constants.items()
              if name in signature}  # fmt: skip
    source = triton.compiler.ASTSource(function, signature, places)
    compiled = triton.compile(source, target=GPUTarget("cuda", 90, 32))
    assert "cubin" in compiled.asm


@pytest.mark.gpu
@pytest.mark.parametrize("segment", [None, 100])
@pytest.mark.parametrize("shape", [{}, {"channels": 48, "groups": 3, "length": 333}], ids=str)
def test_triton_on_a_gpu(shape, segment):
    from hmnet_kernels.gpu.scan import selective_scan_triton

    def there_and_back(*tensors, recap=None, **more):
        more = {k: t.cuda() if isinstance(t, torch.Tensor) else t for k, t in more.items()}
        recap = recap and tuple(t.cuda() for t in recap)
        tensors = (t.cuda() for t in tensors)
        result = selective_scan_triton(*tensors, recap=recap, return_last_state=True, **more)
        return tuple(t.cpu() for t in result)

    compare(problem(**shape), segment, gradients=GRADIENTS_STRESS, kernel=there_and_back)

"""Compilation: what numba keeps on disk is found again and never stale; Triton's code compiles."""

import importlib
import os
import re
import subprocess
import sys
import tempfile
import types
import zlib
from pathlib import Path

import pytest
import torch


@pytest.mark.slow
def test_compiled_code_is_cached(tmp_path):
    """The second process loads what the first compiled."""
    pytest.importorskip("numba", reason="the compiled CPU scan needs numba")
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
    pytest.importorskip("numba", reason="the compiled CPU scan needs numba")
    loops = importlib.import_module(f"hmnet_kernels.cpu.{module}")
    folder = Path(loops.__file__).parent
    sources = b"".join((folder / f"{name}.py").read_bytes() for name in ("lanes", "tiles", "steps"))
    assert zlib.crc32(sources) == loops.BUILT_FROM, (
        f"lanes.py, tiles.py or steps.py changed: set BUILT_FROM = 0x{zlib.crc32(sources):08X} in "
        f"{module}.py, so that compiled code cached from the old ones is not used"
    )


# bytes a thread, at most; "forward" alone is the first pass of a line in spans
SPILLED = {"forward": 64, "backward": 96, "backward add": 96}


class NoDriver:
    """What Triton's compiler asks of a GPU, answered without one."""

    def get_current_target(self):
        from triton.backends.compiler import GPUTarget

        return GPUTarget("cuda", 90, 32)

    def get_current_device(self):
        return 0

    def get_current_stream(self, device=None):
        return 0


def plain(launch, first):
    """A plain scan with everything that it may have, channels last or first."""
    from hmnet_kernels.gpu.scan import _problem, lines_view

    shapes = [(2, n, 256) if first else (2, 256, n) for n in (64, 64, 64, 16)]
    u, z, y, B = (torch.empty(shape) if first else torch.empty(shape).mT for shape in shapes)
    A, row, state = torch.empty(64, 16), torch.empty(64), torch.empty(2, 64, 16)
    tensors = (u, u, A, B[:, None], B[:, None], row, row, state, state, z)
    scan, view = _problem(128, True, *tensors), lines_view(y, 1)
    saved = launch.room(scan, 2, scan.chunks, 16, 64)
    launch.scan_forward(scan, view, state, state, saved)
    launch.scan_backward(scan, view, state, saved, view, view, view)


def of_a_map(launch, dtype=torch.float32, recap=False, fresh=False):
    """A map of 8 × 8 in four directions, or QIM on it, as blocks of the published size hand them
    over: Δ's factor, B and C of a pixel side by side."""
    from hmnet_kernels.gpu import map_scan

    K = 1 if fresh else 4
    u = torch.empty(2, 64, 64, dtype=dtype)
    selected = torch.empty(2, 64, K, 48, dtype=dtype).permute(0, 2, 1, 3)
    low, B, C = selected.split([16, 16, 16], -1)
    A, weight, row = torch.empty(K * 64, 16), torch.empty(K * 64, 16), torch.empty(K * 64)
    state = torch.empty(2, K * 64, 16)
    P, S = state if recap else None, state if recap or fresh else None
    order = None if fresh else torch.arange(64).repeat(K, 1)
    starts = [0, 16, 64] * K if recap else [0, 64] * K
    scan = map_scan._problem(True, fresh, order, starts, u, low, weight, A, B, C, row, row, P, S)
    view = map_scan._pixels_view(torch.empty(u.shape))
    last, saved = None, None
    if not fresh:
        last, saved = state, launch.room(scan, 2, scan.chunks, 16, K * 64)
    launch.scan_forward(scan, view, None, last, saved)
    launch.scan_backward(scan, view, last, saved, view, view, None)


SPANS = {"forward", "carry", "adjoint"}  # only where time is cut
PASSES = {"forward outputs", "backward"}
DIRECTIONS = {name + " add" for name in PASSES}
COMPILED = {
    "channels last": (lambda launch: plain(launch, first=False), SPANS | PASSES),
    "channels first": (lambda launch: plain(launch, first=True), SPANS | PASSES),
    "map": (of_a_map, SPANS | PASSES | DIRECTIONS),
    "map with recap": (lambda launch: of_a_map(launch, recap=True), SPANS | PASSES | DIRECTIONS),
    "map in bfloat16": (
        lambda launch: of_a_map(launch, torch.bfloat16, recap=True),
        SPANS | PASSES | DIRECTIONS,
    ),
    "QIM": (lambda launch: of_a_map(launch, fresh=True), PASSES),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", COMPILED)
def test_triton_compiles_for_a_gpu_without_one(kind, monkeypatch):
    """What the interpreter does not check: types, layouts, the launch's own arguments; that rows of
    B and C are read 16 bytes at a time, that registers suffice, and that the states of a channel
    stay in one thread, so that the forward pass of a line moves nothing between threads.
    """
    triton = pytest.importorskip("triton")
    if os.environ.get("TRITON_INTERPRET") == "1" or torch.cuda.is_available():
        pytest.skip("minutes in the interpreter")
    from triton.runtime import driver

    from hmnet_kernels.gpu import launch

    compiled = {}

    def compile_only(kernel, programs, **arguments):
        name = kernel.fn.__name__ + " outputs" * arguments.get("OUTPUTS", False)
        name += " add" * arguments.get("ADD", False)
        if name not in compiled:
            compiled[name] = kernel.warmup(**arguments, grid=(1,))

    monkeypatch.setattr(driver, "_active", NoDriver())
    monkeypatch.setattr(launch, "run", compile_only)
    monkeypatch.setattr(launch, "spans_for", lambda *given: 2)
    build, expected = COMPILED[kind]
    build(launch)
    assert set(compiled) == expected
    assert all("cubin" in kernel.asm for kernel in compiled.values())
    if tuple(map(int, triton.__version__.split(".")[:2])) < (3, 7):
        return
    ptx = compiled["forward outputs"].asm["ptx"]
    rows = 2 if "bfloat16" in kind else 4  # pieces of 16 bytes in a row of 16 states
    assert len(re.findall(r"ld\.global\.v4\.b32", ptx)) >= 2 * 4 * rows  # B and C, four steps
    if kind.startswith("channels"):  # an order is handed round
        assert "shfl" not in ptx
    tool = Path(triton.__file__).parent / "backends/nvidia/bin/cuobjdump"
    if not tool.exists():
        return
    for name, kernel in compiled.items():
        with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
            file.write(kernel.asm["cubin"])
            file.flush()
            said = subprocess.run(
                [tool, "-res-usage", file.name], capture_output=True, text=True, check=True
            )
        assert int(re.search(r"STACK:(\d+)", said.stdout + said.stderr)[1]) <= SPILLED.get(
            name, 32
        ), name


def test_time_is_cut_where_the_chip_would_be_idle(monkeypatch):
    """And only there, for spans repeat work: a chip of 132 multiprocessors, 528 schedulers."""
    pytest.importorskip("triton")
    from hmnet_kernels.gpu import launch

    chip = types.SimpleNamespace(multi_processor_count=132)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: chip)
    monkeypatch.setattr(launch, "INTERPRETED", False)
    assert launch.spans_for(512, 64, "cuda") == 1  # (8, 2048, 16, 4096)
    assert launch.spans_for(64, 64, "cuda") == 16  # the same at batch 1
    assert launch.spans_for(64, 4, "cuda") == 4  # no more than there are chunks
    assert launch.spans_for(0, 0, "cuda") == 1

"""Compilation: what numba keeps on disk is found again and never stale; Triton's code compiles."""

import importlib
import os
import subprocess
import sys
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


class NoDriver:
    """What Triton's compiler asks of a GPU, answered without one."""

    def get_current_target(self):
        from triton.backends.compiler import GPUTarget

        return GPUTarget("cuda", 90, 32)

    def get_current_device(self):
        return 0

    def get_current_stream(self, device=None):
        return 0


@pytest.mark.slow
def test_triton_compiles_for_a_gpu_without_one(monkeypatch):
    """What the interpreter does not check: types, layouts, the launch's own arguments; and that the
    states of a channel stay in one thread, so that the forward pass moves nothing between threads.
    """
    triton = pytest.importorskip("triton")
    if os.environ.get("TRITON_INTERPRET") == "1" or torch.cuda.is_available():
        pytest.skip("minutes in the interpreter")
    from triton.runtime import driver

    from hmnet_kernels.gpu import launch
    from hmnet_kernels.gpu.scan import _problem, lines_view

    compiled = {}

    def compile_only(kernel, programs, **arguments):
        name = kernel.fn.__name__ + " outputs" * arguments.get("OUTPUTS", False)
        compiled[name] = kernel.warmup(**arguments, grid=(1,))

    monkeypatch.setattr(driver, "_active", NoDriver())
    monkeypatch.setattr(launch, "run", compile_only)
    monkeypatch.setattr(launch, "spans_for", lambda *given: 2)
    u, z, y, B = (torch.empty(2, 256, n).mT for n in (64, 64, 64, 16))
    A, row = torch.empty(64, 16), torch.empty(64)
    state = torch.empty(2, 64, 16)
    tensors = (u, u, A, B[:, None], B[:, None], row, row, state, state, z)
    scan = _problem(128, True, *tensors)
    view = lines_view(y, 1)
    saved = launch.room(scan, 2, scan.chunks, 16, 64)
    launch.scan_forward(scan, view, state, state, saved)
    launch.scan_backward(scan, view, state, saved, view, view, view)
    assert set(compiled) == {"forward", "forward outputs", "carry", "adjoint", "backward"}
    assert all("cubin" in kernel.asm for kernel in compiled.values())
    if tuple(map(int, triton.__version__.split(".")[:2])) >= (3, 7):  # 3.6 leaves some
        assert "shfl" not in compiled["forward outputs"].asm["ptx"]

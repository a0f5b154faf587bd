"""Compilation: what numba keeps on disk is found again and never stale; Triton's code compiles."""

import importlib
import os
import subprocess
import sys
import zlib
from pathlib import Path

import pytest


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


@pytest.mark.slow
@pytest.mark.parametrize("full", [True, False], ids=["every option", "no option"])
@pytest.mark.parametrize("kernel", ["_forward", "_backward"])
def test_triton_compiles_for_a_gpu_without_one(kernel, full):
    """What the interpreter does not check: types, layouts, and that registers suffice."""
    triton = pytest.importorskip("triton")
    if os.environ.get("TRITON_INTERPRET") == "1":
        pytest.skip("minutes in the interpreter")
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

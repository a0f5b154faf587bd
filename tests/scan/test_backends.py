"""The choice of a backend: what "auto" takes and why, and what is said of one that cannot run."""

import json
import os
import subprocess
import sys
import types
from pathlib import Path

import pytest
import torch

from hmnet_lite.scan.backends import COMPILED, choose_backend, compiled_scan, why_not
from hmnet_lite.scan.selective import selective_scan
from tests.oracle import mamba_ssm_reference
from tests.scan.conformance import (
    ALL,
    INTERPRETED,
    VALUES,
    problem,
    relative,
    run,
    truth,
)

ROOT = Path(__file__).parents[2]


class On:
    """What a choice looks at of a tensor, on a device that need not be here."""

    def __init__(self, device, dtype=torch.float32, count=1):
        self.device, self.dtype, self.numel = torch.device(device), dtype, lambda: count


@pytest.mark.parametrize(
    "u, needs, chosen, because",
    [
        (On("cpu"), {}, "cpu", "numba is installed"),
        (On("cpu"), {"initial_state": True, "last_state_gradient": True}, "cpu", "fastest"),
        (On("cpu"), {"return_states": True}, "chunked", "cpu is out because it never holds"),
        (On("cpu", torch.float64), {}, "chunked", "cpu is out because it computes in float32"),
        (On("cuda", torch.float64), {}, "chunked", "triton is out because it computes in float32"),
        (On("cuda"), {"return_states": True}, "chunked", "mamba_ssm is out because it never"),
    ],
)
def test_auto_takes_the_fastest_that_can(u, needs, chosen, because):
    name, why = choose_backend(u, **needs)
    assert name == chosen and because in why


@pytest.mark.parametrize(
    "u, needs, reason",
    [
        (On("cuda"), {"initial_state": True}, "it takes no initial state"),
        (On("cuda"), {"last_state_gradient": True}, "it gives its last state no gradient"),
        (On("cuda", count=0), {}, "it needs at least one batch row and one step"),
        (On("cpu"), {}, "it runs on cuda and the tensors are on cpu"),
    ],
)
def test_what_mamba_ssm_s_kernel_cannot_do(u, needs, reason):
    assert why_not("mamba_ssm", u, **needs) == reason


@pytest.mark.gpu
@pytest.mark.parametrize("needs", [{}, {"initial_state": True}, {"last_state_gradient": True}])
def test_on_a_gpu_auto_takes_the_first_that_can(needs):
    u = torch.ones(1, 1, 1, device="cuda")
    able = [name for name in ("mamba_ssm", "triton") if why_not(name, u, **needs) is None]
    assert choose_backend(u, **needs)[0] == [*able, "chunked"][0]


@pytest.mark.skipif(INTERPRETED, reason="Triton runs on this CPU")
@pytest.mark.parametrize("backend", ["triton", "mamba_ssm"])
def test_a_gpu_backend_refuses_tensors_on_a_cpu(backend):
    with pytest.raises(ValueError, match=rf"'{backend}' cannot run this call: it runs on cuda"):
        selective_scan(**problem(), backend=backend)


@pytest.mark.parametrize("backend", COMPILED)
def test_a_compiled_backend_never_holds_all_states(backend):
    with pytest.raises(ValueError, match=r"cannot run this call: .*return_states=True"):
        selective_scan(**problem(), return_states=True, backend=backend)


def test_an_unknown_backend_is_named():
    with pytest.raises(ValueError, match=r"backend='fast' is not known; choose 'auto' or one of"):
        selective_scan(**problem(), backend="fast")


def test_mamba_ssm_s_kernel_is_called_as_its_reference_may_be(monkeypatch):
    """There is no CUDA here; its Python twin has the same signature and stands in."""
    try:
        reference = mamba_ssm_reference()
    except ImportError as missing:
        pytest.skip(str(missing))
    package = types.ModuleType("mamba_ssm.ops.selective_scan_interface")
    package.selective_scan_fn = reference
    for name in ("mamba_ssm", "mamba_ssm.ops"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    monkeypatch.setitem(sys.modules, package.__name__, package)
    p = problem()
    del p["initial_state"]
    tensors = (*(p[k] for k in ("u", "delta", "A", "B", "C", "D")), None)
    y, last = compiled_scan("mamba_ssm")(
        *tensors, delta_bias=None, delta_softplus=False, return_last_state=True
    )
    y64, last64 = truth(p)
    assert relative(y, y64) < VALUES and relative(last, last64) < VALUES


# ---- in a process of its own ----------------------------------------------------------------


def report(code, **env):
    """What a fresh process prints as JSON; it begins with the names of this file."""
    env = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"} | env
    env["PYTHONPATH"] = os.pathsep.join([str(ROOT), *filter(None, sys.path)])
    code = f"import json, sys\nfrom tests.scan.test_backends import *\n{code}"
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


WITHOUT = """
sys.modules |= dict.fromkeys(("numba", "triton", "selective_scan_cuda"))  # as if not installed
p = problem()
said = {"scan": [relative(selective_scan(**p), truth(p)[0])]}
for backend in COMPILED:
    u = On("cpu" if backend == "cpu" else "cuda")
    said[backend] = [*choose_backend(u), why_not(backend, u)]
try:
    selective_scan(**p, backend="cpu")
except ImportError as error:
    said["error"] = [str(error)]
print(json.dumps(said))
"""


@pytest.fixture(scope="module")
def without():
    return report(WITHOUT)


@pytest.mark.parametrize(
    "backend, mend",
    [
        ("cpu", "pip install numba"),
        ("triton", "pip install triton"),
        ("mamba_ssm", "pip install --no-build-isolation mamba-ssm"),
    ],
)
def test_a_missing_backend_says_what_to_install(backend, mend, without):
    chosen, why, reason = without[backend]
    assert chosen == "chunked" and mend in why and mend in reason


def test_without_numba_auto_still_scans_and_cpu_says_what_to_install(without):
    assert without["scan"][0] < VALUES
    assert "backend='cpu' cannot run this call" in without["error"][0]
    assert "pip install numba" in without["error"][0]


BROKEN = """
sys.path.insert(0, {folder!r})
p = problem()
said = {{"why": choose_backend(p["u"]), "scan": relative(selective_scan(**p), truth(p)[0])}}
try:
    selective_scan(**p, backend="cpu")
except ImportError as error:
    said["error"] = str(error)
print(json.dumps(said))
"""


def test_a_broken_numba_is_as_good_as_none(tmp_path):
    """It lies on disk and cannot be imported: auto takes what can, cpu says why it cannot."""
    (tmp_path / "numba").mkdir()
    (tmp_path / "numba" / "__init__.py").write_text("raise ImportError('needs NumPy 2.2 or less')")
    told = report(BROKEN.format(folder=str(tmp_path)))
    name, why = told["why"]
    assert name == "chunked" and told["scan"] < VALUES
    for said in (why, told["error"]):
        assert "numba is installed but does not run here" in said
        assert "needs NumPy 2.2 or less" in said and "reinstall it" in said


GROWING = """
import warnings
p = problem()
p["A"] = -p["A"] * 0.1
with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always")
    off = [relative(run(backend, p), truth(p)[0]) for backend in ("chunked", "cpu", "auto") * 2]
print(json.dumps({"off": off, "said": [str(w.message) for w in said if w.category is UserWarning]}))
"""


def test_a_growing_state_is_warned_about_once_in_a_process():
    told = report(GROWING)
    (warning,) = told["said"]
    assert warning.startswith("A has entries >= 0 (largest ") and max(told["off"]) < VALUES


@pytest.mark.filterwarnings("ignore:A has entries >= 0")
@pytest.mark.parametrize("backend", ALL)
def test_a_growing_state_is_right(backend):
    p = problem()
    p["A"] = -p["A"] * 0.1
    assert relative(run(backend, p), truth(p)[0]) < VALUES

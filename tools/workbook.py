"""What `make` runs: set-up, notebooks, tests. Standard library only, for .venv may not exist yet.

    python3 tools/workbook.py TARGET [arguments]     the targets of the Makefile

Every failure that a reader can mend ends in one line that says how (see `Mend`).
"""

import contextlib
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
UNFINISHED = VENV / "setup-unfinished"  # present from the first file in .venv to the last
FINISHED = VENV / "setup-finished"  # holds the fingerprint of what was installed
LOG = ROOT / "build" / "setup.log"
JUPYTER = ROOT / "tools" / "jupyter"  # JupyterLab's defaults here: no question about news
UNREACHABLE = (  # pip's words for having no network; the last are those when it may not retry
    *("NewConnectionError", "NameResolutionError", "Temporary failure in name", "ProxyError"),
    *("Read timed out", "ConnectTimeoutError", "Network is unreachable", "(from versions: none)"),
)
INSTALLED_FROM = ("pyproject.toml", "constraints.txt")
TESTS_WRITE = 3_000_000_000  # bytes; more than all of them have on the disk at any time
LINT_IMPORTS = "from importlinter.cli import lint_imports_command as lint; lint()"
LOOKS = (  # what `make check` asks of the text before it runs a test
    ("-m", "ruff", "check"),
    ("-m", "ruff", "format", "--check"),
    ("-c", LINT_IMPORTS, "--no-logo", "--no-cache"),
    ("-m", "mypy"),
)


class Mend(Exception):
    """A failure told in one line: what is wrong, then what to do about it."""


# ---- set-up ---------------------------------------------------------------------------------


def setup() -> None:
    """Make `.venv` and install the pinned packages, unless that is done and still whole."""
    wanted = _fingerprint()
    if FINISHED.is_file() and FINISHED.read_text() == wanted and _whole():
        return
    started = time.monotonic()
    print("Setting up .venv: about 170 packages, a few minutes, done once.", flush=True)
    _make_venv()
    _install()
    whole = _install_oracle()
    FINISHED.write_text(wanted if whole else f"{wanted}, but the oracle is missing: try again")
    UNFINISHED.unlink(missing_ok=True)
    print(f"Set-up is ready ({_took(started)}).", flush=True)


def _fingerprint() -> str:
    """What decides the content of `.venv`; when it changes, set-up runs again."""
    digest = hashlib.sha256()
    for name in INSTALLED_FROM:
        digest.update((ROOT / name).read_bytes())
    return digest.hexdigest()


def _whole() -> bool:
    """Whether `.venv` runs, finds its main packages, and finds hmnet_kernels in *this* folder."""
    probe = (
        "from importlib.util import find_spec as find; import sys, pathlib;"
        "names = 'torch numba jupyterlab nbclient pytest nbval sphinx myst_nb'.split();"
        "here = pathlib.Path(find('hmnet_kernels').origin).parents[1];"
        f"sys.exit(not (all(map(find, names)) and here == pathlib.Path({str(ROOT)!r})))"
    )
    return _runs(PYTHON, "-I", "-c", probe)


def _make_venv() -> None:
    """Leave a `.venv` whose Python and pip run; a half-made one of ours is made again."""
    ours = UNFINISHED.exists() or FINISHED.exists()
    usable = _runs(PYTHON, "-m", "pip", "--version")
    if usable and not UNFINISHED.exists() and (not FINISHED.exists() or _whole()):
        return
    if VENV.exists() and not ours and not usable:
        raise Mend(
            "The .venv here is half made: it has no working Python and pip. "
            "Remove it and begin again: rm -rf .venv && make setup"
        )
    if VENV.exists():
        print("The .venv from before is half made or was moved: making it again.", flush=True)
        shutil.rmtree(VENV)
    if not _runs(sys.executable, "-c", "import ensurepip, venv"):
        raise Mend(
            f"{sys.executable} cannot make virtual environments (no venv or ensurepip module). "
            "On Debian or Ubuntu: sudo apt install python3-venv; then run make setup again."
        )
    VENV.mkdir()
    UNFINISHED.touch()
    made = subprocess.run(
        [sys.executable, "-m", "venv", str(VENV)], capture_output=True, text=True, check=False
    )
    if made.returncode:
        said = (made.stderr or made.stdout).strip().splitlines() or ["no message"]
        raise Mend(f"Could not make .venv ({said[-1]}). Mend that and run make setup again.")


def _install() -> None:
    """pip install the package with all extras at the pinned versions, with progress."""
    command = [str(PYTHON), "-m", "pip", "install", "--disable-pip-version-check", "--no-input"]
    command += ["--progress-bar", "off", "--constraint", "constraints.txt", "--editable", ".[all]"]
    env = {"PIP_RETRIES": "2", **os.environ}  # no network is told in half a minute, not in five
    LOG.parent.mkdir(exist_ok=True)
    seen = 0
    with LOG.open("w") as log:
        pip = subprocess.Popen(
            command, cwd=ROOT, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        try:
            for line in pip.stdout:
                log.write(line)
                log.flush()
                if line.startswith(("Collecting ", "Processing ")):
                    seen += 1
                    name = line.split()[1].rsplit("/", 1)[-1]
                    _progress(f"found {seen} packages, now {name}", every=40, count=seen)
                elif line.startswith("Installing collected packages"):
                    _progress(f"found {seen} packages, unpacking them (a minute or two)")
        finally:
            pip.stdout.close()
            pip.wait()
    if sys.stdout.isatty():
        print()
    if pip.returncode:
        raise Mend(_explain(LOG.read_text()))


def _install_oracle() -> bool:
    """The Python part of mamba-ssm, whose reference the scan is tested against and timed beside.

    Its CUDA kernel is not built. Nothing else needs it, so a failure is said and survived, and the
    next set-up tries again. Returns whether it is there.
    """
    pins = (ROOT / "constraints.txt").read_text().split()
    pin = next(pin for pin in pins if pin.startswith("mamba-ssm=="))
    command = [str(PYTHON), "-m", "pip", "install", "--disable-pip-version-check", "--no-input"]
    command += ["--quiet", "--no-build-isolation", "--no-deps", pin]
    env = {"MAMBA_FORCE_BUILD": "TRUE", "MAMBA_SKIP_CUDA_BUILD": "TRUE", **os.environ}
    with LOG.open("a") as log:
        done = subprocess.run(
            command, cwd=ROOT, env=env, stdout=log, stderr=subprocess.STDOUT, check=False
        )
    if done.returncode:
        print(
            f"  without {pin}: its build failed ({LOG.relative_to(ROOT)}); "
            "the tests that compare with it are skipped",
            flush=True,
        )
    return done.returncode == 0


def _explain(log: str) -> str:
    """The mend for a failed pip run, from what pip said."""
    where = f"(pip's whole output: {LOG.relative_to(ROOT)})"
    lines = [line.strip() for line in log.splitlines()]
    errors = [line for line in lines if line.startswith("ERROR:")] or ["ERROR: no message"]
    if "No space left on device" in log:
        return f"The disk is full: set-up needs some 4 GB, with CUDA 8. Make room {where}."
    if any(sign in line for sign in UNREACHABLE for line in lines[-40:]):
        return (
            "No network: pip cannot reach its package index. "
            f"Connect (or set a proxy), then make setup again {where}."
        )
    return (
        f"pip could not install the packages: {errors[0][7:]} Mend that, then make setup {where}."
    )


# ---- the targets ----------------------------------------------------------------------------


def workbook() -> int:
    """Run every notebook, render the book; returns the exit status."""
    setup()
    status = _python("tools/notebooks.py", "run", threads=1)  # small tensors: more only wait
    if status == 130:
        raise KeyboardInterrupt
    return _python("tools/book.py", "--after-failure" if status else "", threads=1) or status


def test(*arguments: str) -> int:
    """Every test and notebook, two processes by file, one thread each."""
    setup()
    _room(TESTS_WRITE)
    command = ["-m", "pytest", "tests", *(["notebooks"] if (ROOT / "notebooks").is_dir() else [])]
    # a cell takes 90 s at most by itself; here another process takes half of the machine
    command += ["--nbval-lax", "--nbval-current-env", "--nbval-cell-timeout", "180"]
    # in the order of tests/conftest.py, and not by how many tests a file holds
    command += ["-n", "2", "--dist", "loadfile", "--no-loadscope-reorder"]
    command += ["--durations", "10", *arguments]
    return _python(*command, threads=1)


def check(*arguments: str) -> int:
    """Lint, imports and types, then the tests not marked slow or browser; tells all it finds."""
    setup()
    found = [_python(*tool, threads=1) for tool in LOOKS]
    fast = ["tests", "-q", "-m", "not slow and not browser", "-n", "2", "--dist", "loadfile"]
    return max(*found, _python("-m", "pytest", *fast, *arguments, threads=1))


def lab() -> int:
    """JupyterLab on the first notebook."""
    setup()
    notebooks = sorted((ROOT / "notebooks").glob("0*.ipynb"))
    first = [str(notebooks[0].relative_to(ROOT))] if notebooks else []
    as_root = [] if os.geteuid() else ["--allow-root"]  # in a container; it asks for a token
    return _python("-m", "jupyter", "lab", *as_root, *first, threads=_cpus())


def figures(*names: str) -> int:
    """Draw figures/ from its numbers; what is quickly computed is computed anew."""
    setup()
    return _python("-m", "hmnet_lite.workbook.make", *names, threads=1)


def bench(*arguments: str) -> int:
    """Time the scan kernels, then the blocks built on them (with arguments: the kernels alone)."""
    setup()
    ours = ("chunked=scan.chunked:chunked_scan", "reference=scan.selective:reference_scan")
    scans = [w for scan in ours for w in ("--scan", scan.replace("=", "=hmnet_lite."))]
    status = _python("-m", "hmnet_kernels.bench", *scans, *arguments, threads=_cpus())
    if status or arguments:
        return status
    return _python("-m", "hmnet_lite.commands.bench", threads=_cpus())


def bench_gpu(*arguments: str) -> int:
    """Time the scan kernels, then blocks, episodes and training, on a GPU."""
    setup()
    status = 0
    if not arguments:
        scans = ("-m", "hmnet_kernels.bench", "--device", "cuda", "--out", "figures/gpu")
        status = _python(*scans, threads=_cpus())  # one that fails does not cost the other
    return _python("-m", "hmnet_lite.commands.bench_gpu", *arguments, threads=_cpus()) or status


def experiments(*arguments: str) -> int:
    """Train and score the networks of notebook 09 that have no result yet, run by run."""
    setup()
    return _python("-m", "hmnet_lite.experiments", *arguments, threads=_cpus())


def clean() -> int:
    """Remove everything the other targets make, except figures/."""
    made = [VENV, ROOT / "build", *ROOT.glob("*.egg-info")]
    made += [ROOT / name for name in (".hypothesis", ".mypy_cache", ".pytest_cache", ".ruff_cache")]
    for package in ("hmnet_lite", "kernels", "tests", "tools", "book", "notebooks"):
        made += [*(ROOT / package).rglob("__pycache__"), *(ROOT / package).rglob(".ipynb_check*")]
    for path in made:
        shutil.rmtree(path, ignore_errors=True)
    return 0


# ---- helpers --------------------------------------------------------------------------------


def _python(*arguments: str, threads: int) -> int:
    """Run `.venv`'s Python in the repository's root with this many numeric threads."""
    pools = ("OMP", "MKL", "OPENBLAS", "NUMBA")
    env = {**{f"{pool}_NUM_THREADS": str(threads) for pool in pools}, **os.environ}
    env["JUPYTER_PREFER_ENV_PATH"] = "1"  # a kernel of .venv, whatever else the reader installed
    settings = [str(JUPYTER), *filter(None, [env.get("JUPYTER_CONFIG_PATH")])]
    env["JUPYTER_CONFIG_PATH"] = os.pathsep.join(settings)
    env.pop("PYTHONPATH", None)
    command = [str(PYTHON), *filter(None, arguments)]
    return subprocess.run(command, cwd=ROOT, env=env, check=False).returncode


def _room(needed: int) -> None:
    """Refuse at once what would fail in the middle: a full disk breaks tests one by one."""
    folder = tempfile.gettempdir()
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise Mend(
            f"The disk is nearly full: {free / 1e9:.1f} GB are free in {folder}, and the tests "
            f"write up to {needed / 1e9:.0f} GB there. Make room, or name another folder: TMPDIR=…"
        )


def _runs(*command: object) -> bool:
    """Whether the command exists and exits with 0."""
    with contextlib.suppress(OSError):
        done = subprocess.run([str(part) for part in command], capture_output=True, check=False)
        return done.returncode == 0
    return False


def _cpus() -> int:
    """CPUs this process may use, at most 8 (the notebooks' tensors are small)."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return min(usable or 1, 8)


def _progress(text: str, *, every: int = 1, count: int = 0) -> None:
    """One line that rewrites itself on a terminal; elsewhere every so many-th line."""
    if sys.stdout.isatty():
        print(f"\r\033[K  {text}", end="", flush=True)
    elif count % every == 0:
        print(f"  {text}", flush=True)


def _took(started: float) -> str:
    return f"{time.monotonic() - started:.0f} s"


TARGETS: dict[str, Callable[..., int | None]] = {
    target.__name__.replace("_", "-"): target
    for target in (setup, workbook, test, check, lab, figures, bench, bench_gpu, experiments, clean)
}


def main(arguments: list[str]) -> int:
    if not arguments or arguments[0] not in TARGETS:
        print(f"usage: workbook.py {'|'.join(TARGETS)}", file=sys.stderr)
        return 2
    try:
        return TARGETS[arguments[0]](*arguments[1:]) or 0
    except Mend as mend:
        print(mend, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped. The same command continues where it was.", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

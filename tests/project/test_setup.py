"""Set-up that cannot go on says in one line what is wrong and how to mend it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NEEDED = ("Makefile", "pyproject.toml", "constraints.txt", "README.md", "LICENSE")


@pytest.fixture
def clone(tmp_path):
    """What set-up reads of the repository, without its .venv."""
    for name in NEEDED:
        shutil.copy(ROOT / name, tmp_path)
    for name in ("tools", "hmnet_lite", "kernels"):
        shutil.copytree(ROOT / name, tmp_path / name)
    return tmp_path


def without_ours():
    """The environment without pip's settings here, and what a `make test` around us hands down."""
    ours = ("PIP_", "MAKE", "MFLAGS", "PYTHON", "OMP_", "MKL_", "OPENBLAS_", "NUMBA_")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}


def make_setup(clone, *settings, **env):
    """Run `make setup`, which must fail; returns its lines on stderr but make's own last."""
    done = subprocess.run(
        ["make", "setup", *settings],
        cwd=clone, env=without_ours() | env, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 2, done.stdout
    *lines, last = done.stderr.splitlines()
    assert last.startswith("make: ***")
    return lines


def test_no_python(clone):
    (line,) = make_setup(clone, "PYTHON=no-such-python")
    assert "No no-such-python here" in line and "make PYTHON=" in line


@pytest.mark.parametrize("version", ["Python 3.9.2", "Python 2.7.18"])
def test_an_old_python(clone, version):
    old = clone / "python"
    old.write_text(f'#!/bin/sh\n[ "$1" = --version ] && echo {version} && exit 0\nexit 1\n')
    old.chmod(0o755)
    (line,) = make_setup(clone, f"PYTHON={old}")
    assert f"is {version}, but Python 3.11 to 3.14 is needed" in line and "make PYTHON=" in line


def test_a_half_made_venv_of_someone_else(clone):
    (clone / ".venv" / "bin").mkdir(parents=True)
    (clone / ".venv" / "bin" / "python").symlink_to("/nowhere/python3")
    (line,) = make_setup(clone)
    assert "half made" in line and "rm -rf .venv" in line
    assert (clone / ".venv" / "bin" / "python").is_symlink()  # nothing of theirs was removed


@pytest.mark.slow
def test_no_network_and_then_our_own_half_made_venv(clone):
    nowhere = {"PIP_CONFIG_FILE": os.devnull, "PIP_INDEX_URL": "http://127.0.0.1:9/simple"}
    nowhere["PIP_RETRIES"] = "0"
    (line,) = make_setup(clone, **nowhere)
    assert line.startswith("No network") and "make setup again" in line
    (clone / ".venv" / "bin" / "python").unlink()
    (line,) = make_setup(clone, **nowhere)  # made again without a question, as far as it goes
    assert line.startswith("No network")
    assert (clone / ".venv" / "bin" / "python").exists()


# ---- with a Python that only says what it was asked --------------------------------------------

PYTHON = """#!/bin/sh
[ "$1" = -I ] && exit 0  # set-up looking whether all is there
echo "$OMP_NUM_THREADS $*" >> commands
case "$*" in *"$(cat fails 2>/dev/null || echo nothing)"*) cat said; exit 1;; esac
"""


@pytest.fixture
def pretend(clone):
    """A clone whose .venv does nothing: `pretend(target)` gives what it was asked, and its output.

    `fails` is a part of the commands that end with status 1, and `said` what these say.
    """
    python = clone / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(PYTHON)
    python.chmod(0o755)
    asked = clone / "commands"

    def make(target, *settings, fails="nothing", said="", status=0):
        asked.write_text("")
        (clone / "fails").write_text(fails)
        (clone / "said").write_text(said + "\n")
        done = subprocess.run(
            ["make", target, f"PYTHON={sys.executable}", *settings],
            cwd=clone, env=without_ours(), capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == status, done.stderr
        return asked.read_text().splitlines(), done.stdout + done.stderr

    return make


@pytest.mark.parametrize(
    "said, expected",
    [
        ("OSError: [Errno 28] No space left on device", "The disk is full"),
        ("WARNING: Retrying after NewConnectionError\nERROR: No matching", "No network"),
        (
            "ERROR: Cannot install furo\nERROR: ResolutionImpossible",
            "packages: Cannot install furo",
        ),
    ],
)
def test_what_pip_says_is_explained_in_one_line(said, expected, pretend):
    _, output = pretend("setup", fails="pip install", said=said, status=2)
    (line,) = [line for line in output.splitlines() if expected in line]
    assert "build/setup.log" in line


def test_set_up_is_done_once(pretend):
    asked, output = pretend("setup")
    assert any("pip install" in line for line in asked) and "Set-up is ready" in output
    assert pretend("setup") == ([], "")


def test_a_set_up_without_the_oracle_says_so_and_is_tried_again(pretend):
    for _ in range(2):
        asked, output = pretend("setup", fails="--no-deps mamba-ssm")
        assert "without mamba-ssm==" in output and "Set-up is ready" in output
        assert any("--no-deps mamba-ssm==" in line for line in asked)
    pretend("setup")
    assert pretend("setup") == ([], "")


def test_a_python_without_venv(clone):
    broken = clone / "broken"
    broken.mkdir()
    (broken / "ensurepip.py").write_text("raise ImportError('not in this package')")
    (line,) = make_setup(clone, f"PYTHON={sys.executable}", PYTHONPATH=str(broken))
    assert "no venv or ensurepip module" in line and "apt install python3-venv" in line
    assert not (clone / ".venv").exists()


# ---- the other targets ----------------------------------------------------------------------


def test_clean_removes_what_was_made_and_keeps_figures(clone, pretend):
    made = [".venv/bin/python", "build/book/index.html", "hmnet_lite/__pycache__/scan.pyc"]
    made += ["kernels/cpu/__pycache__/line_loops.nbi", "hmnet_lite.egg-info/PKG-INFO"]
    made += [".mypy_cache/3.11/x.json", ".ruff_cache/x", ".pytest_cache/x"]
    kept = ["figures/scan_costs.png", "hmnet_lite/scan/selective.py", "README.md"]
    for name in (*made, kept[0]):
        (clone / name).parent.mkdir(parents=True, exist_ok=True)
        (clone / name).touch()
    assert pretend("clean")[0] == []
    assert not any((clone / name).parent.exists() for name in made)
    assert all((clone / name).is_file() for name in kept)


def test_tests_without_room_on_the_disk_are_refused_before_the_first(clone, pretend):
    tool = clone / "tools" / "workbook.py"
    asked = "TESTS_WRITE = 3_000_000_000"
    assert asked in tool.read_text()
    tool.write_text(tool.read_text().replace(asked, "TESTS_WRITE = 10**18"))
    pretend("setup")
    commands, output = pretend("test", status=2)
    assert commands == []
    assert "GB are free in" in output and "TMPDIR=" in output and "Traceback" not in output


def test_bench_times_scans_that_exist(pretend):
    from hmnet_kernels.bench.run import available_scans

    pretend("setup")
    ((threads, *arguments),) = [line.split() for line in pretend("bench", "ARGS=--rounds 1")[0]]
    assert arguments[:2] == ["-m", "hmnet_kernels.bench"] and arguments[-2:] == ["--rounds", "1"]
    places = [arguments[i + 1] for i, word in enumerate(arguments) if word == "--scan"]
    assert {"reference", "chunked", "cpu"} <= set(available_scans(places))
    assert int(threads) == min(len(os.sched_getaffinity(0)), 8)


def test_lab_figures_and_check_run_what_they_say(clone, pretend):
    (clone / "notebooks").mkdir()
    (clone / "notebooks" / "00_start_here.ipynb").touch()
    pretend("setup")
    (lab,), (figures,), check = (pretend(name)[0] for name in ("lab", "figures", "check"))
    assert "-m jupyter lab" in lab and lab.endswith("notebooks/00_start_here.ipynb")
    assert "-m hmnet_lite.workbook.make" in figures
    tools = ["ruff check", "ruff format", "importlinter", "mypy", "pytest"]
    assert all(tool in line for tool, line in zip(tools, check, strict=True))
    assert "not slow and not browser" in check[-1]


def test_check_tells_all_it_finds_and_fails_for_any(pretend):
    pretend("setup")
    for tool in ("ruff format", "mypy", "pytest"):
        asked, output = pretend("check", fails=tool, said=f"{tool} found something", status=2)
        assert len(asked) == 5 and f"{tool} found something" in output

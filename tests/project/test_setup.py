"""Set-up that cannot go on says in one line what is wrong and how to mend it."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tools import workbook

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


def make_setup(clone, *settings, **env):
    """Run `make setup`, which must fail; returns its lines on stderr but make's own last."""
    # not pip's settings here, nor what a `make test` around this test hands down
    ours = ("PIP_", "MAKE", "MFLAGS", "PYTHON")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    done = subprocess.run(
        ["make", "setup", *settings], cwd=clone, env=inherited | env, capture_output=True, text=True
    )
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
def test_what_pip_says_is_explained_in_one_line(said, expected):
    line = workbook._explain(said)
    assert expected in line and "build/setup.log" in line and "\n" not in line


def test_a_python_without_venv(clone, monkeypatch):
    monkeypatch.setattr(workbook, "VENV", clone / ".venv")
    monkeypatch.setattr(workbook, "PYTHON", clone / ".venv" / "bin" / "python")
    monkeypatch.setattr(workbook, "UNFINISHED", clone / ".venv" / "unfinished")
    monkeypatch.setattr(workbook, "FINISHED", clone / ".venv" / "finished")
    monkeypatch.setattr(workbook, "_runs", lambda *command: False)
    with pytest.raises(workbook.Mend, match="apt install python3-venv"):
        workbook._make_venv()
    assert not (clone / ".venv").exists()


def test_without_the_oracle_set_up_goes_on_and_says_so(clone, monkeypatch, capsys):
    monkeypatch.setattr(workbook, "ROOT", clone)
    monkeypatch.setattr(workbook, "LOG", clone / "setup.log")
    monkeypatch.setattr(workbook, "PYTHON", shutil.which("false"))
    workbook._install_oracle()
    assert "without mamba-ssm==" in capsys.readouterr().out


def test_a_set_up_without_the_oracle_is_tried_again(tmp_path, monkeypatch):
    monkeypatch.setattr(workbook, "FINISHED", tmp_path / "finished")
    monkeypatch.setattr(workbook, "UNFINISHED", tmp_path / "unfinished")
    monkeypatch.setattr(workbook, "_make_venv", lambda: None)
    monkeypatch.setattr(workbook, "_install", lambda: None)
    monkeypatch.setattr(workbook, "_whole", lambda: True)
    builds = iter([False, True])
    monkeypatch.setattr(workbook, "_install_oracle", lambda: next(builds))
    workbook.setup()
    workbook.setup()  # tries again, and is content
    workbook.setup()
    assert next(builds, None) is None and (tmp_path / "finished").read_text()


# ---- the other targets ----------------------------------------------------------------------


@pytest.fixture
def commands(clone, monkeypatch):
    """Every command a target would run, as (arguments, number of threads)."""
    run = []
    monkeypatch.setattr(workbook, "ROOT", clone)
    monkeypatch.setattr(workbook, "VENV", clone / ".venv")
    monkeypatch.setattr(workbook, "setup", lambda: None)
    monkeypatch.setattr(workbook, "_python", lambda *a, threads: run.append((a, threads)) or 0)
    return run


def test_clean_removes_what_was_made_and_keeps_figures(clone, commands):
    made = [".venv/bin/python", "build/book/index.html", "hmnet_lite/__pycache__/scan.pyc"]
    made += ["kernels/cpu/__pycache__/line_loops.nbi", "hmnet_lite.egg-info/PKG-INFO"]
    kept = ["figures/scan_costs.png", "hmnet_lite/scan/selective.py", "README.md"]
    for name in (*made, kept[0]):
        (clone / name).parent.mkdir(parents=True, exist_ok=True)
        (clone / name).touch()
    assert workbook.main(["clean"]) == 0 and commands == []
    assert not any((clone / name).parent.exists() for name in made)
    assert all((clone / name).is_file() for name in kept)


def test_bench_times_scans_that_exist(commands):
    from hmnet_kernels.bench.run import available_scans

    assert workbook.main(["bench", "--rounds", "1"]) == 0
    ((arguments, threads),) = commands
    assert arguments[:2] == ("-m", "hmnet_kernels.bench") and arguments[-2:] == ("--rounds", "1")
    places = [arguments[i + 1] for i, word in enumerate(arguments) if word == "--scan"]
    assert {"reference", "chunked", "cpu"} <= set(available_scans(places))
    assert threads == workbook._cpus()


def test_lab_figures_and_check_run_what_they_say(clone, commands):
    (clone / "notebooks").mkdir()
    (clone / "notebooks" / "00_start_here.ipynb").touch()
    for target in ("lab", "figures", "check"):
        assert workbook.main([target]) == 0
    lab, figures, *check = (" ".join(arguments) for arguments, _ in commands)
    assert lab.startswith("-m jupyter lab") and lab.endswith("notebooks/00_start_here.ipynb")
    assert figures == "-m hmnet_lite.workbook.make"
    tools = ["ruff check", "ruff format", "importlinter", "mypy", "pytest"]
    assert all(tool in line for tool, line in zip(tools, check, strict=True))
    assert "not slow and not browser" in check[-1]

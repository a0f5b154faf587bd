"""Notebook 06 is tested with as many threads as JupyterLab's kernels have, not with one alone."""

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

import conftest

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"


@pytest.mark.parametrize(("name", "threads"), [(conftest.TWO_THREADS, "2"), ("07_x.ipynb", None)])
def test_its_kernel_starts_with_two_threads(name, threads, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert (NOTEBOOKS / conftest.TWO_THREADS).exists()
    setup = conftest.pytest_runtest_setup(SimpleNamespace(path=NOTEBOOKS / name))
    next(setup)
    assert os.environ["OMP_NUM_THREADS"] == (threads or "1")
    with pytest.raises(StopIteration):
        next(setup)
    assert os.environ["OMP_NUM_THREADS"] == "1"


def test_what_a_fixture_puts_in_the_environment_stays_there(monkeypatch):
    monkeypatch.delenv("OF_A_FIXTURE", raising=False)
    setup = conftest.pytest_runtest_setup(SimpleNamespace(path=NOTEBOOKS / "07_x.ipynb"))
    next(setup)
    monkeypatch.setenv("OF_A_FIXTURE", "yes")
    with pytest.raises(StopIteration):
        next(setup)
    assert os.environ["OF_A_FIXTURE"] == "yes"

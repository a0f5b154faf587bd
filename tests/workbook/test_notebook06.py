"""Notebook 06 runs with as many threads as JupyterLab's kernels have, too, not with one alone."""

from pathlib import Path

import pytest

from tools.notebooks import execute

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "06_hmnet_assembled.ipynb"


@pytest.mark.slow
def test_its_tolerances_hold_when_sums_are_taken_by_two_threads(monkeypatch):
    monkeypatch.setenv("OMP_WAIT_POLICY", "passive")  # two threads beside another test: no spinning
    _, problem = execute(NOTEBOOK, threads=2)
    assert problem == ""

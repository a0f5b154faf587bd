"""What every test and every notebook run by nbval shares; see tests/conftest.py for the rest."""

import os
from collections.abc import Iterator
from unittest import mock

import pytest

# With more than one thread sums are taken in another order, and JupyterLab's kernels have one a
# core: this notebook, which holds results against each other most closely, is tested with two.
# Waiting, a thread sleeps: spinning, two of them would keep another test from its core.
TWO_THREADS = "06_hmnet_assembled.ipynb"
POOLS = ("OMP", "MKL", "OPENBLAS", "NUMBA")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Iterator[None]:
    """Give a notebook's kernel, which starts with its first cell, its number of threads."""
    if item.path.name != TWO_THREADS:
        return (yield)  # what its fixtures put in the environment stays there
    threads = {f"{pool}_NUM_THREADS": "2" for pool in POOLS} | {"OMP_WAIT_POLICY": "passive"}
    with mock.patch.dict(os.environ, threads):
        return (yield)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let nbval see committed outputs as outputs of a run.

    It takes a cell without an execution count for one that was never run, and refuses outputs
    there; ours are committed without counts, which would change with every run.
    """
    for item in items:
        cell = getattr(item, "cell", None)
        if cell is not None and cell.get("outputs"):
            cell.execution_count = 1

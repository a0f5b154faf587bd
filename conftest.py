"""What every test and every notebook run by nbval shares; see tests/conftest.py for the rest."""

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let nbval see committed outputs as outputs of a run.

    It takes a cell without an execution count for one that was never run, and refuses outputs
    there; ours are committed without counts, which would change with every run.
    """
    for item in items:
        cell = getattr(item, "cell", None)
        if cell is not None and cell.get("outputs"):
            cell.execution_count = 1

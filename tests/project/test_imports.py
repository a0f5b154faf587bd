"""The import rule holds the floors: what runs up, or from paper to paper, is found and named.

That the repository itself keeps the rule is test_repo's `test_lint_imports_and_types`.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tools.workbook import LINT_IMPORTS

ROOT = Path(__file__).resolve().parents[2]

UPWARD = {  # a file, what it must not import
    "hmnet_lite/scan/chunked.py": "hmnet_lite.mamba.ssm",
    "hmnet_lite/mamba/ssm.py": "hmnet_lite.data.episode",
    "hmnet_lite/models/hmnet/weights.py": "hmnet_lite.models.lite",
    "hmnet_lite/scoring/metrics.py": "hmnet_lite.commands.main",
    "hmnet_lite/analysis/costs.py": "matplotlib.pyplot",
    "kernels/checks.py": "hmnet_lite.maps",
}


@pytest.mark.parametrize("file, wanted", UPWARD.items(), ids=UPWARD)
def test_an_import_that_runs_up_is_found(file, wanted, tmp_path):
    shutil.copytree(ROOT / "hmnet_lite", tmp_path / "hmnet_lite")
    shutil.copytree(ROOT / "kernels", tmp_path / "hmnet_kernels")
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    changed = tmp_path / file.replace("kernels/", "hmnet_kernels/")
    # inside a function, where no reader of the head of the file sees it
    changed.write_text(f"{changed.read_text()}\n\ndef late():\n    import {wanted}\n")
    done = subprocess.run(
        [sys.executable, "-c", LINT_IMPORTS, "--no-logo", "--no-cache"],
        cwd=tmp_path, capture_output=True, text=True, env=os.environ | {"COLUMNS": "200"},
    )  # fmt: skip
    assert done.returncode == 1, done.stdout + done.stderr
    module = ".".join(changed.relative_to(tmp_path).with_suffix("").parts)
    assert f"{module} -> {wanted.removesuffix('.pyplot')}" in done.stdout, done.stdout

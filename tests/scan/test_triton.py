"""The Triton backend without a GPU: the whole suite in Triton's interpreter."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.scan.conformance import INTERPRETED

HERE = Path(__file__).parent


@pytest.mark.slow
@pytest.mark.skipif(INTERPRETED, reason="this is that process")
def test_triton_passes_the_suite_in_its_interpreter():
    """In a process of its own: Triton decides at import whether to interpret."""
    pytest.importorskip("triton", reason="the Triton kernels need triton")
    command = [sys.executable, "-m", "pytest", "-q", "-rs", "-k", "triton"]
    command += ["-p", "no:cacheprovider", str(HERE), str(HERE.parent / "kernels")]
    done = subprocess.run(
        command, cwd=HERE.parents[1], capture_output=True, text=True,
        env=os.environ | {"TRITON_INTERPRET": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert int(re.search(r"(\d+) passed", done.stdout)[1]) >= 80, done.stdout
    reasons = set(re.findall(r"^SKIPPED \[\d+\] \S+ (.+)$", done.stdout, re.MULTILINE))
    assert {reason for reason in reasons if "mamba-ssm" not in reason} == {
        "minutes in the interpreter",
        "Triton runs on this CPU",
        "this is that process",
    }, done.stdout

"""What every test shares: one torch thread a process, repeatable hypothesis, clear skips."""

import os

import hypothesis
import pytest
import torch

# their asserts, too, tell what they compared
pytest.register_assert_rewrite("tests.scan.conformance", "tests.kernels.direct")

torch.set_num_threads(1)  # two test processes on two cores: more threads only get in the way

hypothesis.settings.register_profile("here", deadline=None)
hypothesis.settings.register_profile("ci", deadline=None, derandomize=True)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "here")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # Files go to the workers in this order: the long ones first, or the last runs alone.
    long = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path.suffix != ".ipynb" and item.path not in long)
    if not torch.cuda.is_available():
        no_gpu = pytest.mark.skip(reason="needs a CUDA device, and torch sees none")
        for item in items:
            if item.get_closest_marker("gpu"):
                item.add_marker(no_gpu)

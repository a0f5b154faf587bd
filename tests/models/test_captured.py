"""What a CUDA graph may hold of a network, seen without a GPU: on the meta device.

Tensors there have shapes and no values. Asking for one raises, as it does while a graph is
captured; copies from the host, which a capture refuses as well, are caught on their way.
"""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from hmnet_lite.mamba import ssm
from hmnet_lite.models import checks
from hmnet_lite.models.hmnet.model import PublishedConfig, PublishedHMNet
from hmnet_lite.scan import map_scan as door


class NoCopies(TorchDispatchMode):
    """Refuses copies between devices."""

    def __torch_dispatch__(self, function, types, given=(), named=None):
        result = function(*given, **(named or {}))
        tensors = [x for x in tree_leaves((given, named, result)) if isinstance(x, torch.Tensor)]
        if "copy" in function.name():
            assert len({x.device.type for x in tensors}) < 2, f"{function} copies between devices"
        return result


@pytest.fixture
def capturing(monkeypatch):
    """As if a graph were captured after the calls that warm up; Triton's scans as their shapes."""
    map_scan = pytest.importorskip("hmnet_kernels.gpu.map_scan", reason="needs triton")
    monkeypatch.setattr(checks, "_may_look", lambda x: False)
    monkeypatch.setattr(door, "_reader", lambda x, backend: "triton")
    monkeypatch.setattr(map_scan, "_check", lambda tensors: None)
    monkeypatch.setattr(map_scan, "_map_scan_now", map_scan._map_scan)
    order = torch.empty(1, device="meta")  # kept from an earlier call
    monkeypatch.setattr(ssm, "reading_order_on", lambda *given: order)
    with torch.device("meta"):
        yield


def test_the_published_network_looks_at_no_value_while_it_is_captured(capturing):
    side = 97
    network = PublishedHMNet(PublishedConfig(image_size=side, depth=2, dim=32, maps=13)).eval()
    pictures, supports = torch.rand(1, 3, side, side), torch.rand(1, 1, 3, side, side)
    with torch.inference_mode(), NoCopies():
        scores = network(pictures, supports, torch.ones(1, 1, side, side))
    assert scores.shape == (1, 2, side, side)

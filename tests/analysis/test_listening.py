"""The maps are the weights that the layer's output was made with."""

import pytest
import torch

from hmnet_lite.analysis.listening import listening
from hmnet_lite.models.diffews.fusion import Together, fuse
from hmnet_lite.record import Recorder


def test_weighed_with_the_maps_the_values_give_the_output():
    torch.manual_seed(0)
    q, k, v = (torch.randn(6, 1, 16, 4) for _ in range(3))  # two queries, two supports each
    with Recorder() as seen:
        out = fuse(q, k, v, Together(2))
    own, supports = listening(seen.blocks[0], (1, 2))
    assert own.shape == (4, 4) and supports.shape == (2, 4, 4)
    assert own.sum() + supports.sum() == pytest.approx(1)
    values = torch.cat([v[0, 0], v[2, 0], v[3, 0]])
    weighed = torch.cat([own.flatten(), supports.flatten()]) @ values
    assert torch.allclose(weighed, out[0, 0, 4 * 1 + 2], atol=1e-5)
    with pytest.raises(ValueError, match=r"pixel \(4, 0\); this layer's map is 4 × 4"):
        listening(seen.blocks[0], (4, 0))

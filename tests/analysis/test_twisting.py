"""What the twister does to its cube, as arrays."""

import numpy as np
import pytest
import torch

from hmnet_lite.analysis.twisting import STEPS, part_likeness, watch
from hmnet_lite.models.features import to_tensor
from hmnet_lite.models.remamba.config import ReMamberConfig
from hmnet_lite.models.remamba.model import ReMamber

TINY = dict(dim=16, inner=8, state=4, depths=(0, 0), token_side=4, text_depth=1)
IMAGE = np.random.default_rng(0).integers(0, 255, (64, 96, 3), dtype=np.uint8)


def test_every_step_of_every_block_is_kept_and_the_answer_is_the_networks():
    torch.manual_seed(0)
    model = ReMamber(ReMamberConfig(**TINY)).eval()
    seen = watch(model, IMAGE, "the red bus")
    assert len(seen.colours) == len(seen.likeness) == 2
    for colours, likeness in zip(seen.colours, seen.likeness, strict=True):
        assert colours.keys() == likeness.keys() == STEPS.keys()
        for x in colours.values():
            assert x.shape == (3, 4, 6, 3) and 0 <= x.min() <= x.max() <= 1
        assert all(-1 <= v <= 1 for step in likeness.values() for v in step.values())
    with torch.no_grad():
        logits = model(to_tensor(IMAGE)[None], ["the red bus"])
    assert np.array_equal(seen.mask, (logits[0, 1] > logits[0, 0]).numpy())


def test_parts_that_are_the_same_are_near():
    part = torch.randn(1, 8, 3, 3)
    near = part_likeness(torch.cat([part, part, -part]))
    assert near["visual and text"] == pytest.approx(1)
    assert near["text and local"] == pytest.approx(-1)


def test_other_arms_are_refused():
    model = ReMamber(ReMamberConfig(**TINY, scans="parallel"))
    with pytest.raises(ValueError, match=r"scans='parallel'.*expected the twister"):
        watch(model, IMAGE, "the red bus")

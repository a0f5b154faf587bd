"""Costs of the ways to hear a text: bytes are counted right, attention is what grows fastest."""

import pytest
import torch

from hmnet_lite.analysis.fusion_costs import FUSIONS, kept_bytes, step_costs


def test_bytes_are_those_of_what_the_backward_needs():
    x = torch.randn(100, requires_grad=True)
    # exp keeps its result, the square its argument, which is the same tensor
    assert kept_bytes(lambda: x.exp().square().sum(), but=[x]) == 400
    assert kept_bytes(lambda: x.square().sum()) == 400
    assert kept_bytes(lambda: x.square().sum(), but=[x]) == 0
    assert kept_bytes(lambda: (3 * x).sum(), but=[x]) == 0


@pytest.mark.parametrize("fusion", FUSIONS)
def test_a_step_keeps_more_for_a_larger_picture(fusion):
    small, large = (step_costs(fusion, side, rounds=1) for side in (128, 256))
    assert 2 < large.megabytes / small.megabytes < 5  # four times the pixels
    assert small.parameters == large.parameters > 10_000 and large.seconds > 0


def test_wrong_questions_are_refused():
    with pytest.raises(ValueError, match="side=40; expected a multiple of 16"):
        step_costs("twister", 40)
    with pytest.raises(ValueError, match="fusion='glue'"):
        step_costs("glue", 64)

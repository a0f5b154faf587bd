"""What the published network says to input that does not fit."""

import pytest
import torch

from hmnet_lite.models.hmnet.weights import hmnet_from_state_dict
from tests.golden.variants import synth_weights
from tests.models.hmnet.test_model import NAMES, SEED, SMALL, pictures

pytestmark = pytest.mark.filterwarnings("ignore:this checkpoint has")


@pytest.fixture(scope="module")
def model():
    return hmnet_from_state_dict(synth_weights(NAMES, SEED), image_size=SMALL)


BAD_INPUT = [
    (0, lambda x: x[..., :89, :89], ValueError, "query_image is 89 × 89 .* takes 97 × 97; resize"),
    (1, lambda x: x.repeat(1, 2, 1, 1, 1), ValueError, "support_masks has shape"),
    (0, lambda x: x * 255, ValueError, r"query_image runs from .* expected \[0, 1\]"),
    (2, lambda m: m * 0, ValueError, r"support_masks\[0, 0\] has no foreground"),
    (0, lambda x: x.double().numpy(), TypeError, "query_image is a ndarray"),
]


@pytest.mark.parametrize("position, change, kind, message", BAD_INPUT)
def test_bad_input_is_named(model, position, change, kind, message):
    episode = list(pictures())
    episode[position] = change(episode[position])
    with pytest.raises(kind, match=message):
        model(*episode)


def test_another_number_of_shots_is_refused(model):
    query, support, masks = pictures(shots=3)
    with pytest.raises(ValueError, match="holds 3 shots and this network weighs 1; give 1, or"):
        model(query, support, masks)


def test_what_a_support_mask_ignores_counts_as_background(model):
    """The released rule, which its weights were trained under."""
    query, support, masks = pictures()
    ignoring = masks.clone()
    ignoring[..., :9, :] = 255
    with torch.no_grad():
        assert torch.equal(model(query, support, ignoring), model(query, support, masks))

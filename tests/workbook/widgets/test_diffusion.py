"""Draw the mask: without noise the answers are the network's own, and noise changes them."""

import matplotlib

matplotlib.use("Agg")

from dataclasses import replace

import numpy as np
import pytest
import torch

from hmnet_lite.record import Recorder
from hmnet_lite.scoring.predict import segment_episode
from hmnet_lite.workbook.widgets.diffusion import NOISE, draw_the_mask


def test_the_picture_holds_what_the_network_draws(drawing):
    model, shown = drawing
    live = draw_the_mask(model, shown, shots=(1, 3))
    assert live.topic == "diffusion"
    assert live.still.startswith((b"\x89PNG", b"\xff\xd8")), "PNG or JPEG, whichever is smaller"
    told, episode = live.data["episodes"]["cross"], shown["cross"]
    assert len(told["supports"]) == 3 and len(told["noise"]) == len(NOISE)
    for place, count in enumerate((1, 3)):
        given = replace(
            episode, support_images=episode.support_images[:count],
            support_masks=episode.support_masks[:count],
            support_styles=episode.support_styles[:count],
        )  # fmt: skip
        with Recorder() as seen:
            segment_episode(model, given)
        light = seen.network["brightness"][0].numpy()
        kept = told["noise"][0]["shots"][place]["light"]
        assert kept.shape == light.shape == (64, 64)
        for level in (0.2, 0.5, 0.8):
            agree = (kept > 255 * level) == (light > level * light.max())
            assert agree.mean() > 0.999
    clear, noisy = (told["noise"][i]["shots"][0]["light"] for i in (0, -1))
    assert not np.array_equal(clear, noisy)


def test_what_it_cannot_show_is_told(drawing):
    model, shown = drawing
    with pytest.raises(ValueError, match="an episode has 3 supports; expected 5 for these shots"):
        draw_the_mask(model, shown)
    other = type(model)(replace(model.config, mask_image="added"))
    with pytest.raises(ValueError, match=r"mask_image='added', .* expected 'white' and 'one-step'"):
        draw_the_mask(other, shown, shots=(1,))
    assert not torch.is_inference_mode_enabled()

"""Emoji-20i's arguments, and that it is a sequence."""

import numpy as np
import pytest

from hmnet_lite.data import EmojiEpisodes


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"fold": 4}, "fold is 4; expected 0 to 3"),
        ({"fold": "0"}, "fold is '0'; expected an integer"),
        ({"split": "val"}, "split is 'val'; expected one of train, test"),
        ({"gap": "far"}, "gap is 'far'; expected one of same, sibling, cross, held_out"),
        ({"gap": "siblings"}, "Did you mean 'sibling'"),
        ({"split": "train", "gap": "sibling"}, r"choose one of \('same', 'cross'\)"),
        ({"split": "train", "gap": "held_out"}, "cannot be trained on"),
        ({"shots": 0}, "shots is 0; expected 1 to 10"),
        ({"shots": True}, "shots is True; expected an integer"),
        ({"shots": 1.0}, "shots is 1.0; expected an integer"),
        ({"seed": -1}, "seed is -1; expected 0 to"),
        ({"length": 0}, "length is 0; expected 1 to"),
        ({"image_size": 32}, "image_size is 32; expected 64 to 512"),
        ({"distractors": 9}, "distractors is 9; expected 0 to 8"),
        ({"distractors": (3, 2)}, "distractors is 2; expected 3 to 8"),
        ({"distractors": (1, 2, 3)}, "one number or a pair"),
        ({"occlusion": 0.9}, "occlusion is 0.9; expected 0 to 0.8"),
        ({"occlusion": float("nan")}, "occlusion is nan; expected 0 to 0.8"),
        ({"occlusion": True}, "occlusion is True; expected a number from 0 to 0.8"),
        ({"scale": (0.5, 0.3)}, "scale is 0.3; expected 0.5 to 0.7"),
        ({"scale": (0.05, 0.3)}, "scale is 0.05; expected 0.1 to 0.7"),
        ({"scale": "big"}, "scale is 'big'; expected a number from 0.1 to 0.7"),
    ],
)
def test_bad_arguments_are_named(changes, message):
    arguments = {"fold": 0, "split": "test", "gap": "cross"} | changes
    with pytest.raises((TypeError, ValueError), match=message):
        EmojiEpisodes(**arguments)


def test_it_is_a_sequence():
    dataset = EmojiEpisodes(0, "test", gap="same", length=3, image_size=64)
    assert len(dataset) == 3 and [e.index for e in dataset] == [0, 1, 2]
    assert (dataset[-1].query_image == dataset[np.int64(2)].query_image).all()
    for index in (3, -4):
        with pytest.raises(IndexError, match=f"episode {index} of 3; indices end at 2"):
            dataset[index]
    with pytest.raises(TypeError, match="an episode's index must be an integer, got slice"):
        dataset[0:2]

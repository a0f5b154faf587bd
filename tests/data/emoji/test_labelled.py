"""Scenes one by one: the pictures of the episodes, every object labelled."""

import numpy as np
import pytest

from hmnet_lite.data.emoji.protocol import Protocol
from hmnet_lite.data.emoji.scenes import EmojiScenes

EPISODES = Protocol(image_size=64, shots=2).training(4)


def test_scenes_are_the_episodes_pictures_in_turn():
    scenes = EmojiScenes(EPISODES)
    assert len(scenes) == 12 and scenes.classes == EPISODES.classes
    for number in range(6):
        episode, picture = EPISODES[number // 3], number % 3
        scene = scenes[number]
        image = episode.query_image if picture == 0 else episode.support_images[picture - 1]
        mask = episode.query_mask if picture == 0 else episode.support_masks[picture - 1]
        assert np.array_equal(scene.image, image) and np.array_equal(scene.labels == 1, mask == 1)
        labels = [label for label, _, _ in scene.objects]
        assert set(np.unique(scene.labels)) <= {0, *labels} and len(set(labels)) == len(labels)
        of_target = {class_id for label, class_id, _ in scene.objects if label == 1}
        assert of_target == {episode.class_id}
        assert {class_id for _, class_id, _ in scene.objects} <= EPISODES.classes.keys()


def test_lengths_are_checked_and_do_not_change_what_is_drawn():
    short = EmojiScenes(EPISODES, 5)
    assert len(short) == 5 and np.array_equal(short[-1].image, EmojiScenes(EPISODES)[4].image)
    assert short.fingerprint == EmojiScenes(EPISODES).fingerprint
    for length in (0, 13):
        with pytest.raises(ValueError, match=rf"length is {length}; these episodes have 1 to 12"):
            EmojiScenes(EPISODES, length)
    with pytest.raises(IndexError, match=r"scene 5 of 5"):
        short[5]

"""Picking by colour: right answers counted by hand, and scenes asked from end to end."""

import pytest
import torch

from hmnet_lite.analysis.colours import colour_picks, picks
from hmnet_lite.data.emoji.referring.dataset import EmojiReferring


def test_only_clear_questions_are_asked():
    shares = torch.tensor([[0.9, 0.1], [0.0, 0.6], [0.1, 0.3], [0.8, 0.0], [0.7, 0.0]])
    scenes = torch.tensor([0, 0, 0, 1, 1])
    found = picks(shares, shares, scenes)  # colour 1 is unclear in scene 0, colour 0 in scene 1
    assert (found.picked, found.chance, found.count) == (1, pytest.approx(1 / 3), 1)
    assert picks(-shares, shares, scenes).picked == 0
    with pytest.raises(ValueError, match="give more scenes"):
        picks(shares[3:], shares[3:], scenes[3:])


def test_scenes_are_asked(tmp_path, monkeypatch):
    monkeypatch.setenv("HMNET_LITE_CACHE", str(tmp_path))
    small = dict(image_size=96, sentences=1)
    fitted, tested = (EmojiReferring(0, s, length=8, **small) for s in ("train", "seen"))
    found = colour_picks(fitted, tested)
    assert 0 <= found.picked <= 1 and found.count > 3 and 0.1 < found.chance < 0.6

"""Test episodes as latents: a model answers them as it answers the pictures."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from hmnet_lite.data import EmojiEpisodes
from hmnet_lite.models.diffews.config import DiffewSConfig
from hmnet_lite.models.diffews.model import DiffewS
from hmnet_lite.models.features import to_tensor
from hmnet_lite.scoring.evaluate import evaluate
from hmnet_lite.scoring.gaps import next_of_another_class
from hmnet_lite.scoring.latents import LatentEpisodes, light, masks_of, score_latents
from hmnet_lite.scoring.predict import segment_episode

TINY = DiffewSConfig(channels=8, blocks=(16, 32), heads=2, tokens=16)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HMNET_LITE_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield EmojiEpisodes(0, "test", gap="cross", image_size=96, shots=2, length=3)


def made(data, **arms):
    torch.manual_seed(0)
    model = DiffewS(replace(TINY, **arms)).eval()
    pictures = torch.stack([to_tensor(x) for x in data[0].support_images])
    with torch.no_grad():
        model.autoencoder.fit(model.backbone(pictures))
    return model


@pytest.mark.parametrize(
    "arms", [{}, {"guess": "metric"}, {"injection": "multiplication-rgb", "mask_image": "added"}]
)
def test_answers_are_those_to_the_pictures(data, arms):
    model = made(data, **arms)
    cached = LatentEpisodes(data, model, progress=False)
    scores = score_latents(model, cached, size=2)
    plain = evaluate({"x": lambda e: segment_episode(model, e)}, data, progress=False)["x"]
    assert len(cached) == 3 and scores.counts.shape == plain.counts.shape
    assert np.array_equal(scores.counts[:, 0], plain.counts[:, 0])
    assert np.abs(scores.counts - plain.counts).max() < 0.03 * 96**2  # latents in float16
    batch = cached.batch([2, 0])
    for row, index in enumerate((2, 0)):
        assert np.array_equal(batch.masks[row], data[index].query_mask)
        assert np.array_equal(batch.objects[row], data[index].query_objects)
    again = LatentEpisodes(data, model, progress=False).batch([2, 0])  # read back from disk
    assert torch.equal(again.told, batch.told)
    assert (batch.alike is not None) == (model.config.guess == "metric")
    if batch.alike is not None:
        assert batch.first(1).alike.shape == (2, 1, 36, 36)
        model.metric.whiten0.mul_(2)  # another metric's likenesses are others
        assert LatentEpisodes(data, model, progress=False)._cache.path != cached._cache.path


def test_fewer_shots_and_other_thresholds(data):
    model = made(data)
    batch = LatentEpisodes(data, model, progress=False).batch(range(3))
    one = batch.first(1)
    assert one.supports.shape[1] == one.told.shape[1] == one.inside.shape[1] == 1
    assert torch.equal(one.supports[:, 0], batch.supports[:, 0])
    drawn = light(model, batch)
    assert drawn.shape == (3, 48, 48)
    assert not torch.allclose(light(model, one), drawn)
    low, high = (masks_of(model, drawn, (96, 96), "relative", x) for x in (0.2, 0.9))
    assert low.dtype == bool and low.shape == (3, 96, 96) and (low | ~high).all()
    own = masks_of(model, drawn, (96, 96))
    assert np.array_equal(own, masks_of(model, drawn, (96, 96), "relative", TINY.level))


def test_attention_alone_is_shown_another_support(data):
    model = made(data)
    cached = LatentEpisodes(data, model, progress=False)
    batch = cached.batch([0])
    index = next_of_another_class(cached.batch(range(3)).class_ids.__getitem__, 3, 0)
    own, other = light(model, batch, batch), light(model, batch, cached.batch([index]))
    torch.testing.assert_close(own, light(model, batch))  # its own support: as ever
    assert not torch.allclose(own, other, rtol=0, atol=1e-6)
    foreign = replace(batch, **{x: getattr(cached.batch([index]), x) for x in _SUPPORT})
    assert not torch.allclose(other, light(model, foreign), rtol=0, atol=1e-3), "guess and all"
    scores = [score_latents(model, cached, 2, shown).counts for shown in ("right", "wrong", "none")]
    assert all(np.array_equal(x[:, 0], scores[0][:, 0]) for x in scores)
    silent = replace(batch, **{x: torch.zeros_like(getattr(batch, x)) for x in _SUPPORT})
    found = masks_of(model, light(model, batch, silent), (96, 96))[0]
    assert scores[2][0, 1] == (found & (batch.masks[0] == 1)).sum()
    with pytest.raises(ValueError, match="shown is 'odd'; expected right, wrong, none"):
        score_latents(model, cached, shown="odd")
    with pytest.raises(ValueError, match="guess='none': only a model that draws in one step"):
        score_latents(made(data, guess="none"), cached, shown="wrong")


_SUPPORT = ("supports", "told", "inside")

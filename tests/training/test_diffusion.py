"""Training a DiffewS: the bank of latents, its batches, the three stages and what they refuse."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from hmnet_lite.data.emoji.protocol import Protocol
from hmnet_lite.data.emoji.scenes import EmojiScenes
from hmnet_lite.models.bank import SceneBank
from hmnet_lite.models.diffews.config import DiffewSConfig
from hmnet_lite.models.diffews.masks import mask_image
from hmnet_lite.models.diffews.model import DiffewS
from hmnet_lite.models.features import to_tensor
from hmnet_lite.training.checkpoint import load_checkpoint, read_facts
from hmnet_lite.training.config import TrainConfig
from hmnet_lite.training.diffusion import (
    LEVELS,
    _fit,
    best_level,
    denoising_loss,
    mask_loss,
    train_diffusion,
)
from hmnet_lite.training.latents import LatentBank, LatentPairs, LatentScenes, Pictures
from hmnet_lite.training.trainer import Trainer

TINY = DiffewSConfig(channels=8, blocks=(16, 32), heads=2, tokens=16)


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HMNET_LITE_CACHE", str(folder))
        yield EmojiScenes(Protocol(fold=0, image_size=96).training(60), 40)


def bank_of(scenes, **arms):
    torch.manual_seed(0)
    model, bank = DiffewS(replace(TINY, **arms)), SceneBank(scenes, workers=1, progress=False)
    if model.backbone is not None:
        _fit(model, bank)
    return LatentBank(scenes, model, bank=bank, progress=False)


@pytest.fixture(scope="module")
def bank(scenes):
    return bank_of(scenes)


@pytest.mark.parametrize(
    "arms, kind",
    [({}, "white"), ({"latents": "pixels", "channels": 4}, "white"),
     ({"injection": "multiplication-rgb", "mask_image": "black-on-real"}, "black-on-real")],
)  # fmt: skip
def test_the_bank_holds_what_the_model_would_encode(scenes, bank, arms, kind):
    made = bank_of(scenes, **arms) if arms else bank
    model = made.model
    scene, label, _, pixels = made.bank.objects[3].tolist()
    assert pixels >= 0.015 * 96**2
    drawn = scenes[scene]
    image = to_tensor(drawn.image)[None]
    masks = torch.from_numpy((drawn.labels == label).astype(np.uint8))[None]
    told = "real-on-black" if arms.get("injection") else "white"
    with torch.no_grad():
        expected = model.encode(image), *(model.encode(mask_image(k, image, masks))
                                          for k in (told, kind))  # fmt: skip
    row = made.row[3]
    found = made.images[scene], made.told[row], made.target[row]
    for ours, theirs in zip(found, expected, strict=True):
        assert torch.allclose(ours.float(), theirs[0], atol=2e-2, rtol=1e-2)


def test_a_batch_is_its_numbers(bank):
    pairs = LatentPairs(bank, (1, 3))
    batch = pairs.batch(range(4), 0, "cpu")
    again = LatentPairs(bank, (1, 3)).batch(range(4), 0, "cpu")
    held = {n: x for n, x in batch.__dict__.items() if x is not None}  # no likeness without metric
    assert all(torch.equal(x, again.__dict__[n]) for n, x in held.items())
    assert not torch.equal(batch.query, pairs.batch(range(4), 1, "cpu").query)
    shots = {pairs.batch([n], 0, "cpu").supports.shape[1] for n in range(30)}
    assert shots == {1, 2, 3}
    assert batch.query.shape == batch.target.shape == (4, 8, 6, 6)
    assert batch.supports.shape == batch.told.shape
    assert batch.masks.shape == (4, 48, 48) and batch.masks.flatten(1).any(1).all()
    share = batch.inside.mean((2, 3))
    assert (share > 0.015).all() and (share < 1).all()


def test_mirrored_together(bank):
    pairs = LatentPairs(bank)
    seen = set()
    for number in range(12):
        batch = pairs.batch([number], 0, "cpu")
        query, support = pairs.pairs.draw(number, 0)
        plain = bank.images[bank.bank.objects[query, 0]].float(), bank.target[bank.row[query]]
        turned = not torch.equal(batch.query[0], plain[0])
        assert torch.equal(batch.target[0], plain[1].float().flip(-1) if turned else plain[1])
        told = bank.told[bank.row[support]].float()
        image = bank.images[bank.bank.objects[support, 0]].float()
        flipped = not torch.equal(batch.supports[0, 0], image)
        assert torch.equal(batch.told[0, 0], told.flip(-1) if flipped else told)
        seen.add((turned, flipped))
    assert len(seen) > 2


def test_the_likeness_of_a_batch_is_that_of_its_pictures(scenes):
    made = bank_of(scenes, guess="metric")
    pairs = LatentPairs(made)
    for number in range(8):  # some of them mirrored
        batch = pairs.batch([number], 0, "cpu")
        drawn = [made.bank.objects[row, 0] for row in pairs.pairs.draw(number, 0)]
        images = [to_tensor(scenes[int(i)].image)[None] for i in drawn]
        looks = [made.model.look(x) for x in images]
        plain = made.model.alike(*looks, (1, 1)).unflatten(2, (6, 6)).unflatten(4, (6, 6))
        flips = [plain.flip(dims) if dims else plain for dims in ([], [3], [5], [3, 5])]
        turned = [x.flatten(4, 5).flatten(2, 3) for x in flips]
        assert min(float((batch.alike - x).abs().max()) for x in turned) < 1e-2


def test_pictures_are_scenes_and_masks_in_turn(scenes, bank):
    pictures = Pictures(scenes, bank.bank, bank, 10, progress=False)
    batch = pictures.batch(range(6), 0, "cpu")
    assert batch.pictures.shape == (6, 3, 48, 48) and batch.latents.shape == (6, 8, 6, 6)
    whites = [set(x.unique().tolist()) == {0.0, 1.0} for x in batch.pictures]
    assert whites == [False, True] * 3


@pytest.mark.parametrize("stage", ["denoise", "masks"])
def test_the_loss_falls(bank, stage):
    torch.manual_seed(0)
    model = DiffewS(TINY)
    model.load_state_dict(bank.model.state_dict())
    source = LatentScenes(bank) if stage == "denoise" else LatentPairs(bank)
    config = TrainConfig(steps=24, batch=4, ema=None, learning_rate=3e-3)
    loss = denoising_loss if stage == "denoise" else mask_loss
    model.autoencoder.requires_grad_(False)
    history = Trainer(model, source, config, loss=loss, progress=False).fit()
    assert np.mean(history.loss[-8:]) < 0.9 * np.mean(history.loss[:4])


def test_the_level_is_chosen_where_training_masks_are_read_best(bank):
    class Perfect(DiffewS):
        def generate(self, query, supports, told, inside, alike=None):
            return query  # what the source below gives is the target

    model = Perfect(TINY)
    model.decode = lambda x: x[:, :1].expand(-1, 3, -1, -1)

    class Source:
        def batch(self, numbers, seed, device):
            batch = LatentPairs(bank).batch(numbers, seed, device)
            light = torch.where(batch.masks[:, None] > 0, 1.0, 0.43)  # a grey background
            return replace(batch, query=light)

    assert best_level(model, Source(), 0) == 0.45


def test_three_stages_and_what_they_hand_on(tmp_path, monkeypatch):
    monkeypatch.setenv("HMNET_LITE_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    budget = TrainConfig(steps=2, batch=2)
    common = dict(scenes=12, progress=False)
    ae = train_diffusion("autoencoder", TINY, budget, "ae.safetensors", **common)
    prior = train_diffusion("denoise", None, budget, "p.safetensors", begin=ae, **common)
    changes = {"interaction": "qkv"}
    last = train_diffusion("masks", None, budget, "m.safetensors", begin=prior, changes=changes,
                           **common)  # fmt: skip
    scratch = train_diffusion("masks", None, replace(budget, seed=1), "s.safetensors", begin=ae,
                              **common)  # fmt: skip
    assert [x["stage"] for x in read_facts(last)["earlier"]] == ["autoencoder", "denoise"]
    assert [x["stage"] for x in read_facts(scratch)["earlier"]] == ["autoencoder"]
    nets = {path: load_checkpoint(path) for path in (ae, prior, last, scratch)}
    assert nets[last].config.level in LEVELS
    assert nets[last].config == replace(TINY, interaction="qkv", level=nets[last].config.level)
    own = {path: net.autoencoder.state_dict() for path, net in nets.items()}
    for path in (prior, last, scratch):  # it is never trained again
        assert all(torch.equal(x, own[path][name]) for name, x in own[ae].items())
    first = {path: net.unet.conv_in.weight for path, net in nets.items()}
    near = (first[last] - first[prior]).abs().max()  # two steps from where it began
    assert 0 < near < 0.02 < (first[scratch] - first[ae]).abs().max()
    resumed = train_diffusion("masks", None, budget, "m.safetensors", begin=prior, changes=changes,
                              resume=True, **common)  # fmt: skip
    assert torch.equal(load_checkpoint(resumed).unet.conv_in.weight, first[last])
    metric = train_diffusion("masks", None, budget, "g.safetensors", begin=prior,
                             changes={"guess": "metric"}, **common)  # fmt: skip
    whiten = load_checkpoint(metric).metric.whiten0  # fitted before the first step
    assert not torch.equal(whiten, torch.eye(len(whiten)))
    without = train_diffusion("masks", None, budget, "w.safetensors", begin=metric,
                              changes={"guess": "none"}, **common)  # fmt: skip
    assert not hasattr(load_checkpoint(without), "metric")
    for stage, asked, told in (
        ("denoise", {}, "needs the file of an earlier stage"),
        ("autoencoder", {"begin": ae}, "is the first; it does not begin from"),
        ("masks", {"begin": ae, "fold": 1}, "trained with fold 0 novel"),
        ("masks", {"begin": prior, "changes": {"blocks": (16,)}}, "has other sizes"),
    ):
        with pytest.raises(ValueError, match=told):
            train_diffusion(stage, None, budget, "x.safetensors", **asked | common)

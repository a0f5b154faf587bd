"""Training on sentences: the source, the grounding, and a run from the command line."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from hmnet_lite.commands.main import main
from hmnet_lite.data.emoji.referring.dataset import EmojiReferring
from hmnet_lite.data.emoji.referring.grammar import COLOURS
from hmnet_lite.models.bank import SceneBank
from hmnet_lite.models.remamba.config import ReMamberConfig
from hmnet_lite.models.remamba.model import ReMamber
from hmnet_lite.training.checkpoint import load_checkpoint, read_facts, save_checkpoint
from hmnet_lite.training.config import TrainConfig
from hmnet_lite.training.metric import object_features, object_rows
from hmnet_lite.training.referring import (
    ReferringSource,
    begin_with,
    fit_colours,
    fit_grounding,
    referring_loss,
    train_referring,
)
from hmnet_lite.training.trainer import Trainer

TINY = ReMamberConfig(dim=16, inner=8, state=4, depths=(0,), token_side=4, text_depth=1)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HMNET_LITE_CACHE", str(folder))
        scenes = EmojiReferring(0, "train", seed=0, length=6, image_size=96)
        yield ReferringSource(scenes, SceneBank(scenes, workers=1, progress=False))


def test_a_batch_is_its_numbers(source):
    batch = source.batch(range(4), 0, "cpu")
    alone = source.batch([2], 0, "cpu")
    assert batch.masks.shape == (4, 24, 24) and batch.numbers.shape[0] == 4
    assert torch.equal(batch.masks[2:3], alone.masks)
    assert torch.equal(batch.vectors[2:3], alone.vectors)
    assert batch.masks.flatten(1).any(1).all()
    assert not torch.equal(batch.numbers, source.batch(range(4), 1, "cpu").numbers)


def test_half_of_the_classes_are_as_if_new(source):
    parts = np.array([source.draw(n, 0)[3] for n in range(300)])
    assert 0.35 < (parts > 0).mean() < 0.65


def test_the_loss_falls(source):
    torch.manual_seed(0)
    model = ReMamber(TINY)
    fit_grounding(model, source.bank)
    assert model.grounding.weight.any()
    config = TrainConfig(steps=30, batch=4, ema=None, learning_rate=0.01)
    history = Trainer(model, source, config, loss=referring_loss, progress=False).fit()
    assert np.mean(history.loss[-8:]) < 0.8 * np.mean(history.loss[:4])


def test_colours_are_learned_from_what_the_scenes_show(source):
    model = ReMamber(replace(TINY, colours=True))
    fit_grounding(model, source.bank)
    fit_colours(model, source)
    seen = {
        (i, thing.label): dict(thing.colours)
        for i in range(len(source.bank)) for thing in source.scenes.told(i)[0]
    }  # fmt: skip
    rows = object_rows(source.bank, 0.005)
    objects = (object_features(source.bank, rows) - model.grounding.mean) / model.grounding.std
    found = objects @ model.grounding.colour
    shares = torch.tensor([[seen[i, k].get(c, 0) for c in COLOURS] for i, k, *_ in rows.tolist()])
    alike = torch.corrcoef(torch.stack([found.flatten(), (shares - shares.mean(0)).flatten()]))
    assert alike[0, 1] > 0.5


def test_training_goes_on_from_a_network_with_another_grounding(source, tmp_path):
    torch.manual_seed(1)
    path = save_checkpoint(ReMamber(TINY), tmp_path / "first.safetensors", fold=1, steps=7)
    model = ReMamber(replace(TINY, prototypes=True, colours=True, relations=True))
    assert begin_with(model, path, 1)["began"]["steps"] == 7
    before = load_checkpoint(path)
    assert torch.equal(
        model.blocks[0].fusion.project.weight, before.blocks[0].fusion.project.weight
    )
    fit_grounding(model, source.bank)
    assert model.grounding.prototypes.any(1).sum() == len(set(source.bank.objects[:, 2].tolist()))
    with pytest.raises(ValueError, match="inner differ from what is asked for"):
        begin_with(ReMamber(replace(TINY, inner=16)), path, 1)
    richer = save_checkpoint(model, tmp_path / "richer.safetensors", fold=1)
    with pytest.raises(ValueError, match="relations differ from what is asked for"):
        begin_with(ReMamber(TINY), richer, 1)  # what they learned would be lost
    with pytest.raises(ValueError, match="trained on fold 1, where novel classes of fold 0 are"):
        begin_with(model, path, 0)


def test_from_training_to_a_mask_of_a_picture(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HMNET_LITE_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    network, budget = replace(TINY, relations=True), TrainConfig(steps=2, batch=2)
    told = {"scenes": 3, "progress": False}
    path = train_referring(network, budget, "net.safetensors", reading=3, **told)
    facts = read_facts(path)
    assert (facts["task"], facts["fold"], facts["steps"]) == ("referring", 0, 2)
    assert facts["reading"] == 3 and 0 <= facts["read"] <= 1
    trained = load_checkpoint(path)
    assert trained.config == network and trained.styles.of_fine.any()
    with pytest.raises(ValueError, match="reading=3 of a network without relations"):
        train_referring(TINY, budget, "other.safetensors", reading=3, **told)
    scene = EmojiReferring(0, "seen", length=1)[0]
    Image.fromarray(scene.image).save("desk.png")
    asked = ["segment", "--model", "net.safetensors", "--query", "desk.png", "--out", "masks"]
    assert main([*asked, "--text", scene.sentences[0].text]) == 0
    assert np.asarray(Image.open("masks/desk.png")).shape == (256, 256)
    for wrong, told in (
        (["--text", ""], "the sentence is empty"),
        (["--text", "the bus", "--support", "desk.png"], "give --text or --support"),
        (["--support", "desk.png", "--box", "1,1,9,9"], "it wants --text and no --support"),
    ):
        assert main([*asked, *wrong]) == 2
        assert told in capsys.readouterr().err
    report = ["evaluate", "net.safetensors", "--episodes", "2", "--out", "r.json"]
    assert main(report) == 0
    written = json.loads((tmp_path / "r.json").read_text())
    assert written["splits"].keys() == {"seen", "novel", "compositions"}
    assert "every object" in capsys.readouterr().out
    assert main(["evaluate", "net.safetensors", "net.safetensors"]) == 2
    assert "reads sentences; test it alone" in capsys.readouterr().err

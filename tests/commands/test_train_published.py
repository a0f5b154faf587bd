"""hmnet train-published: both stages on a small PASCAL tree, and again on the same base."""

import pytest

from hmnet_lite.commands.main import main
from hmnet_lite.models.hmnet import backbones
from hmnet_lite.training.checkpoint import load_checkpoint, read_facts
from tests.data.photos import trees
from tests.training.test_published import Tiny


@pytest.fixture
def asked(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(backbones.BACKBONES, "tiny", Tiny)
    words = [
        "train-published",
        "--dataset",
        "pascal",
        "--root",
        str(trees.pascal(tmp_path / "voc")),
    ]
    words += ["--image-size", "65", "--small-object", "1", "--backbone", "tiny", "--dim", "16"]
    words += ["--depth", "2", "--state", "4", "--maps", "9", "--batch", "2", "--workers", "0"]
    return words


def test_both_stages_and_again_on_the_same_base(asked, tmp_path, capsys):
    budget = ["--base-steps", "2", "--steps", "3"]
    assert main([*asked, *budget, "--fold", "1", "--out", "net.safetensors"]) == 0
    said = capsys.readouterr().out
    assert "wrote the base learner, net.base.safetensors" in said and "wrote net.saf" in said
    model, facts = load_checkpoint("net.safetensors"), read_facts("net.safetensors")
    assert model.config.base_classes == 16 and model.config.image_size == 65
    assert (facts["fold"], facts["steps"], facts["dataset"]) == (1, 3, "pascal")
    recipe = facts["train_config"]
    assert (recipe["optimiser"], recipe["learning_rate"]) == ("published", 6e-5)
    kept = (tmp_path / "net.base.safetensors").read_bytes()
    more = ["--fold", "1", "--base", "net.base.safetensors", "--out", "two.safetensors"]
    assert main([*asked, "--steps", "2", "--learning-rate", "1e-4", *more]) == 0
    assert read_facts("two.safetensors")["train_config"]["learning_rate"] == 1e-4
    assert main([*asked, *budget, "--fold", "1", "--out", "net.safetensors", "--resume"]) == 0
    assert "base learner" not in capsys.readouterr().out  # it is there
    assert (tmp_path / "net.base.safetensors").read_bytes() == kept


@pytest.mark.parametrize(
    "words, message",
    [
        (["--out", "net.pth"], "expected a name that ends in .safetensors"),
        (["--imagenet", "none.pth"], "there is no file none.pth"),
        (["--base-steps", "0"], "--base-steps 0; expected at least 1"),
        (["--steps", "2", "--minutes", "1"], "give one of the two budgets"),
        (["--image-size", "64"], "expected 473, 633 or another 8·n + 1"),
        (["--distractors", "3"], "--distractors"),
    ],
)
def test_what_is_asked_wrongly_is_one_line_before_the_work(asked, tmp_path, words, message, capsys):
    assert main([*asked, *words]) == 2
    told = capsys.readouterr().err
    assert message in told and told.count("\n") == 1
    assert not list(tmp_path.glob("*.run")) and not list(tmp_path.glob("*.safetensors"))

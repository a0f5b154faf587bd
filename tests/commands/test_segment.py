"""hmnet segment: files in, masks out, and every refusal before the work."""

import sys

import numpy as np
import pytest
import torch
from PIL import Image

from hmnet_lite import HMNet, HMNetConfig
from hmnet_lite.commands.main import main
from hmnet_lite.training import zoo
from hmnet_lite.training.checkpoint import save_checkpoint
from tests.models.diffews.tiny import unet, write_folder
from tests.scoring.test_segment import QUERY, SHOWN, SUPPORT, WANTED, ByColour, iou


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    save_checkpoint(HMNet(HMNetConfig(dim=16, depth=0)), "net.safetensors", fold=0, seed=0)
    Image.fromarray(SUPPORT).save("s.png")
    Image.fromarray(SHOWN * 255).save("m.png")
    Image.fromarray(SHOWN * 0).save("empty.png")
    Image.fromarray(QUERY).save("q.jpg", quality=95)
    (tmp_path / "many").mkdir()
    for number in range(3):
        Image.fromarray(QUERY[: 200 + 30 * number]).save(f"many/{number}.png")
    (tmp_path / "none").mkdir()
    Image.fromarray(SHOWN[:, :-9] * 255).save("narrow.png")
    for name in ("t.jpg", "t.png"):  # a picture, and the mask somebody painted of it
        Image.fromarray(QUERY).save(name)
    return tmp_path


ASKED = ["segment", "--support", "s.png", "--mask", "m.png", "--model", "net.safetensors"]


def test_one_picture(files, monkeypatch):
    monkeypatch.setattr(zoo, "load", lambda _: ByColour())
    assert main([*ASKED, "--query", "q.jpg", "--out", "folder", "--probabilities"]) == 0
    mask = np.asarray(Image.open("folder/q.png"))
    assert mask.shape == WANTED.shape and set(np.unique(mask)) == {0, 255}
    assert iou(mask > 0, WANTED) > 0.97
    assert Image.open("folder/q_overlay.jpg").size == (200, 333)
    grey = np.asarray(Image.open("folder/q_probability.png"))
    assert np.array_equal(grey > 127, mask > 0)
    # a box shows the same rectangle, and a second support changes nothing here
    asked = ["segment", "--support", "s.png", "s.png", "--box", "20,10,70,40", "--box"]
    asked += ["20,10,70,40", "--model", "net.safetensors", "--query", "q.jpg", "--out", "boxed"]
    assert main(asked) == 0
    assert np.array_equal(np.asarray(Image.open("boxed/q.png")), mask)


def test_windows_are_an_option(files, monkeypatch, capsys):
    monkeypatch.setattr(zoo, "load", lambda _: ByColour())
    assert main([*ASKED, "--query", "q.jpg", "--out", "w", "--window", "90"]) == 0
    assert iou(np.asarray(Image.open("w/q.png")) > 0, WANTED) > 0.9
    assert main([*ASKED, "--query", "q.jpg", "--out", "v", "--window", "7000"]) == 2
    assert (
        "window is 7000 pixels; q.jpg, 200 × 333 (width × height), is looked at"
        in capsys.readouterr().err
    )
    assert not list((files / "v").glob("*"))
    Image.fromarray(QUERY[:80]).save("many/1.png")  # lower than a window
    assert main([*ASKED, "--query", "many", "--out", "m", "--window", "90"]) == 2
    said = capsys.readouterr()
    assert "wrote 2 masks to m" in said.out and "1 of 3 pictures left out: window is 90" in said.err


def test_a_folder_past_a_broken_picture(files, capsys):
    (files / "many" / "1.png").write_bytes(b"no picture")
    assert main([*ASKED, "--query", "many", "q.jpg", "--out", "out", "--side", "64"]) == 2
    told = capsys.readouterr()
    assert "wrote 3 masks to out" in told.out
    assert "1 of 4 pictures left out: many/1.png cannot be read" in told.err
    assert sorted(p.name for p in (files / "out").glob("?.png")) == ["0.png", "2.png", "q.png"]


@pytest.mark.parametrize(
    "words, message",
    [
        (["--query", "q.jpg", "--model", "hmnet-x"], "there is no model 'hmnet-x'"),
        (["--query", "q.jpg", "--mask", "m.png", "--mask", "m.png"], "1 supports and 3 masks"),
        (["--query", "none"], "none holds no picture"),
        (["--query", "nowhere.jpg"], "there is no picture or folder nowhere.jpg"),
        ([], "give pictures to look in: --query"),
        (["--query", "q.jpg", "--box", "1,2,3,4"], "give each --support its --mask, or its --box"),
        (["--query", "q.jpg", "--out", "s.png/x"], "--out s.png/x: nothing can be written there"),
        (["--query", "q.jpg", "--out", "s.png"], "--out s.png is a file; expected a folder"),
        (["--query", "many", "--out", "many"], "many is the folder of the queries"),
        (["--query", "many/0.png", "--out", "many"], "many/0.png is read here and would be over"),
        (["--query", "t.jpg", "--out", "."], "t.png is there already, beside the pictures"),
        (["--query", "q.jpg", "many", "many/0.png"], "would both be written to 0.png"),
        (["--query", "q.jpg", "--side", "50"], "side is 50; expected a multiple of 16"),
        (["--query", "q.jpg", "--sidee", "50"], "did you mean --side?"),
    ],
)
def test_what_is_asked_wrongly_is_one_line_before_the_work(files, words, message, capsys):
    assert main([*ASKED, "--out", "out", *words]) == 2
    told = capsys.readouterr()
    assert message in told.err and told.err.count("\n") == 1 and not told.out, told
    assert not list(files.glob("out/*"))


@pytest.mark.parametrize(
    "words, message",
    [
        (["--support", "s.png", "--mask", "empty.png"], "empty.png has no foreground"),
        (["--support", "s.png", "--mask", "q.jpg"], "q.jpg"),
        (["--support", "s.png", "--box", "0,0,500,20"], "its picture is 90 pixels wide"),
        (["--support", "s.png", "--box", "one,two"], "--box one,two; expected four numbers"),
        (["--support", "gone.png", "--mask", "m.png"], "gone.png is not there"),
        (["--mask", "m.png"], "give a picture that shows the thing"),
    ],
)
def test_bad_examples_are_one_line_and_write_nothing(files, words, message, capsys):
    asked = ["segment", "--model", "net.safetensors", "--query", "q.jpg", "--out", "out", *words]
    assert main(asked) == 2
    told = capsys.readouterr().err
    assert message in told and told.count("\n") == 1
    assert not list(files.glob("out/*"))


def test_a_damaged_model_is_told(files, capsys):
    path = files / "net.safetensors"
    path.write_bytes(path.read_bytes()[:500])
    assert main([*ASKED, "--query", "q.jpg", "--out", "out"]) == 2
    assert "net.safetensors is not a whole safetensors file" in capsys.readouterr().err


# ------------------------------------------------------------------ a folder of Stable Diffusion


@pytest.fixture(scope="module")
def stable(tmp_path_factory):
    """One as it was published, and one whose first convolution weighs masks."""
    folder = write_folder(tmp_path_factory.mktemp("sd"))
    tuned = folder.parent / f"{folder.name}-tuned"
    write_folder(tuned)
    unet(8).save_pretrained(tuned / "unet")
    return folder, tuned


DRAWN = ["segment", "--support", "s.png", "--mask", "m.png", "--query", "q.jpg", "--out", "out"]


def test_a_folder_of_stable_diffusion_draws_the_masks(files, stable, capfd):
    published, tuned = map(str, stable)
    assert main([*DRAWN, "--weights", published, "--side", "64"]) == 0
    told = capfd.readouterr()
    assert "was not fine-tuned for masks" in told.err and "wrote 1 mask" in told.out
    assert Image.open("out/q.png").size == (200, 333)
    shares = []
    for level in ("0.1", "0.9"):
        words = ["--weights", tuned, "--side", "64", "--threshold", "relative", "--level", level]
        assert main([*DRAWN, *words]) == 0
        assert not capfd.readouterr().err
        shares.append((np.asarray(Image.open("out/q.png")) > 0).mean())
    assert shares[0] > shares[1]
    assert (
        main([*DRAWN, "--model", "diffews-fold0", "--side", "64", "--threshold", "absolute"]) == 0
    )


@pytest.mark.parametrize(
    "words, message",
    [
        (["--weights", "gone"], "there is no folder gone; expected the folder of Stable Diffusion"),
        (["--weights", "q.jpg"], "there is no folder q.jpg; expected"),
        (["--weights", "many"], "there is no many/unet/config.json; expected the folder of Stable"),
        (["--weights", "SD", "--model", "diffews-fold0"], "--weights does not go with --model"),
        (["--weights", "SD", "--threshold", "high"], "threshold='high'; expected one of ('relat"),
        (["--weights", "SD", "--level", "3"], "level=3.0; expected 0 to 1"),
        (["--weights", "SD", "--side", "72"], "side is 72; expected a multiple of 16 from 64"),
        (
            ["--weights", "SD", "--mask", "narrow.png", "--support", "s.png"],
            "narrow.png is 60 × 81 ",
        ),
        (["--weights", "SD", "--probabilities"], "a DiffewS draws a picture of the mask, whose"),
        (["--level", "0.5", "--model", "net.safetensors"], "--level is for the picture that a Dif"),
        (["--model", "diffews-fold0", "--side", "80"], "side is 80; expected a multiple of 32"),
    ],
)
def test_a_folder_of_no_use_is_one_line(files, stable, words, message, capfd):
    words = [str(stable[0]) if word == "SD" else word for word in words]
    assert main([*DRAWN, *words]) == 2
    told = capfd.readouterr()
    assert message in told.err and told.err.count("\n") == 1 and not told.out, told
    assert not list(files.glob("out/*"))


def test_without_diffusers_the_extra_is_named(files, stable, monkeypatch, capfd):
    monkeypatch.setitem(sys.modules, "diffusers", None)
    assert main([*DRAWN, "--weights", str(stable[0])]) == 2
    told = capfd.readouterr().err
    assert "pip install 'hmnet-lite[diffusion]'" in told and told.count("\n") == 1


# ------------------------------------------------------------------------------------- a sentence


@pytest.mark.parametrize(
    "words, message",
    [
        (["--text", ""], "the sentence is empty; say what to find"),
        (["--text", "the blorgle"], "'blorgle': not among the"),
        (["--text", "das rote Haus"], "expected a sentence in English"),
        (["--text", "house " * 10_000], "the sentence has 10,000 words; expected at most 20"),
        (["--text", "the house", "--support", "s.png"], "give --text or --support with its"),
        (["--text", "the house", "--mask", "m.png"], "give --text or --support with its"),
        (["--text", "the house", "--window", "90"], "--window goes with --support"),
        (["--text", "the house", "--weights", "many"], "--weights does not go with --text: it"),
        (["--text", "the house", "--level", "0.5"], "--level is for the picture that a DiffewS"),
        (["--text", "the house", "--model", "hmnet-lite-all"], "it wants --model remamber-fold0"),
        (["--text", "the house", "--side", "50"], "side is 50; expected a multiple of 16"),
    ],
)
def test_a_sentence_of_no_use_is_one_line(files, monkeypatch, words, message, capsys):
    monkeypatch.setattr("hmnet_lite.scoring.by_words.pretrained_words", lambda: None)
    assert main(["segment", "--query", "q.jpg", "--out", "out", *words]) == 2
    told = capsys.readouterr()
    assert message in told.err and told.err.count("\n") == 1 and not told.out, told
    assert not list(files.glob("out/*"))

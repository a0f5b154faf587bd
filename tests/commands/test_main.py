"""The command line itself: help, one clear line for what is wrong, pipes and narrow terminals."""

import io
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from hmnet_lite import HMNet, HMNetConfig
from hmnet_lite.commands import evaluate, info
from hmnet_lite.commands import main as commands
from hmnet_lite.commands.main import COMMANDS, main
from hmnet_lite.commands.options import explained, options_of, picked, read
from hmnet_lite.data.emoji.protocol import Protocol
from hmnet_lite.training import zoo
from hmnet_lite.training.checkpoint import save_checkpoint

ROOT = Path(__file__).parents[2]


def test_help_names_every_command_and_each_tells_its_options(capsys):
    assert main(["--help"]) == 0 and main([]) == 2
    told = capsys.readouterr().out
    for name, does in COMMANDS.items():
        assert re.search(rf"^  {name}  +{re.escape(does)}$", told, re.MULTILINE)
        assert main([name, "--help"]) == 0
        assert f"usage: hmnet {name}" in capsys.readouterr().out


def test_options_are_the_fields_of_the_configs_and_their_docstrings():
    @dataclass(kw_only=True)
    class Options(options_of(HMNetConfig), options_of(Protocol, leave_out=["gap"], unset=True)):
        pass

    words = "--depth 0 --no-detach-support-state --fold 2 --scale .2 .4"
    options = read(Options, words.split(), "hmnet x")
    assert picked(HMNetConfig, options) == HMNetConfig(depth=0, detach_support_state=False)
    assert picked(Protocol, options, gap="same") == Protocol(fold=2, gap="same", scale=(0.2, 0.4))
    assert not hasattr(options, "gap") and options.shots is None
    helps = explained(Protocol)
    assert helps["fold"].startswith("0 to 3. Its classes are novel: met in testing only.")
    assert helps["scale"].startswith("(smallest, largest) side of the target as a share")


@pytest.mark.parametrize(
    "words, message",
    [
        (["trian"], "hmnet trian: there is no such command; expected one of segment, "),
        (["train", "--fold", "9"], "hmnet train: fold is 9; expected 0 to 3"),
        (["train", "--folds", "1"], "Unrecognized options: --folds, 1; did you mean --fold?"),
        (["train", "--dim", "wide"], "Error parsing --dim: invalid literal for int()"),
        (["train", "--dim", "17"], "dim=17; expected a positive multiple of 16"),
        (["train", "--minutes", "-1"], "minutes"),
        (["train", "--minutes", "inf"], "minutes"),
        (["train", "--minutes", "1", "--steps", "5"], "steps"),
        (["train", "--steps", "0"], "steps"),
        (["train", "--steps", "9" * 25], "expected at most 1,000,000,000"),
        (["train", "--learning-rate", "1e308"], "learning_rate is 1e+308; expected a number, more"),
        (["train", "--state", "9" * 25], "expected 1 to 1,024"),
        (["train", "--recap-ratio", "17"], "a recap ratio of 17 cuts the map in more patches"),
        (["train", "--qim-ratio", "32"], "a qim ratio of 32 cuts the map in more patches"),
        (["compare", "--seeds", "9" * 25], "expected at most 9,223"),
        (["compare", "--episodes", "9" * 25], "length is 9999999999999999999999999"),
        (["train", "--image-size", "250"], "--image-size 250; HMNet-lite expects a multiple of 16"),
        (["train", "--image-size", "100000"], "image_size"),
        (["train", "--out", "."], "--out . is a folder; expected the name of a file"),
        (["train", "--out", "/dev/null"], "--out /dev/null is no ordinary file"),
        (["train", "--out", "a-file/x.safetensors"], "nothing can be written there"),
        (["train", "--out", "photo.jpg"], "--out photo.jpg; expected a name that ends in .safet"),
        (["compare", "--out", "photo.jpg"], "--out photo.jpg; expected a name that ends in .json"),
        (["train", "--tensorboard", "a-file"], "--tensorboard a-file is a file; expected a folder"),
        (["evaluate"], "give a checkpoint, or a shipped model"),
        (["evaluate", "none.safetensors"], "there is no model file none.safetensors"),
        (["evaluate", "a-file"], "not a whole safetensors file"),
        (["evaluate", "a-file", "--out", "a-file"], "a-file is read here and would be overwritten"),
        (["evaluate", "a-file", "--gaps", "wide"], "invalid choice 'wide' for argument '--gaps'"),
        (["compare", "--seeds", "1", "1"], "expected different ones"),
        (["compare", "--checkpoints", "a-file"], "a-file is a file; expected a folder"),
    ],
)
def test_what_is_asked_wrongly_is_one_line_and_status_2(
    words, message, capsys, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        "hmnet_lite.models.features.CachedFeatures.__init__", lambda *_, **__: pytest.fail("worked")
    )
    Path("a-file").write_text("nothing")
    assert main(words) == 2
    told = capsys.readouterr()
    assert message in told.err and told.err.count("\n") == 1 and not told.out, told


def failing(error):
    def run(options, command):
        raise error

    return run


@pytest.mark.parametrize(
    "error, status, message",
    [
        (RuntimeError("a worker\nwas killed"), 2, "hmnet info: a worker was killed\n"),
        (OverflowError("too large"), 2, "too large"),
        (MemoryError(), 2, "hmnet info: MemoryError\n"),
        (OSError(28, "No space left", "x.json"), 2, "hmnet info: x.json: No space left\n"),
        (KeyError("fold"), 1, "KeyError: 'fold' (a fault of the package; HMNET_LITE_TRACEBACK=1"),
        (KeyboardInterrupt(), 130, "hmnet info: stopped; finished files are kept"),
        (BrokenPipeError(), 0, ""),
    ],
)
def test_every_end_has_its_status_and_no_traceback(error, status, message, monkeypatch, capfd):
    monkeypatch.delenv("HMNET_LITE_TRACEBACK", raising=False)
    monkeypatch.setattr(commands.os, "dup2", lambda *_: None)  # leave the tests' output open
    monkeypatch.setattr(info, "run", failing(error))
    assert main(["info"]) == status
    assert message in capfd.readouterr().err


def test_a_traceback_can_be_asked_for(monkeypatch):
    monkeypatch.setenv("HMNET_LITE_TRACEBACK", "1")
    monkeypatch.setattr(info, "run", failing(KeyError("fold")))
    with pytest.raises(KeyError):
        main(["info"])


def test_a_terminal_without_the_letters_loses_nothing(monkeypatch):
    narrow = io.TextIOWrapper(io.BytesIO(), encoding="cp1252")
    monkeypatch.setattr(sys, "stdout", narrow)
    monkeypatch.setattr(info, "run", lambda options, command: print("杯子", command))
    assert main(["info"]) == 0
    assert narrow.buffer.getvalue() == b"?? hmnet info" + os.linesep.encode()


@pytest.mark.slow
def test_a_reader_that_leaves_early_is_no_fault():
    command = f"{sys.executable} -m hmnet_lite info | head -1"
    done = subprocess.run(
        command, shell=True, cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.stdout.startswith("hmnet-lite ") and not done.stderr


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no device that is always full")
@pytest.mark.slow
@pytest.mark.parametrize("words", ["--help", "check ."])
@pytest.mark.parametrize(
    "shell, status", [(">/dev/full", 2), (">&-", 0), (">&- 2>&-", 0), ("2>&- | head -1", 0)]
)
def test_a_full_or_closed_output_is_told_in_a_line_or_not_at_all(words, shell, status, tmp_path):
    command = f"set -o pipefail; {sys.executable} -m hmnet_lite {words} {shell}"
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        ["bash", "-c", command], cwd=tmp_path, env=env, capture_output=True, text=True, check=False
    )
    status = 2 if words == "check ." else status  # there is no picture
    assert done.returncode == status and "Traceback" not in done.stderr, done.stderr
    assert done.stderr.count("\n") == (status == 2 and "2>&-" not in shell)


@pytest.mark.parametrize(
    ("began", "told"),
    [({"steps": 12000}, "fold 1 is new to it; 12,000 + 2,500 steps"),
     ({"steps": None}, "fold 1 is new to it; 2,500 steps")],
)  # fmt: skip
def test_info_tells_both_goes_of_a_network_that_went_on_from_another(
    began, told, tmp_path, monkeypatch, capsys
):
    facts = {"steps": 2500, "fold": 1, "began": began}
    save_checkpoint(HMNet(HMNetConfig(dim=16, depth=0)), tmp_path / "mine.safetensors", **facts)
    monkeypatch.setattr(zoo, "models_folder", lambda: tmp_path)
    assert main(["info"]) == 0
    assert told in capsys.readouterr().out


@pytest.mark.parametrize(
    ("misled", "told"),
    [({"same": {"wrong": 0.49}, "cross": {"wrong": 0.298}}, "; its mixer listens at same\n"),
     ({"same": {"wrong": 0.496}}, "; its mixer is deaf\n"),
     ({"same": {}}, "mIoU same 50.0, cross 30.0\n")],
)  # fmt: skip
def test_info_tells_who_listens(misled, told, tmp_path, monkeypatch, capsys):
    facts = {"fold": 1, "metrics": {"same": 0.5, "cross": 0.3}, "misled": misled}
    config = HMNetConfig(dim=16, depth=2, state=4)
    save_checkpoint(HMNet(config), tmp_path / "mine.safetensors", **facts)
    monkeypatch.setattr(zoo, "models_folder", lambda: tmp_path)
    assert main(["info"]) == 0
    assert told in capsys.readouterr().out


def test_info_tells_backends_models_data_and_cache(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HMNET_LITE_CACHE", str(tmp_path / "cache"))
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "x.safetensors").write_bytes(b"0" * 3_000_000)
    (tmp_path / "cache" / ".y.tmp").write_bytes(b"0")
    (tmp_path / "VOC2012").mkdir()
    assert main(["info", "--roots", str(tmp_path)]) == 0
    told = capsys.readouterr().out
    for part in (
        "chunked     works",
        "segment's default; every class; 3,000 steps",
        "default of segment --text; fold 0 is new to it; 9,000 steps",
        "fold 0 is new to it; 2,000 steps after those of state-both",
        "fold 3 is new to it; 3,000 steps; mIoU same 76.0, sibling 69.3, cross 56.6",
        "held_out 48.6; its mixer is deaf",
        "mIoU same 73.2, sibling 64.0, cross 47.3, held_out 41.3; its mixer listens\n",
        "mIoU same 75.2, sibling 64.7, cross 49.1, held_out 44.8\n",  # it has no mixer
        "mamba_ssm   it runs on cuda and the tensors are on cpu",
        "emoji in ",
        f"pascal: --dataset pascal --root {tmp_path / 'VOC2012'}",
        "3 MB in 2 files",
        "1 unfinished files of stopped runs",
    ):
        assert part in told, told


def test_runs_of_one_method_differ_in_their_seed_alone():
    assert evaluate.method_of(Path("x/hmnet-fold0-seed2.safetensors"), {"seed": 2}) == (
        "hmnet-fold0", 2,
    )  # fmt: skip
    assert evaluate.method_of(Path("a.safetensors"), {"method": "without Mamba", "seed": 0}) == (
        "without Mamba", 0,
    )  # fmt: skip

"""Never lose work: kills, signals, full disks, damaged files, other configs."""

import errno
import json
import multiprocessing
import os
import random
import signal
import time
import warnings

import pytest
import torch

from hmnet_lite import files
from hmnet_lite.tensors import read_tensors, write_tensors
from hmnet_lite.training import signals
from hmnet_lite.training.config import TrainConfig
from hmnet_lite.training.runs import random_states, set_random_states
from hmnet_lite.training.signals import Stopped
from hmnet_lite.training.trainer import Trainer
from tests.training.toy import ToyNet, ToySource, equal, toy_loss, weights

CONFIG = TrainConfig(steps=40, batch=4, checkpoint_every=2, ema=0.9)


def run(folder, config=CONFIG, *, resume=True, **options):
    model = ToyNet()
    options = {"loss": toy_loss, "progress": False} | options
    source = options.pop("source", ToySource())
    history = Trainer(model, source, config, folder=folder, **options).fit(resume=resume)
    return model, history


@pytest.fixture(scope="module")
def whole():
    """The run that nothing interrupted."""
    return run(None)


def stop_at(number):
    def call(step):
        if step.number == number:
            raise RuntimeError("stopped")

    return call


@pytest.mark.slow
def test_killed_at_twenty_random_points_it_ends_where_it_would_have(tmp_path, whole):
    context = multiprocessing.get_context("fork")  # a killed child costs no new import

    def child():
        torch.set_num_threads(1)
        run(tmp_path, on_step=lambda _: time.sleep(0.01))

    rng, killed = random.Random(0), 0
    for _ in range(200):
        process = context.Process(target=child)
        process.start()
        process.join(rng.uniform(0.02, 0.25))
        if process.is_alive():
            os.kill(process.pid, signal.SIGKILL)
            killed += 1
        process.join()
        if process.exitcode == 0:  # a fast machine: it came to its end, and begins again
            for file in tmp_path.iterdir():
                file.unlink()
        if killed >= 20:
            break
    assert killed >= 20
    model, history = run(tmp_path)
    assert history.loss == whole[1].loss and equal(weights(model), weights(whole[0]))


@pytest.mark.parametrize("at", [1, 2, 7, 39])
def test_going_on_is_exact(tmp_path, whole, at):
    with pytest.raises(RuntimeError):
        run(tmp_path, on_step=stop_at(at))
    torch.manual_seed(99)  # whatever happened in between
    model, history = run(tmp_path)
    assert history.loss == whole[1].loss and equal(weights(model), weights(whole[0]))


def test_a_finished_run_gives_its_end_again(tmp_path, whole):
    run(tmp_path)
    model, history = run(tmp_path, source=ToySource(range(9999)))  # no step is made
    assert history.steps == 40 and equal(weights(model), weights(whole[0]))
    run(tmp_path, resume=False)  # and may be run afresh


def test_only_the_newest_and_the_best_are_kept(tmp_path):
    scores = iter([1, 5, 3, 2, 4, 0, 0, 0, 0, 0])
    config = TrainConfig(steps=10, batch=2, checkpoint_every=1, keep=3)
    run(tmp_path, config, validate=lambda model: next(scores))
    names = sorted(p.name for p in tmp_path.iterdir())
    assert names == ["best.safetensors", *(f"step-{n:08d}.safetensors" for n in (8, 9, 10))]
    from hmnet_lite.tensors import read_tensors

    assert read_tensors(tmp_path / "best.safetensors")[0]["history.loss"].shape == (2,)


@pytest.mark.parametrize(
    "number, code", [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_signals_leave_a_checkpoint_and_say_how_to_go_on(
    tmp_path, whole, number, code, monkeypatch
):
    def ask(step):
        if step.number == 5:
            os.kill(os.getpid(), number)

    if number == signal.SIGHUP:  # whoever runs these tests may have us ignore it
        monkeypatch.setattr(signals, "_HANGUP", None)
    before = signal.getsignal(number)
    with pytest.raises(Stopped, match=r"at step [56]; .*step-0000000[56].*resume") as stopped:
        run(tmp_path, on_step=ask)
    assert stopped.value.code == code and signal.getsignal(number) is before
    model, _ = run(tmp_path)
    assert equal(weights(model), weights(whole[0]))


def test_under_nohup_a_closed_terminal_stops_nothing(tmp_path):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # what nohup does
    try:
        _, history = run(tmp_path, on_step=lambda step: os.kill(os.getpid(), signal.SIGHUP))
    finally:
        signal.signal(signal.SIGHUP, before)
    assert history.steps == 40


def test_an_unfinished_run_is_not_thrown_away(tmp_path):
    with pytest.raises(RuntimeError):
        run(tmp_path, on_step=stop_at(5))
    with pytest.raises(ValueError, match=r"holds an unfinished run, at step 4; go on with resume"):
        run(tmp_path, resume=False)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"batch": 2}, r"its config's batch was 4 and is now 2"),
        ({"learning_rate": 1.0}, r"its config's learning_rate was 0.003 and is now 1.0"),
    ],
)
def test_another_config_is_refused_by_its_field(tmp_path, change, message):
    with pytest.raises(RuntimeError):
        run(tmp_path, on_step=stop_at(5))
    with pytest.raises(ValueError, match=message):
        run(tmp_path, TrainConfig(**CONFIG.to_dict() | change))
    run(tmp_path, TrainConfig(**CONFIG.to_dict() | {"checkpoint_every": 3, "keep": 1}))


def test_a_run_older_than_a_field_goes_on_where_the_field_has_its_default(tmp_path):
    """A new version knows one field more; without it the run was trained as its default says."""
    with pytest.raises(RuntimeError):
        run(tmp_path, on_step=stop_at(5))
    for path in tmp_path.glob("*.safetensors"):
        tensors, header = read_tensors(path)
        identity = json.loads(header["identity"])
        assert identity["config"].pop("clip") == TrainConfig().clip
        write_tensors(path, tensors, header | {"identity": json.dumps(identity)})
    with pytest.raises(ValueError, match=r"its config's clip was 1.0 and is now 2.0"):
        run(tmp_path, TrainConfig(**CONFIG.to_dict() | {"clip": 2.0}))
    _, history = run(tmp_path)
    assert history.steps == 40


def test_other_data_is_refused(tmp_path):
    with pytest.raises(RuntimeError):
        run(tmp_path, on_step=stop_at(5))
    other = ToySource()
    other.fingerprint = "another"
    with pytest.raises(ValueError, match=r"its data was 'toy' and is now 'another'"):
        run(tmp_path, source=other)


@pytest.mark.parametrize("damage", ["cut", "bit", "folder"])
def test_a_damaged_checkpoint_is_named_and_the_one_before_serves(tmp_path, whole, damage):
    with pytest.raises(RuntimeError):
        run(tmp_path, on_step=stop_at(9))
    newest = tmp_path / "step-00000008.safetensors"
    data = bytearray(newest.read_bytes())
    if damage == "cut":
        newest.write_bytes(data[: len(data) // 2])
    elif damage == "bit":
        data[-100] ^= 4
        newest.write_bytes(data)
    else:
        newest.unlink()
        newest.mkdir()
    with pytest.warns(UserWarning, match=r"step-00000008.* checkpoint before it.*step-00000006"):
        model, _ = run(tmp_path)
    assert equal(weights(model), weights(whole[0]))


def test_damage_everywhere_is_said(tmp_path):
    (tmp_path / "step-00000002.safetensors").write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"none of the 1 checkpoints .* is whole"):
        run(tmp_path)


def test_a_full_disk_costs_neither_the_run_nor_the_last_checkpoint(tmp_path, whole, monkeypatch):
    def fill(step):
        if step.number == 5:
            monkeypatch.setattr(files.os, "fsync", full)
        elif step.number == 9:
            monkeypatch.undo()
            raise RuntimeError

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    said = r"no checkpoint at step 6: .*no room.*last one is .*0004"
    with pytest.warns(UserWarning, match=said), pytest.raises(RuntimeError):
        run(tmp_path, on_step=fill)
    assert sorted(p.name for p in tmp_path.glob("step*"))[-1] == "step-00000004.safetensors"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model, _ = run(tmp_path)
    assert equal(weights(model), weights(whole[0]))


def test_random_states_come_back():
    states = random_states()

    def draw():
        return torch.rand(3).tolist(), random.random(), __import__("numpy").random.rand()

    first = draw()
    set_random_states(states)
    assert draw() == first

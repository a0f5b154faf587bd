"""Caches of features: content, workers, damage, full disks, a script without a main guard."""

import errno
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from hmnet_lite import HMNet, HMNetConfig, files
from hmnet_lite.data.emoji.protocol import Protocol
from hmnet_lite.models import features, shards
from hmnet_lite.models.features import CachedFeatures

TINY = HMNetConfig(dim=16, depth=2, state=4)
PROTOCOL = Protocol(episodes=6)
SHARD = 16  # episodes in a file; the package's 50 would take longer
SMALL = Protocol(image_size=64)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module", autouse=True)
def small_shards():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(features, "SHARD", SHARD)
        yield


@pytest.fixture(scope="module")
def training(folder):
    return CachedFeatures(PROTOCOL.training(SHARD + 6), folder=folder, workers=1, progress=False)


def tiny(folder, length=4, **options):
    options = {"workers": 1, "progress": False} | options
    return CachedFeatures(SMALL.training(length), folder=folder, **options)


class Given(list):
    """Episodes at hand, under a name for their content."""

    def __init__(self, episodes, fingerprint):
        super().__init__(episodes)
        self.fingerprint = fingerprint


def shards_in(folder):
    return sorted(folder.rglob("*.safetensors"))


def test_cached_episodes_are_the_episodes(training):
    backbone = HMNet(TINY).backbone
    assert len(training) == SHARD + 6
    for i in (0, SHARD - 1, SHARD, -1):
        cached, episode = training[i], training.episodes[i]
        assert cached.class_id == episode.class_id and cached.index == i % len(training)
        for name in ("query_mask", "support_masks", "query_objects"):
            assert np.array_equal(getattr(cached, name), getattr(episode, name)), name
        image = torch.from_numpy(episode.query_image).permute(2, 0, 1)[None] / 255
        for kept, fresh in zip(cached.query, backbone(image), strict=True):
            torch.testing.assert_close(kept.float(), fresh[0], rtol=2e-3, atol=2e-3)  # float16
    with pytest.raises(IndexError):
        training[len(training)]


def test_masks_with_ignored_pixels_survive_packing(tmp_path):
    episode = SMALL.training(1)[0]
    masks = np.random.default_rng(0).choice([0, 1, 255], (2, 64, 64)).astype(np.uint8)
    odd = replace(episode, query_mask=masks[0], support_masks=masks[1:], query_objects=None)
    cached = CachedFeatures(Given([odd], "odd"), folder=tmp_path, workers=1, progress=False)[0]
    assert np.array_equal(cached.query_mask, masks[0])
    assert np.array_equal(cached.support_masks, masks[1:])


def test_a_second_opening_computes_nothing_and_workers_agree(training, folder):
    files_before = {p: p.stat().st_mtime_ns for p in folder.rglob("*.safetensors")}
    same = Given([None] * (SHARD + 6), training.episodes.fingerprint)  # nothing to compute from
    again = CachedFeatures(same, folder=folder, progress=False)
    assert torch.equal(again[3].support, training[3].support)
    assert files_before == {p: p.stat().st_mtime_ns for p in folder.rglob("*.safetensors")}


def test_other_content_is_another_cache(training, folder):
    def key(protocol):
        return CachedFeatures(protocol.training(2), folder=folder, workers=1, progress=False).folder

    assert key(PROTOCOL) == training.folder  # a shorter set is the same content
    assert key(Protocol(fold=1)) != training.folder


@pytest.mark.slow
def test_two_processes_compute_what_one_does(training, tmp_path):
    two = CachedFeatures(PROTOCOL.training(SHARD + 6), folder=tmp_path, workers=2, progress=False)
    assert len(shards_in(two.folder)) == 2
    for shard in shards_in(two.folder):
        theirs, ours = (load_file(folder / shard.name) for folder in (two.folder, training.folder))
        assert theirs.keys() == ours.keys()
        for name, value in theirs.items():  # another process may round a feature the other way
            near = 2**-10 if value.is_floating_point() else 0
            torch.testing.assert_close(value, ours[name], rtol=near, atol=near)


@pytest.mark.parametrize("damage", ["cut", "bit", "other names", "folder"])
def test_a_damaged_shard_is_computed_again(tmp_path, damage):
    whole_cache = tiny(tmp_path, 2)
    (shard,) = shards_in(tmp_path)
    whole, kept = shard.read_bytes(), whole_cache[1].support.clone()
    if damage == "cut":
        shard.write_bytes(whole[: len(whole) // 2])
    elif damage == "bit":
        shard.write_bytes(whole[:-99] + bytes([whole[-99] ^ 8]) + whole[-98:])
    elif damage == "other names":
        from hmnet_lite.tensors import write_tensors

        write_tensors(shard, {"x": torch.zeros(2)}, {})
    else:
        shard.unlink()
        (shard / "inside").mkdir(parents=True)
    assert torch.equal(tiny(tmp_path, 2)[1].support, kept)
    assert shard.read_bytes() == whole


def test_interrupted_caching_keeps_whole_shards_and_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr(features, "SHARD", 2)
    write, done = shards.Cache.write, []

    def stop_at_second(self, span, tensors=None):
        if done:
            raise KeyboardInterrupt
        done.append(span)
        return write(self, span, tensors)

    monkeypatch.setattr(shards.Cache, "write", stop_at_second)
    with pytest.raises(KeyboardInterrupt):
        tiny(tmp_path)
    assert len(shards_in(tmp_path)) == 1 and not list(tmp_path.rglob("*.tmp"))
    counted = []
    monkeypatch.setattr(shards.Cache, "write", lambda *job: counted.append(job[1]) or write(*job))
    assert len(tiny(tmp_path)) == 4 and counted == [(2, 4)]


def test_a_full_disk_while_caching_is_said_and_leaves_nothing(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(OSError, match=r"no room to write it .* Mend: free some space") as error:
        tiny(tmp_path, 2)
    assert error.value.errno == errno.ENOSPC and "HMNET_LITE_CACHE" in str(error.value)
    assert not [p for p in tmp_path.rglob("*") if p.is_file()]


def test_too_little_room_is_said_before_the_work(tmp_path, monkeypatch):
    usage = type("usage", (), {"free": 1000})
    monkeypatch.setattr(shards.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(
        OSError, match=r"it needs [\d,]+ bytes and 1,000 are free.*HMNET_LITE_CACHE"
    ):
        tiny(tmp_path, 2)
    assert not shards_in(tmp_path)


def test_what_it_takes_is_told_beforehand(tmp_path, capsys):
    tiny(tmp_path, 2, progress=True)
    said = capsys.readouterr()
    assert "2 episodes are drawn and encoded once" in said.out and "HMNET_LITE_CACHE" in said.out


def test_leftovers_are_removed_and_a_writer_at_work_is_left_alone(tmp_path):
    folder = tiny(tmp_path, 2).folder
    old, new = folder / ".a.safetensors.0.tmp", folder / ".b.safetensors.0.tmp"
    for path in (old, new):
        path.write_bytes(b"half")
    os.utime(old, (0, 0))
    shards_in(tmp_path)[0].unlink()
    tiny(tmp_path, 2)
    assert not old.exists() and new.exists()
    assert [(path, size > 0) for path, size, _ in shards.caches(tmp_path)] == [(folder, True)]


SCRIPT = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
from hmnet_lite.data.emoji.protocol import Protocol
from hmnet_lite.models import features
features.SHARD = 4
cached = features.CachedFeatures(
    Protocol(image_size=64).training(int(sys.argv[2])), folder=sys.argv[1], workers=2,
    progress=len(sys.argv) > 3)
print(len(cached))
"""


@pytest.mark.slow
def test_a_script_without_a_main_guard_and_one_on_standard_input(tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    for name, words in (("a", [str(tmp_path / "script.py")]), ("b", ["-"])):
        line = [sys.executable, *words, str(tmp_path / name), "12"]
        done = subprocess.run(line, input=SCRIPT, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0 and done.stdout.split()[-1] == "12", done.stderr
        assert len(shards_in(tmp_path / name)) == 3


def children_of(pid):
    return subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True
    ).stdout.split()


def alive(pids):
    return [pid for pid in pids if os.path.exists(f"/proc/{pid}")]


@pytest.mark.slow
@pytest.mark.skipif(not os.path.exists("/proc"), reason="looks for processes in /proc")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_ending_it_while_workers_start_or_work_leaves_none_behind(tmp_path, number):
    for wait in (0.0, 2.5):  # seconds after the first worker is there
        process = subprocess.Popen(
            [sys.executable, "-c", SCRIPT, str(tmp_path), "4000"], start_new_session=True,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        until = time.time() + 120
        while len(workers := children_of(process.pid)) < 2 and time.time() < until:
            time.sleep(0.05)
        time.sleep(wait)
        workers = children_of(process.pid)
        assert workers
        os.killpg(process.pid, number) if number == signal.SIGINT else process.kill()
        process.communicate(timeout=180)  # it does not hang
        until = time.time() + 30
        while alive(workers) and time.time() < until:
            time.sleep(0.2)
        assert not alive(workers)

"""Files are whole or not there: every way of failing leaves the old file and no litter."""

import errno
import json
import os
import stat
import subprocess
import sys

import numpy as np
import pytest
import torch

from hmnet_lite.files import replace_atomically, write_bytes, write_json

OLD = b"the old content"


@pytest.fixture
def old(tmp_path):
    path = tmp_path / "cache.npz"
    path.write_bytes(OLD)
    return path


def only(path):
    """``path`` is the only thing in its folder and still holds the old content."""
    return os.listdir(path.parent) == [path.name] and path.read_bytes() == OLD


def full_disk(file):
    file.write(b"x" * 1000)
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_writes_replaces_and_returns_the_path(tmp_path):
    path = tmp_path / "new" / "folder" / "a.bin"
    assert write_bytes(path, b"1") == path
    assert write_bytes(str(path), b"22") == path
    assert path.read_bytes() == b"22"
    assert os.listdir(path.parent) == ["a.bin"]


def test_numpy_and_torch_write_through_it(tmp_path):
    values = np.arange(100_000.0)
    npz = replace_atomically(tmp_path / "a.npz", lambda file: np.savez(file, values=values))
    npy = replace_atomically(tmp_path / "a.npy", lambda file: np.save(file, values))
    pt = replace_atomically(tmp_path / "a.pt", lambda file: torch.save(torch.ones(9), file))
    assert np.array_equal(np.load(npz)["values"], values)
    assert np.array_equal(np.load(npy), values)
    assert torch.equal(torch.load(pt, weights_only=True), torch.ones(9))


def test_json_round_trip_keeps_order_and_unicode(tmp_path):
    value = {"name": "Emoji-20ⁱ", "b": [1, 2.5, None], "a": True}
    path = write_json(tmp_path / "a.json", value)
    assert json.loads(path.read_text(encoding="utf-8")) == value
    assert list(json.loads(path.read_text(encoding="utf-8"))) == ["name", "b", "a"]
    assert "ⁱ" in path.read_text(encoding="utf-8")


@pytest.mark.parametrize("value, error", [(float("nan"), ValueError), (object(), TypeError)])
def test_json_that_is_no_json_leaves_the_old_file(old, value, error):
    with pytest.raises(error):
        write_json(old, {"x": value})
    assert only(old)


def test_full_disk_in_the_writer(old):
    with pytest.raises(OSError) as caught:
        replace_atomically(old, full_disk)
    message = str(caught.value)
    assert caught.value.errno == errno.ENOSPC
    assert caught.value.filename == str(old)
    assert "more than 1,000 bytes" in message
    assert "are free there" in message
    assert "untouched" in message and "Mend: free some space" in message
    assert only(old)


def test_full_disk_found_only_by_fsync(old, monkeypatch):
    def no_room(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", no_room)
    with pytest.raises(OSError, match="it needs 1,234 bytes"):
        write_bytes(old, b"x" * 1234)
    assert only(old)


def test_the_content_reaches_the_disk_before_the_name_changes(old, monkeypatch):
    events = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda fd: (events.append("fsync"), fsync(fd)))
    monkeypatch.setattr(os, "replace", lambda a, b: (events.append("replace"), replace(a, b)))
    write_bytes(old, b"new")
    assert events == ["fsync", "replace"]
    assert old.read_bytes() == b"new"


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, SystemExit, RuntimeError("my own")])
def test_interrupted_writer(old, interruption):
    def write(file):
        file.write(b"half")
        raise interruption

    expected = interruption if isinstance(interruption, type) else type(interruption)
    with pytest.raises(expected) as caught:
        replace_atomically(old, write)
    assert not isinstance(caught.value, OSError)
    assert only(old)


def test_interrupted_between_the_last_byte_and_the_name(old, monkeypatch):
    def interrupted(source, target):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_bytes(old, b"new")
    assert only(old)


REAL_LIMIT = """
import contextlib, resource, sys
import numpy as np, torch
from hmnet_lite.files import replace_atomically
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))  # the kernel refuses byte 50,001
values = np.random.default_rng(0).random(100_000)
def swallow(file):  # as libraries do
    with contextlib.suppress(OSError):
        file.write(values.tobytes())
writers = {
    "swallowed": swallow,
    "write": lambda file: file.write(values.tobytes()),
    "numpy.save": lambda file: np.save(file, values),
    "numpy.savez": lambda file: np.savez(file, values=values),
    "torch.save": lambda file: torch.save(torch.from_numpy(values), file),
}
for name, writer in writers.items():
    try:
        replace_atomically(sys.argv[1], writer)
    except OSError as error:
        print(name, "|", error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX limits are used to refuse the bytes")
def test_the_kernel_refuses_and_every_library_gives_the_same_clear_error(old):
    done = subprocess.run(
        [sys.executable, "-c", REAL_LIMIT, str(old)], capture_output=True, text=True, check=True
    )
    lines = done.stdout.splitlines()
    names = [line.split(" | ")[0] for line in lines]
    assert names == ["swallowed", "write", "numpy.save", "numpy.savez", "torch.save"]
    for line in lines:
        assert "no room to write it" in line and str(old) in line
        assert "free some space" in line
    assert only(old)


def test_a_folder_in_the_way(tmp_path):
    folder = tmp_path / "taken"
    folder.mkdir()
    with pytest.raises(IsADirectoryError, match=r"could not write it .*Mend: choose another"):
        write_bytes(folder, b"x")
    assert os.listdir(tmp_path) == ["taken"]
    file = tmp_path / "file"
    file.write_bytes(b"")
    with pytest.raises(OSError, match="Mend: choose another folder"):
        write_bytes(file / "below", b"x")


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX permissions and links")
def test_permissions_are_ordinary_and_links_stay_links(tmp_path):
    plain = tmp_path / "plain"
    plain.write_bytes(b"")
    written = write_bytes(tmp_path / "atomic", b"")
    assert stat.S_IMODE(written.stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)
    link = tmp_path / "link"
    link.symlink_to(plain)
    write_bytes(link, b"through")
    assert link.is_symlink() and plain.read_bytes() == b"through"

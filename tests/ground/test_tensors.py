"""Tensors in a checked file: what goes in comes back, and damage is found."""

import pytest
import torch

from hmnet_lite.tensors import DamagedFile, read_header, read_names, read_tensors, write_tensors

TENSORS = {
    "matrix": torch.arange(6.0).reshape(2, 3).T,  # not contiguous
    "half": torch.ones(3).half(),
    "flags": torch.tensor([True, False]),
    "number": torch.tensor(2.5, dtype=torch.float64),
    "nothing": torch.zeros(0, 4),
}


@pytest.fixture
def path(tmp_path):
    return write_tensors(tmp_path / "x.safetensors", TENSORS, {"kind": "test"})


@pytest.mark.parametrize("mapped", [True, False])
def test_round_trip(path, mapped):
    tensors, header = read_tensors(path, mapped=mapped)
    assert tensors.keys() == TENSORS.keys() == read_names(path)
    assert all(torch.equal(x, TENSORS[name]) for name, x in tensors.items())
    assert header["kind"] == "test" == read_header(path)["kind"]


def test_the_same_tensors_give_the_same_bytes(path, tmp_path):
    twins = [write_tensors(tmp_path / name, TENSORS, {}).read_bytes() for name in "ab"]
    assert twins[0] == twins[1]


def test_every_damage_is_found(path):
    whole = path.read_bytes()
    for at in (-1, -9, len(whole) // 2):
        damaged = bytearray(whole)
        damaged[at] ^= 2
        path.write_bytes(damaged)
        with pytest.raises(DamagedFile):
            read_tensors(path)
    path.write_bytes(whole[:-1])
    with pytest.raises(DamagedFile, match="not a whole safetensors file"):
        read_tensors(path)


def test_what_is_no_file_is_said(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"there is no file .*none"):
        read_header(tmp_path / "none")
    with pytest.raises(DamagedFile):
        read_tensors(tmp_path)

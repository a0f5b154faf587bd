"""Checkpoints: what goes in comes back; what is wrong with a file is said."""

import json
import sys

import pytest
import torch
from safetensors.torch import load_file, save_file

from hmnet_lite import HMNet, HMNetConfig
from hmnet_lite.models.remamba.config import ReMamberConfig
from hmnet_lite.models.remamba.model import ReMamber
from hmnet_lite.tensors import read_header
from hmnet_lite.training.checkpoint import (
    add_facts,
    halve,
    load_checkpoint,
    read_facts,
    read_made,
    save_checkpoint,
    weights_digest,
)
from hmnet_lite.training.runs import KIND

TINY = HMNetConfig(dim=16, depth=2, state=4)


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return HMNet(TINY).eval()


@pytest.fixture
def saved(model, tmp_path):
    return save_checkpoint(model, tmp_path / "net.safetensors", fold=2, seed=7)


def rewritten(path, weights=None, **header):
    """The file with other weights or header fields (None removes one), written by another hand."""
    fields = read_header(path) | header
    fields.pop("checksum", None)
    save_file(
        load_file(path) if weights is None else weights,
        path,
        {name: value for name, value in fields.items() if value is not None},
    )
    return path


def equal(one, other):
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def test_round_trip(model, saved):
    back = load_checkpoint(saved)
    assert back.config == TINY and not back.training and equal(back, model)
    assert read_facts(saved) == {"fold": 2, "seed": 7}
    assert {"commit", "command", "date", "versions"} <= read_made(saved).keys()
    assert saved.stat().st_size < 600_000  # the frozen backbone is not in it


def test_more_facts_leave_the_rest_as_it_is(model, saved):
    made = read_made(saved)
    digest = weights_digest(saved)
    add_facts(saved, metrics={"same": 0.5}, seed=8)
    assert weights_digest(saved) == digest, "a digest is of the weights alone"
    assert read_facts(saved) == {"fold": 2, "seed": 8, "metrics": {"same": 0.5}}
    assert read_made(saved) == made and equal(load_checkpoint(saved), model)
    with pytest.raises(TypeError):
        add_facts(saved, metrics={1, 2})
    assert read_facts(saved)["seed"] == 8
    other = save_checkpoint(HMNet(TINY), saved.with_name("other.safetensors"))
    assert weights_digest(other) != digest


def test_lists_of_json_are_tuples_and_have_the_limit_of_numbers(tmp_path):
    torch.manual_seed(0)
    config = ReMamberConfig(dim=16, depths=(1, 0), inner=16)
    path = save_checkpoint(ReMamber(config), tmp_path / "words.safetensors")
    assert load_checkpoint(path).config == config
    told = json.loads(read_header(path)["config"])
    rewritten(path, config=json.dumps(told | {"depths": [1, 10**9]}))
    with pytest.raises(ValueError, match=r"depths=\(1, 1000000000\), but its weights are"):
        load_checkpoint(path)


def test_a_copy_for_all_names_no_folder_of_the_machine(model, tmp_path, monkeypatch):
    words = ["hmnet", "train", "--begin", "/disk/ann/it's/old.safetensors", "--folds", "1/4"]
    monkeypatch.setattr(sys, "argv", [*words, f"--out={tmp_path}/new.safetensors"])
    own = save_checkpoint(model, tmp_path / "own.safetensors", begin="/disk/ann/old.safetensors")
    copied = halve(own, tmp_path / "copy.safetensors")
    assert str(tmp_path) in read_made(own)["command"]
    told = json.dumps([read_made(copied), read_facts(copied)])
    assert str(tmp_path) not in told and "/disk/ann" not in told
    assert read_facts(copied)["begin"] == "old.safetensors" and "1/4" in told


def test_a_halved_copy_is_read_as_float32(model, saved, tmp_path):
    small = halve(saved, tmp_path / "small.safetensors")
    assert small.stat().st_size < 0.6 * saved.stat().st_size
    assert read_facts(small) == read_facts(saved)
    own, copied = read_made(saved), read_made(small)
    assert own | {"command": ""} == copied | {"command": ""}
    for name, x in load_checkpoint(small).state_dict().items():
        assert x.dtype == model.state_dict()[name].dtype
        assert torch.allclose(x, model.state_dict()[name], rtol=1e-3, atol=1e-6), name
    with torch.no_grad():
        model.decoder.classify.bias[0], kept = 1e6, float(model.decoder.classify.bias[0])
    large = save_checkpoint(model, tmp_path / "large.safetensors")
    with torch.no_grad():
        model.decoder.classify.bias[0] = kept
    with pytest.raises(ValueError, match=r"beyond 65,504, float16's largest: decoder.classify"):
        halve(large, small)
    assert read_facts(small) == read_facts(saved)


def test_where_room_is_short_the_largest_weights_take_a_byte(model, saved, tmp_path):
    size = sum(x.nbytes for x in load_file(saved).values()) // 2
    small = halve(saved, tmp_path / "small.safetensors", most=4 * size // 5)
    written = load_file(small)
    assert sum(x.nbytes for x in written.values()) <= 4 * size // 5
    bytes_of = {name: x.numel() for name, x in written.items() if x.element_size() == 1}
    others = [x.numel() for x in written.values() if x.element_size() > 1]
    assert bytes_of and min(bytes_of.values()) >= max(others)
    read = load_checkpoint(small).state_dict()
    for name in bytes_of:
        off = (read[name] - model.state_dict()[name]).norm() / model.state_dict()[name].norm()
        assert read[name].dtype == torch.float32 and off < 0.05, name


def test_only_networks_of_ours_are_written(tmp_path):
    with pytest.raises(TypeError, match=r"model is a Linear; expected one of HMNet, "):
        save_checkpoint(torch.nn.Linear(2, 2), tmp_path / "x.safetensors")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "prefix", ["module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module."]
)
def test_wrapped_names_are_read(model, saved, prefix):
    wrapped = {prefix + name: x for name, x in load_file(saved).items()}
    assert equal(load_checkpoint(rewritten(saved, wrapped)), model)
    inside = {n.replace("mixer.", "mixer._orig_mod."): x for n, x in load_file(saved).items()}
    assert equal(load_checkpoint(rewritten(saved, inside)), model)


def test_a_wrapped_network_is_written_under_its_own_names(model, tmp_path):
    path = save_checkpoint(torch.nn.DataParallel(model), tmp_path / "net.safetensors")
    assert equal(load_checkpoint(path), model)


def test_older_and_newer_files(model, saved):
    rewritten(saved, facts=None, made=None, network=None)
    assert read_facts(saved) == {} == read_made(saved) and equal(load_checkpoint(saved), model)
    newer = json.dumps(TINY.to_dict() | {"colour": "blue"})
    with pytest.warns(UserWarning, match=r"its config has colour, which this one does not know"):
        assert equal(load_checkpoint(rewritten(saved, config=newer)), model)


def test_bad_files_are_named(tmp_path, model, saved):
    with pytest.raises(FileNotFoundError, match=r"no checkpoint at .*none.safetensors; train one"):
        load_checkpoint(tmp_path / "none.safetensors")
    with pytest.raises(ValueError, match=r"not a whole safetensors file"):
        load_checkpoint(tmp_path)
    whole = saved.read_bytes()
    for damaged in (whole[:1000], b"\x80\x05cos\nsystem\n(S'true'\ntR."):  # no pickle is opened
        saved.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"not a whole safetensors file"):
            load_checkpoint(saved)
    saved.write_bytes(whole[:-50] + bytes([whole[-50] ^ 1]) + whole[-49:])
    with pytest.raises(ValueError, match=r"is damaged: .* checksum.*; copy it again"):
        load_checkpoint(saved)
    saved.write_bytes(whole.replace(model.backbone.fingerprint.encode(), b"0" * 16))
    with pytest.raises(ValueError, match=r"was trained on backbone weights 0000"):
        load_checkpoint(saved)
    save_file({"x": torch.zeros(1)}, saved)
    with pytest.raises(ValueError, match=r"not an hmnet-lite checkpoint"):
        load_checkpoint(saved)


@pytest.mark.parametrize(
    "header, message",
    [
        ({"config": None}, "does not say how its network is built"),
        ({"config": "{"}, "the header of .* is damaged"),
        ({"config": "[1]"}, "where names and values belong"),
        ({"config": '{"dim": 17}'}, "cannot be built: dim=17"),
        ({"config": '{"dim": 16.0}'}, "cannot be built: dim=16.0; expected int"),
        ({"config": '{"dim": 160000000}'}, "dim=160000000, but its weights are [0-9,]+ numbers"),
        ({"config": '{"depth": 100000}'}, "depth=100000, but its weights are"),
        ({"config": '{"zoom": 1}'}, "zoom=1; expected bool"),
        ({"config": "[" * 100_000}, "the header of .* is damaged"),
        ({"kind": KIND}, "is of a training run whose network has no config of ours"),
        ({"kind": KIND, "identity": '{"network": {"class": [1]}}'}, r"holds a \[1\]; this"),
        ({"network": "Other"}, "holds a 'Other'; this version knows HMNet"),
        ({"facts": "nonsense"}, None),
    ],
)
def test_bad_headers_are_named(saved, header, message):
    rewritten(saved, **header)
    if message is None:
        load_checkpoint(saved)
        with pytest.raises(ValueError, match=r"the header of .* is damaged"):
            read_facts(saved)
        return
    with pytest.raises(ValueError, match=message):
        load_checkpoint(saved)


def test_weights_that_do_not_fit_or_are_not_finite_are_named(saved):
    weights = load_file(saved)
    name = "decoder.classify.bias"
    with pytest.raises(ValueError, match=rf"not finite \({name}\)"):
        load_checkpoint(rewritten(saved, weights | {name: torch.tensor([0, float("nan")])}))
    with pytest.raises(ValueError, match=rf"misshapen \['{name} \(3,\) where \(2,\)"):
        load_checkpoint(rewritten(saved, weights | {name: torch.zeros(3)}))
    with pytest.raises(ValueError, match=r"unexpected \['extra'\]"):
        load_checkpoint(rewritten(saved, weights | {"extra": torch.zeros(3)}))
    with pytest.raises(ValueError, match=rf"another kind \({name} int8\); expected floats"):
        load_checkpoint(rewritten(saved, weights | {name: weights[name].to(torch.int8)}))
    with pytest.raises(ValueError, match=rf"not finite \({name}\)"):  # too large for float32
        load_checkpoint(rewritten(saved, weights | {name: weights[name].double() + 1e300}))
    with pytest.raises(ValueError, match=r"holds weights twice"):
        load_checkpoint(rewritten(saved, weights | {f"module.{name}": weights[name].clone()}))
    weights.pop(name)
    with pytest.raises(ValueError, match=rf"missing \['{name}'\]"):
        load_checkpoint(rewritten(saved, weights))

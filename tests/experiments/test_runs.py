"""A run is trained, scored and written once; its file says again what was scored."""

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import torch

from hmnet_lite import HMNet, HMNetConfig
from hmnet_lite.data.emoji.protocol import Protocol
from hmnet_lite.experiments import __main__ as command
from hmnet_lite.experiments import results, runs
from hmnet_lite.experiments.arms import ARMS, Arm
from hmnet_lite.experiments.results import Run
from hmnet_lite.training.checkpoint import load_checkpoint, save_checkpoint
from hmnet_lite.training.config import TrainConfig

TEST = Protocol(episodes=4, image_size=64)
TINY = Arm("tiny", HMNetConfig(dim=16, state=4), TrainConfig(steps=3, batch=2), (0, 1), (1,), 8)
BARE = replace(TINY, name="bare", config=replace(TINY.config, depth=0))


@pytest.fixture(autouse=True)
def small(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HMNET_LITE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setitem(ARMS, "tiny", TINY)
    monkeypatch.setitem(ARMS, "bare", BARE)
    monkeypatch.setattr(runs, "TEST", TEST)
    monkeypatch.setattr(command, "TEST", TEST)


def trained(path, arm=TINY, **facts):
    """A checkpoint that says it was trained as an arm is."""
    torch.manual_seed(0)
    told = {"fold": 1, "seed": 0, "episodes": arm.episodes, "steps": 3}
    told |= facts
    told["train_config"] = replace(arm.train, seed=told["seed"]).to_dict()
    return save_checkpoint(HMNet(arm.config), path, **told)


def test_what_is_written_is_read_back(tmp_path):
    run = Run(TINY, 1, 0)
    written = runs.make_from(run, trained(tmp_path / "net.safetensors"), tmp_path)
    found = results.load(tmp_path)["tiny"]
    assert [result.run for result in found] == [run]
    kept = json.loads(written.read_text())["gaps"]
    assert (
        list(kept) == results.gaps_of({"tiny": found}) == ["same", "sibling", "cross", "held_out"]
    )
    for gap, values in kept.items():
        assert found[0].scores[gap, "right"].episodes == 4
        for shown in ("right", "wrong", "none"):
            assert found[0].miou(gap, shown) == pytest.approx(values[shown], abs=1e-12)
        # a fresh mixer is silent: it hears nothing, so nothing it is shown changes a pixel
        used = results.support_use(found, gap)
        assert used is None or used.mean == 0
    assert found[0].facts["config"] == TINY.config.to_dict()
    assert found[0].facts["protocol"]["fold"] == 1 and "gap" not in found[0].facts["protocol"]


def test_a_network_without_a_mixer_has_nothing_to_mislead(tmp_path):
    runs.make_from(Run(BARE, 1, 0), trained(tmp_path / "net.safetensors", BARE), tmp_path)
    (result,) = results.load(tmp_path)["bare"]
    assert result.miou("same") is not None
    assert result.miou("same", "wrong") is None and result.miou("same", "none") is None


def test_maps_of_what_a_mixer_puts_out_can_be_misled_without_a_block(tmp_path, monkeypatch):
    matched = replace(BARE, name="matched", config=replace(BARE.config, prior="mixed"))
    monkeypatch.setitem(ARMS, "matched", matched)
    runs.make_from(Run(matched, 1, 0), trained(tmp_path / "net.safetensors", matched), tmp_path)
    (result,) = results.load(tmp_path)["matched"]
    wrong, right = (result.scores["same", shown] for shown in ("wrong", "right"))
    assert result.miou("same", "none") is not None
    assert result.miou("same", "state") == right.miou, "it has no state that could be misled"
    assert wrong.counts.tolist() != right.counts.tolist()


def test_a_checkpoint_of_another_run_is_refused_and_finds_its_own(tmp_path):
    path = trained(tmp_path / "net.safetensors", seed=1)
    assert runs.identify(path) == Run(TINY, 1, 1)
    with pytest.raises(ValueError, match=r"is not tiny-fold1-seed0: its seed is 1, not 0"):
        runs.score(Run(TINY, 1, 0), path)
    odd = trained(tmp_path / "odd.safetensors", episodes=9)
    with pytest.raises(ValueError, match=r"the run of no arm.*its episodes is 9, not 8"):
        runs.identify(odd)


def test_the_command_lists_skips_and_tells(tmp_path, capsys):
    where = ["--results", str(tmp_path / "found"), "--checkpoints", str(tmp_path / "nets")]
    trained(tmp_path / "nets" / "tiny-fold1-seed0.safetensors")
    assert command.main(["--only", "tiny", "--seeds", "0", *where]) == 0
    assert "1 runs to make" in capsys.readouterr().out
    for none in (["--seeds", "0"], ["--folds", "0"]):  # one is there, the other is not asked
        assert command.main(["--only", "tiny", *none, *where]) == 0
        assert "0 runs to make" in capsys.readouterr().out
    mine = trained(tmp_path / "mine.safetensors", seed=1)
    assert command.main(["--trained", str(mine), *where]) == 0
    assert (tmp_path / "found" / "tiny-fold1-seed1.json").exists()
    assert command.main(["--only", "tny", *where]) == 2
    assert "Did you mean 'tiny'?" in capsys.readouterr().err
    assert command.main(["--only", "table-3", "--list", *where]) == 0
    listed = capsys.readouterr().out
    assert "table-3:" in listed and "network-srm-qim" in listed and "controls:" not in listed
    assert command.main(["--only", "network-srm-qim", "--list", *where]) == 0
    listed = capsys.readouterr().out
    assert "table-3:" in listed and "controls:" in listed and "size:" not in listed


@pytest.mark.slow
def test_a_run_is_trained_once_and_goes_on(tmp_path, monkeypatch):
    where = dict(results=tmp_path / "found", checkpoints=tmp_path / "nets", progress=False)
    path = runs.make(Run(TINY, 1, 0), **where)
    first = path.read_bytes()
    monkeypatch.setattr(runs.recipes, "train", None)  # would fail
    assert runs.make(Run(TINY, 1, 0), **where) == path and path.read_bytes() == first
    path.unlink()
    runs.make(Run(TINY, 1, 0), **where)  # the network is there: only scored again
    again, before = json.loads(path.read_text()), json.loads(first)
    assert again["gaps"] == before["gaps"] and again["steps"] == 3


@pytest.mark.slow
def test_an_arm_goes_on_from_another_arms_network(tmp_path, monkeypatch):
    still = replace(TINY.train, steps=1, learning_rate=1e-12)
    late = replace(TINY, name="late", train=still, after="tiny")
    monkeypatch.setitem(ARMS, "late", late)
    where = dict(results=tmp_path / "found", checkpoints=tmp_path / "nets", progress=False)
    before = trained(tmp_path / "nets" / "tiny-fold1-seed0.safetensors")
    runs.make(Run(late, 1, 0), **where)
    after = runs.checkpoint_of(Run(late, 1, 0), tmp_path / "nets")
    for name, ours, theirs in pairs(load_checkpoint(after), load_checkpoint(before)):
        torch.testing.assert_close(ours, theirs, msg=name, rtol=0, atol=1e-6)
    assert runs.identify(after).arm.name == "late"


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_network_that_is_gone_is_trained_again(tmp_path, monkeypatch, capsys, workers):
    """Results are kept in git, networks are not: a fresh clone has the one without the other."""
    monkeypatch.setitem(ARMS, "late", replace(TINY, name="late", after="tiny", seeds=(0,)))
    monkeypatch.setattr(command, "ProcessPoolExecutor", in_threads)  # where ARMS is ours, too
    nets, kept = tmp_path / "nets", tmp_path / "found"
    before = runs.make_from(Run(TINY, 1, 0), trained(tmp_path / "tiny.safetensors"), kept)
    first = before.read_bytes()
    asked = ["--only", "tiny", "late", "--seeds", "0", "--workers", workers]
    assert command.main([*asked, "--results", str(kept), "--checkpoints", str(nets)]) == 0
    assert "1 runs to make" in capsys.readouterr().out
    assert (kept / "late-fold1-seed0.json").exists() and before.read_bytes() == first
    assert runs.identify(nets / "tiny-fold1-seed0.safetensors") == Run(TINY, 1, 0)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("learned", "told"),
    [({"hide": "fading"}, "hide is 'fading', not None"), ({"fixed": True}, "fixed is True, not")],
)
def test_an_arm_that_learns_otherwise_is_known(tmp_path, monkeypatch, learned, told):
    odd = replace(TINY, name="odd", **learned)
    monkeypatch.setitem(ARMS, "odd", odd)
    nets = tmp_path / "nets"
    runs.make(Run(odd, 1, 0), results=tmp_path, checkpoints=nets, progress=False)
    path = runs.checkpoint_of(Run(odd, 1, 0), nets)
    assert runs.identify(path).arm.name == "odd"
    with pytest.raises(ValueError, match=f"is not tiny-fold1-seed0: its {told}"):
        runs.score(Run(TINY, 1, 0), path)


@pytest.mark.slow
def test_steps_are_timed_side_by_side_and_only_all_of_them_are_kept(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(command, "KEPT", ("tiny", "bare"))
    kept = tmp_path / "step_times.json"
    assert command.main(["--times", "--only", "bare", "--results", str(tmp_path)]) == 0
    assert "bare: " in capsys.readouterr().out and not kept.exists()
    assert command.main(["--times", "--results", str(tmp_path)]) == 0
    found = json.loads(kept.read_text())
    assert list(found["seconds"]) == ["tiny", "bare"] and found["threads"] >= 1
    assert min(found["seconds"].values()) > 0


def test_hiding_needs_a_budget_of_steps(tmp_path):
    path = tmp_path / "net.safetensors"
    with pytest.raises(ValueError, match="hide='fading' needs a budget of steps; it is 1 minutes"):
        runs.recipes.train(TINY.config, TrainConfig(minutes=1), TEST, path, hide="fading")


def in_threads(workers, context, initialise, values):
    return ThreadPoolExecutor(workers)


def pairs(*networks):
    """The trained weights of two networks, by name."""
    ours, theirs = (dict(network.named_parameters()) for network in networks)
    return [(name, ours[name], theirs[name]) for name in ours if ours[name].requires_grad]

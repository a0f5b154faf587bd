"""The training loop: it learns, repeats, keeps its budget, refuses what would spoil weights."""

import time

import numpy as np
import pytest
import torch
from torch import nn

from hmnet_lite import HMNet, HMNetConfig
from hmnet_lite.tensors import read_tensors
from hmnet_lite.training.config import TrainConfig
from hmnet_lite.training.optimisers import MovingAverage, make_optimisers
from hmnet_lite.training.trainer import Trainer
from tests.training.toy import ToyNet, ToySource, equal, toy_loss, weights


def fit(config, *, model=None, source=None, resume=False, **options):
    model = model or ToyNet()
    trainer = Trainer(
        model, source or ToySource(), config, loss=toy_loss, progress=False, **options
    )
    return trainer.fit(resume=resume), model


def test_it_learns_and_repeats_to_the_last_bit():
    config = TrainConfig(steps=80, batch=4, learning_rate=1e-2)
    (history, net), (again, twin) = fit(config), fit(config)
    assert history.steps == 80 == len(history.seconds) == len(history.metrics["largest"])
    assert np.mean(history.loss[-10:]) < 0.7 * np.mean(history.loss[:10])
    assert history.loss == again.loss and equal(weights(net), weights(twin))
    other, _ = fit(TrainConfig(steps=80, batch=4, learning_rate=1e-2, seed=1))
    assert other.loss != history.loss
    assert not net.training  # left ready to use


def test_the_data_is_read_in_order_of_its_numbers():
    source = ToySource()
    fit(TrainConfig(steps=3, batch=4), source=source)
    assert source.asked == list(range(12))


def test_a_budget_in_minutes_ends_and_does_not_count_the_first_step():
    class Slow(ToySource):
        def batch(self, numbers, seed, device):
            time.sleep(0.3 if 0 in numbers else 0.01)
            return super().batch(numbers, seed, device)

    history, _ = fit(TrainConfig(minutes=0.2 / 60, batch=2), source=Slow())
    assert history.seconds[0] < 0.1 and 0.2 <= history.seconds[-1] < 1
    assert 2 <= history.steps <= 20


def test_callbacks_see_every_step_and_may_stop_it():
    seen = []
    history, net = fit(TrainConfig(steps=5, batch=2), on_step=[seen.append])
    assert [s.number for s in seen] == [1, 2, 3, 4, 5] and seen[-1].done == 1
    assert [s.loss for s in seen] == history.loss and seen[0].model is net

    def stop(step):
        raise StopIteration

    with pytest.raises(StopIteration):
        fit(TrainConfig(steps=5, batch=2), on_step=stop)


def test_workers_give_the_same_batches():
    alone, net = fit(TrainConfig(steps=6, batch=4))
    ahead, twin = fit(TrainConfig(steps=6, batch=4, workers=2))
    assert alone.loss == ahead.loss and equal(weights(net), weights(twin))


def test_bfloat16_trains_and_keeps_float32_weights():
    history, net = fit(TrainConfig(steps=40, batch=4, learning_rate=1e-2, precision="bf16"))
    assert np.mean(history.loss[-5:]) < np.mean(history.loss[:5])
    assert {p.dtype for p in net.parameters()} == {torch.float32}
    plain, _ = fit(TrainConfig(steps=40, batch=4, learning_rate=1e-2))  # the next run is its own
    assert plain.loss != history.loss


def test_fp16_without_a_gpu_is_refused():
    with pytest.raises(ValueError, match=r"precision='fp16' needs a GPU"):
        fit(TrainConfig(steps=1, precision="fp16"))


# ---- what is not finite


def test_an_infinite_gradient_changes_nothing_and_is_counted():
    clean, net = fit(TrainConfig(steps=10, batch=2), model=ToyNet(dropout=0))
    spoilt, twin = fit(
        TrainConfig(steps=10, batch=2),
        source=ToySource({6, 7}, "gradient"),
        model=ToyNet(dropout=0),
    )
    assert spoilt.refused == [3] and clean.refused == []
    assert all(np.isfinite(spoilt.loss)) and spoilt.loss[:4] == clean.loss[:4]
    assert all(p.isfinite().all() for p in twin.parameters())
    assert not equal(weights(net), weights(twin))


def test_gradients_that_are_never_finite_end_it(tmp_path):
    source = ToySource(range(6, 99), "gradient")
    config = TrainConfig(steps=20, batch=2, patience=4)
    with pytest.raises(FloatingPointError, match=r"not finite in the 4 steps up to 6; .*in "):
        fit(config, source=source, folder=tmp_path / "run")


def test_a_loss_that_is_no_number_ends_it_with_the_batch_kept(tmp_path):
    net = ToyNet()
    with pytest.raises(
        FloatingPointError, match=r"the loss is nan at step 3; .*lower learning_rate \(0.003\)"
    ):
        fit(TrainConfig(steps=9, batch=2), source=ToySource({7}), model=net, folder=tmp_path)
    assert all(p.isfinite().all() for p in net.parameters())
    batch, _ = read_tensors(tmp_path / "broken-step-00000003.safetensors")
    assert batch["batch.x"].shape == (2, 8) and batch["batch.x"][1, 0].isnan()


# ---- optimisers


def test_published_optimisers_part_mamba_from_the_rest():
    model = HMNet(HMNetConfig(dim=16, depth=2, state=4))
    config = TrainConfig(optimiser="published", learning_rate=6e-5, sgd_learning_rate=5e-3)
    adamw, sgd = make_optimisers(model, config)
    of = [{id(p) for g in o.param_groups for p in g["params"]} for o in (adamw, sgd)]
    mixer = {id(p) for p in model.mixer.parameters() if p.requires_grad}
    assert of[0] == mixer and not of[1] & mixer
    assert of[0] | of[1] == {id(p) for p in model.parameters() if p.requires_grad}
    assert adamw.param_groups[0]["lr"] == 6e-5 and sgd.param_groups[0]["lr"] == 5e-3
    assert isinstance(sgd, torch.optim.SGD) and sgd.param_groups[0]["momentum"] == 0.9
    plain = [g for g in adamw.param_groups if g["weight_decay"] == 0]
    names = {id(p): n for n, p in model.named_parameters()}
    assert any(names[id(p)].endswith("A_log") for p in plain[0]["params"])


def test_optimisers_name_what_cannot_be_trained():
    with pytest.raises(ValueError, match=r"has no block to train; use optimiser='adamw'"):
        make_optimisers(ToyNet(), TrainConfig(optimiser="published"))
    with pytest.raises(ValueError, match=r"no parameter of Linear wants a gradient"):
        make_optimisers(nn.Linear(2, 2).requires_grad_(False), TrainConfig())


def test_the_average_follows_and_is_what_training_leaves():
    net = nn.Linear(1, 1, bias=False)
    average = MovingAverage(net, 0.5)
    begun = net.weight.item()
    with torch.no_grad():
        net.weight.add_(1)
    average.update(100)
    average.swap()
    assert net.weight.item() == pytest.approx(begun + 0.5)
    average.swap()
    assert net.weight.item() == pytest.approx(begun + 1)
    _, plain = fit(TrainConfig(steps=9, batch=2, ema=None))
    history, averaged = fit(TrainConfig(steps=9, batch=2, ema=0.9))
    assert not equal(weights(plain), weights(averaged)) and history.steps == 9

"""Training configs: one budget, every field checked, schedules."""

import pytest

from hmnet_lite.training.config import STEPS, TrainConfig


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"minutes": 1, "steps": 1}, "give one of the two budgets"),
        ({"steps": -3}, "steps is -3; expected at least 1"),
        ({"minutes": -1}, "minutes is -1; expected a number, more than 0"),
        ({"minutes": float("inf")}, "minutes is inf; expected a number, more than 0"),
        ({"steps": 1, "batch": 0}, "batch is 0; expected at least 1"),
        ({"learning_rate": float("nan")}, "learning_rate is nan"),
        ({"ema": 1.0}, "ema is 1.0; expected a number, at least 0 and less than 1"),
        ({"schedule": "step"}, "schedule is 'step'; expected one of cosine, poly, constant"),
        ({"precision": "float16"}, "expected one of no, bf16, fp16"),
        ({"seed": -1}, "seed is -1"),
    ],
)
def test_bad_fields_are_named(settings, message):
    with pytest.raises(ValueError, match=message):
        TrainConfig(**settings)


@pytest.mark.parametrize("settings", [{"steps": 1.5}, {"batch": True}, {"clip": "1"}])
def test_other_types_are_named(settings):
    with pytest.raises(TypeError, match=rf"{next(iter(settings))} is "):
        TrainConfig(**settings)


def test_steps_are_the_default_budget():
    assert TrainConfig().steps == STEPS and TrainConfig().minutes is None
    assert TrainConfig(minutes=2).steps is None
    assert TrainConfig(**TrainConfig(minutes=2).to_dict()) == TrainConfig(minutes=2)


def test_schedules():
    cosine, constant = TrainConfig(), TrainConfig(schedule="constant")
    assert cosine.rate(0) < 0.05 and cosine.rate(0.05) > 0.99 and cosine.rate(1) < 1e-9
    assert cosine.rate(0.5) == pytest.approx(0.5)
    assert constant.rate(1) == 1 and TrainConfig(warm_up=0).rate(0) == 1
    assert TrainConfig(schedule="poly").rate(0.5) == pytest.approx(0.5**0.9)

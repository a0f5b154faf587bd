"""The checks of notebook 12's exercises: right answers pass, likely mistakes are told apart."""

import pytest
import torch

from hmnet_lite.workbook.exercises import diffusion as exercises


def attention(q, k, v):
    return torch.softmax(q @ k.T / q.shape[-1] ** 0.5, dim=-1) @ v


def fused(q, k, v, ks, vs):
    return attention(q, torch.cat([k, ks]), torch.cat([v, vs]))


def noisy(clean, noise, kept):
    return kept.sqrt() * clean + (1 - kept).sqrt() * noise


@pytest.mark.parametrize(
    "check, answer",
    [("noisy", noisy), ("fused", fused), ("foreground", lambda x, level: x > level * x.max())],
)
def test_right_answers_are_right(check, answer):
    assert getattr(exercises, check)(answer).right is True
    assert getattr(exercises, check)(lambda *_: ...).right is None


@pytest.mark.parametrize(
    "check, answer, said",
    [
        ("noisy", lambda c, n, k: k * c + (1 - k) * n, "weights are square roots"),
        ("noisy", lambda c, n, k: (1 - k).sqrt() * c + k.sqrt() * n, "clean part's share"),
        ("noisy", lambda c, n, k: c, "differs from"),
        ("fused", lambda q, k, v, ks, vs: attention(q, k, v), "nobody hears the support"),
        ("fused", lambda q, k, v, ks, vs: attention(q, ks, vs), "own keys are missing"),
        ("fused", lambda q, k, v, ks, vs: attention(q, k, v) + attention(q, ks, vs), "compete"),
        ("fused", lambda *x: fused(2 * x[0], *x[1:]), "divided by √d"),
        ("fused", lambda *x: fused(*x)[0], "expected one output for each"),
        ("foreground", lambda x, level: x > level, "absolute threshold"),
        ("foreground", lambda x, level: x > 0, "times the brightest"),
        ("foreground", lambda x, level: x, "truth values"),
    ],
)
def test_mistakes_are_named(check, answer, said):
    verdict = getattr(exercises, check)(answer)
    assert verdict.right is False and said in verdict.message

"""The checks of notebook 05's exercises: right answers pass, likely mistakes are told apart."""

import pytest
import torch
import torch.nn.functional as F

from hmnet_lite.scan.selective import selective_scan
from hmnet_lite.workbook.exercises import qim as exercises


def cosines(query, support):
    q, s = F.normalize(query, dim=1), F.normalize(support, dim=1)
    return q @ q.T, q @ s.T


def right_gap(query, support):
    inside, across = cosines(query, support)
    others = ~torch.eye(len(query), dtype=torch.bool)
    return inside[others].mean() - across.mean()


def right_listens(delta, A, C):
    return torch.exp(delta[:, None] * A) * C


def right_mended(y, u, D):
    return y + (D - D[0])[:, None] * u


def right_intercepted(u, delta, A, B, C, D, H_S):
    kept = torch.exp(delta[..., None] * A[:, None]) * H_S[:, None]  # (channels, length, state)
    met = (kept * C.T).sum(-1)
    return met + (B * C).sum(0) * delta * u + D[:, None] * u


def own(u, delta, A, B, C, D, H_S):
    return (B * C).sum(0) * delta * u


def scanned(u, delta, A, B, C, D, H_S):
    start = {"initial_state": H_S[None]}
    return selective_scan(u[None], delta[None], A, B[None], C[None], D, **start)[0]


def silent(u, delta, A, B, C, D, H_S):
    return right_intercepted(u, delta, A, B, C, D, 0 * H_S)


ANSWERS = {
    "gap": right_gap,
    "listens": right_listens,
    "intercepted": right_intercepted,
    "mended": right_mended,
}


def with_itself(query, support):
    inside, across = cosines(query, support)
    return inside.mean() - across.mean()


def not_normalised(query, support):
    others = ~torch.eye(len(query), dtype=torch.bool)
    return (query @ query.T)[others].mean() - (query @ support.T).mean()


def of_the_means(query, support):
    return 1 - torch.cosine_similarity(query.mean(0), support.mean(0), dim=0)


@pytest.mark.parametrize("name", ANSWERS)
def test_right_answers_are_right(name):
    verdict = getattr(exercises, name)(ANSWERS[name])
    assert verdict.right is True, verdict


@pytest.mark.parametrize("name", ANSWERS)
def test_right_answers_are_right_when_gradients_are_off(name):
    with torch.no_grad():
        assert getattr(exercises, name)(ANSWERS[name]).right is True


@pytest.mark.parametrize("name", ANSWERS)
def test_dots_are_not_answered_yet(name):
    check = getattr(exercises, name)
    assert check(...).right is None and check(lambda *_: ...).right is None


@pytest.mark.parametrize(
    "name, answer, said",
    [
        ("gap", with_itself, "1 with itself"),
        ("gap", lambda q, s: -right_gap(q, s), "Turned round"),
        ("gap", not_normalised, "dot products"),
        ("gap", of_the_means, "pair by pair"),
        ("gap", lambda q, s: 0.0, "expected"),
        ("listens", lambda d, A, C: C.expand_as(A), "one step of decay"),
        ("listens", lambda d, A, C: torch.exp(d[:, None] * A), "C still has to read"),
        ("listens", lambda d, A, C: C * torch.exp(-d[:, None] * A), "negative already"),
        ("listens", lambda d, A, C: C, "expected (channels, state) = (3, 2)"),
        ("listens", lambda d, A, C: 0 * A, "in one term only"),
        ("intercepted", scanned, "Start every pixel from H_S anew"),
        ("intercepted", lambda u, d, *x: scanned(u, 0 * d, *x) + own(u, d, *x), "comes first"),
        ("intercepted", lambda *x: right_intercepted(*x) - own(*x), "own (C · B) Δ u is missing"),
        ("intercepted", lambda *x: right_intercepted(*x[:5], 0 * x[5], x[6]), "skip D u"),
        ("intercepted", silent, "support is not heard"),
        ("intercepted", lambda u, *x: 0 * u, "term by term"),
        ("intercepted", lambda u, *x: u[0], "expected (channels, length) = (3, 6)"),
        ("mended", lambda y, u, D: y + D[:, None] * u, "still in it"),
        ("mended", lambda y, u, D: y - (D - D[0])[:, None] * u, "counts twice"),
        ("mended", lambda y, u, D: y, "differ by"),
        ("mended", lambda y, u, D: y[0], "expected (channels, length) = (3, 5)"),
    ],
)
def test_mistakes_are_named(name, answer, said):
    verdict = getattr(exercises, name)(answer)
    assert verdict.right is False and said in verdict.message, verdict

"""The checks of notebook 08's exercises: right answers pass, likely mistakes are told apart."""

import pytest
from torch.nn.functional import cosine_similarity, normalize

from hmnet_lite.workbook.exercises import analysis as exercises


def right_mean_cosine(query, support):
    return normalize(query, dim=1).mean(0) @ normalize(support, dim=1).mean(0)


def right_readings(P, Q, j):
    return sum((P * Q) ** i for i in range(j))


ANSWERS = {"mean_cosine": right_mean_cosine, "readings": right_readings}


@pytest.mark.parametrize("name", ANSWERS)
def test_right_answers_are_right(name):
    assert getattr(exercises, name)(ANSWERS[name]).right is True


@pytest.mark.parametrize("name", ANSWERS)
def test_dots_are_not_answered_yet(name):
    check = getattr(exercises, name)
    assert check(...).right is None and check(lambda *_: ...).right is None


@pytest.mark.parametrize(
    "name, answer, said",
    [
        ("mean_cosine", lambda q, s: cosine_similarity(q.mean(0), s.mean(0), 0), "loud pixel"),
        (
            "mean_cosine",
            lambda q, s: cosine_similarity(*(normalize(x, dim=1).mean(0) for x in (q, s)), 0),
            "shorter than 1",
        ),
        ("mean_cosine", lambda q, s: 0.0, "one by one"),
        ("readings", lambda P, Q, j: right_readings(P, Q, j + 1), "One reading too many"),
        ("readings", lambda P, Q, j: (P * Q) ** (j - 1), "first reading alone"),
        ("readings", lambda P, Q, j: float(j), "P · Q · F + 1"),
    ],
)
def test_mistakes_are_named(name, answer, said):
    verdict = getattr(exercises, name)(answer)
    assert verdict.right is False and said in verdict.message

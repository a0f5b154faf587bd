"""A verdict needs the interval and every seed on one side of zero."""

import pytest

from hmnet_lite.workbook import claims


def claim(mean, low, high, seeds=(), expected=1):
    return claims.Claim("A measure", "it rises", "1 → 2", mean, low, high, seeds, expected)


@pytest.mark.parametrize(
    ("given", "verdict"),
    [
        (claim(2, 1, 3, (1, 3)), claims.HOLDS),
        (claim(2, 1, 3, (-1, 5)), claims.OPEN),
        (claim(2, -1, 5, (1, 3)), claims.OPEN),
        (claim(-2, -3, -1, (-2,)), claims.FAILS),
        (claim(-2, -3, -1, (-2,), expected=-1), claims.HOLDS),
    ],
)
def test_verdicts(given, verdict):
    assert given.verdict == verdict


def test_the_claims_are_those_of_the_kept_numbers():
    found = claims.claims()
    told = claims.make.kept("support_forgetting")["told"]["max cosine: a recap's lift"]
    lift = next(x for x in found if x.text == "a recap lifts it")
    assert lift.seeds == pytest.approx([100 * s for s in told["seeds"]])
    assert lift.low == pytest.approx(100 * told["low"]) and lift.low <= lift.mean <= lift.high
    moved = next(x for x in found if x.text == "SRM + QIM: the mean does not fall")
    fused = claims.make.kept("support_similarity")["panels"]["at the core"]["SRM + QIM"]
    change = [b[2] - a[2] for a, b in zip(*(fused[w]["all"] for w in ("before", "after")),
                                          strict=True)]  # fmt: skip
    assert moved.seeds == pytest.approx([100 * x for x in change], abs=0.1), "gap cross is third"
    assert any("mIoU" in x.group for x in found)


def test_the_table_has_a_line_a_claim():
    lines = claims.table([claim(2, 1, 3, (1, 3)), claim(0, -1, 1)]).splitlines()
    assert len(lines) == 3 and lines[0].startswith("A measure"), "a heading for both"
    assert " ".join(lines[1].split()) == "holds it rises 1 → 2 +2.0 [+1.0, +3.0] +1.0 +3.0"
    assert lines[2].split()[0] == "open"

"""Bad input: the argument is named, with what was given, what was expected and the mend."""

import re

import pytest
import torch

from hmnet_lite.scan.selective import selective_scan
from tests.scan.conformance import NAMES, problem, variant, with_recap

BAD = {
    "u": (torch.zeros(2, 6), "u has shape (2, 6); expected (batch, channels, length)"),
    "delta": (torch.zeros(2, 6, 10), "delta has shape (2, 6, 10); expected"),
    "A": (torch.zeros(5, 4), "A has shape (5, 4); expected (channels=6, state)"),
    "B": (torch.zeros(2, 4, 4, 11), "B has 4 groups, which do not divide the 6 channels"),
    "C": (torch.zeros(2, 2, 3, 11), "C has shape (2, 2, 3, 11); expected"),
    "D": (torch.zeros(5), "D has shape (5,); expected (channels,) = (6,)"),
    "z": (torch.zeros(2, 6, 12), "z has shape (2, 6, 12); expected"),
    "delta_bias": (torch.zeros(1), "delta_bias has shape (1,); expected (channels,)"),
    "initial_state": (torch.zeros(2, 6, 5), "initial_state has shape (2, 6, 5); expected"),
}


@pytest.mark.parametrize("backend", NAMES)
@pytest.mark.parametrize("name", BAD)
def test_wrong_shapes_are_named(name, backend):
    value, message = BAD[name]
    with pytest.raises(ValueError, match=re.escape(message)):
        selective_scan(**problem() | {name: value}, backend=backend)


BAD_RECAP = {
    "not three": (
        lambda keep, state: (keep, state),
        TypeError,
        "recap is a tuple; expected the three",
    ),
    "keep": (
        lambda keep, state: (keep[:1], state, 4),
        ValueError,
        "support_keep has shape (1, 6, 4)",
    ),
    "state": (
        lambda keep, state: (keep, state.mT, 4),
        ValueError,
        "support_state has shape (2, 4, 6)",
    ),
    "dtype": (lambda keep, state: (keep.long(), state, 4), TypeError, "support_keep has dtype"),
    "segment": (
        lambda keep, state: (keep, state, 5),
        ValueError,
        "segment=5 does not divide the 12",
    ),
    "no steps": (
        lambda keep, state: (keep, state, 0),
        ValueError,
        "segment=0 does not divide the 12",
    ),
}


@pytest.mark.parametrize("backend", NAMES)
@pytest.mark.parametrize("wrong", BAD_RECAP)
def test_a_wrong_recap_is_named(wrong, backend):
    change, kind, message = BAD_RECAP[wrong]
    p = with_recap(problem(length=12))
    recap = change(p["support_keep"], p["support_state"])
    with pytest.raises(kind, match=re.escape(message)):
        selective_scan(**problem(length=12), recap=recap, backend=backend)


WRONG = {  # what is done to one argument, and what is said of it
    "a list": (lambda x: x.tolist(), TypeError, "is a list; expected a torch.Tensor"),
    "complex": (lambda x: x.to(torch.complex64), TypeError, "has dtype torch.complex64"),
    "whole numbers": (lambda x: x.long(), TypeError, "has dtype torch.int64"),
    "too exact": (
        lambda x: x.double(),
        TypeError,
        r"has dtype torch.float64 but u has .*\.float\(\)",
    ),
    "elsewhere": (lambda x: x.to("meta"), ValueError, "is on meta but u is on cpu"),
}


@pytest.mark.parametrize("backend", NAMES)
@pytest.mark.parametrize("wrong", WRONG)
def test_wrong_types_and_devices_are_named(wrong, backend):
    change, kind, message = WRONG[wrong]
    p = variant("gate, bias, softplus")
    for name in ("delta", "A", "B", "C", "D", "z", "delta_bias", "initial_state"):
        with pytest.raises(kind, match=f"^{name} {message}"):
            selective_scan(**p | {name: change(p[name])}, backend=backend)

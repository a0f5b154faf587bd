"""What the tests of hybrid Mamba share: two scans of one SSM, and a small mixer."""

import torch

from hmnet_lite import MambaMixer
from tests.scan.conformance import problem

CORE = ("u", "delta", "A", "B", "C", "D")


def scans(support_length=9, query_length=36, **kwargs):
    """Arguments (u, delta, A, B, C, D) of a support and a query scan that share A and D."""
    support = problem(length=support_length, seed=1, **kwargs)
    query = problem(length=query_length, seed=2, **kwargs) | {k: support[k] for k in "AD"}
    return tuple(support[k] for k in CORE), tuple(query[k] for k in CORE)


def small_mixer(**kwargs):
    torch.manual_seed(0)
    return MambaMixer(16, 2, state=4, recap_ratio=2, **kwargs)

"""Checks of the exercises on the intra-class gap and QIM (notebook 05)."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from hmnet_lite.mamba.hybrid import intercept
from hmnet_lite.scan.selective import selective_scan
from hmnet_lite.workbook.exercises.parts import call, exercise


@exercise
def gap(function: Callable[[Tensor, Tensor], float]) -> str:
    """The intra-class gap: mean cosine within the query's FG minus that with the support's FG."""
    generator = torch.Generator().manual_seed(0)
    shared = torch.randn(6, generator=generator)
    query = shared + torch.randn(9, 6, generator=generator)
    support = 0.7 * shared + torch.randn(5, 6, generator=generator)
    q, s = F.normalize(query, dim=1), F.normalize(support, dim=1)
    n = len(query)
    inside, across = (q @ q.T).sum(), (q @ s.T).mean()
    expected = float((inside - n) / (n * n - n) - across)
    given = float(call(function, query, support))

    def near(value: Tensor | float) -> bool:
        return abs(given - float(value)) < 1e-5

    if near(expected):
        alike = float(function(query, query))
        assert alike < 0, (
            f"With the query as its own support the gap is {alike:.3f}; expected less than 0, for "
            "across the two pictures every pixel meets itself."
        )
        return f"{given:.4f}: the query's pixels are that much nearer to each other."
    if near(inside / n**2 - across):
        raise AssertionError(
            "Every pixel has a cosine of 1 with itself; leave those pairs out of the mean."
        )
    if near(-expected):
        raise AssertionError("Turned round: the gap is positive where the query is nearer itself.")
    if near(
        ((query @ query.T).sum() - query.square().sum()) / (n * n - n) - (query @ support.T).mean()
    ):
        raise AssertionError("These are dot products: a cosine divides by both lengths.")
    if near(1 - torch.cosine_similarity(query.mean(0), support.mean(0), dim=0)):
        raise AssertionError(
            "That compares the two mean features; take the mean of the cosines, pair by pair."
        )
    raise AssertionError(f"It gives {given:.4f}; expected {expected:.4f} for 9 and 5 pixels.")


@exercise
def listens(function: Callable[[Tensor, Tensor, Tensor], Tensor]) -> str:
    """How strongly one pixel's output listens to each entry of the support state: ∂y / ∂H_S."""
    u, delta, A, B, C, D, H_S = _pixel(seed=1)
    H_S.requires_grad_()
    with torch.enable_grad():
        y = intercept(u, delta, A, B, C, D, H_S)
        (expected,) = torch.autograd.grad(y.sum(), H_S)
    expected = expected[0]
    given = torch.as_tensor(call(function, delta[0, :, 0], A, C[0, :, 0]))
    assert given.shape == expected.shape, (
        f"It returns {tuple(given.shape)}; expected (channels, state) = {tuple(expected.shape)}: "
        "one number for every entry of the state."
    )
    read = C[0, :, 0].expand_as(expected)
    if torch.allclose(given, expected, atol=1e-5):
        return "The gradient through the package's intercept is the same."
    if torch.allclose(given, read, atol=1e-5):
        raise AssertionError("H_S is not read as it is: one step of decay comes before C does.")
    if torch.allclose(given * read, expected, atol=1e-5):
        raise AssertionError("That is what the step keeps; C still has to read it.")
    if torch.allclose(given, read * torch.exp(-delta[0] * A), atol=1e-5):
        raise AssertionError("A is negative already; so is the exponent of the decay.")
    raise AssertionError(
        "The gradient through `intercept` is another. Look for H_S in the formula: it stands in "
        "one term only, and the derivative is what it is multiplied with."
    )


@exercise
def intercepted(function: Callable[..., Tensor]) -> str:
    """QIM: (u, delta, A, B, C, D, H_S) of one episode → (channels, length)."""
    u, delta, A, B, C, D, H_S = (x[0] if x.ndim == 3 else x for x in _pixel(seed=3, length=6))
    given = torch.as_tensor(call(function, u, delta, A, B, C, D, H_S))
    package = intercept(*(x[None] for x in (u, delta)), A, B[None], C[None], D, H_S[None])[0]
    assert given.shape == package.shape, (
        f"It returns {tuple(given.shape)}; expected (channels, length) = {tuple(package.shape)}."
    )
    if torch.allclose(given, package, atol=1e-5):
        return "The package's intercept says the same: a formula, and no recurrence."
    own, skip = (B * C).sum(0) * delta * u, D[:, None] * u
    undecayed = torch.einsum("cn,nl->cl", H_S, C)
    scan = selective_scan(u[None], delta[None], A, B[None], C[None], D, initial_state=H_S[None])[0]
    for wrong, what in (
        (scan, "That is a scan from H_S: the state goes on from pixel to pixel. Start every pixel "
               "from H_S anew."),
        (undecayed + own + skip, "H_S is read as it is; one step of decay, exp(ΔA), comes first."),
        (package - own, "The pixel's own (C · B) Δ u is missing: it hears the support and itself."),
        (package - skip, "The skip D u is missing."),
        (own + skip, "The support is not heard: H_S stands in no term."),
        (package - own + (B * C).sum(0) * u, "What a pixel writes is Δ B u; a Δ is missing."),
    ):  # fmt: skip
        assert not torch.allclose(given, wrong, atol=1e-5), what
    raise AssertionError(
        "The package's intercept gives another result. Take line (3) of section 4 term by term: "
        "what H_S says, what the pixel says itself, and the skip."
    )


@exercise
def mended(function: Callable[[Tensor, Tensor, Tensor], Tensor]) -> str:
    """QIM's output with Mamba's skip, one D a channel, from the released code's, u and D."""
    *scan, D, H_S = _pixel(seed=2, length=5)
    u = scan[0]
    slipped, right = (intercept(*scan, skip, H_S) for skip in (D[0], D))
    given = torch.as_tensor(call(function, slipped[0], u[0], D))
    assert given.shape == u[0].shape, (
        f"It returns {tuple(given.shape)}; expected (channels, length) = {tuple(u[0].shape)}."
    )
    if torch.allclose(given, right[0], atol=1e-5):
        return "As if the slip had never been made."
    if torch.allclose(given, slipped[0] + D[:, None] * u[0], atol=1e-5):
        raise AssertionError("The wrong skip is still in it: take D[0] u out first.")
    if torch.allclose(given, 2 * slipped[0] - right[0], atol=1e-5):
        raise AssertionError("The wrong way round: now the slip counts twice.")
    raise AssertionError("The two outputs differ by (D - D[0]) u, channel by channel.")


def _pixel(seed: int, length: int = 1) -> tuple[Tensor, ...]:
    """u, delta, A, B, C, D, H_S of 3 channels with 2 entries each."""
    generator = torch.Generator().manual_seed(seed)
    u, B, C = (torch.randn(1, n, length, generator=generator) for n in (3, 2, 2))
    delta = 0.2 + 0.5 * torch.rand(1, 3, length, generator=generator)
    A = -torch.tensor([[0.5, 1.0], [1.0, 2.0], [0.2, 4.0]])
    D = torch.tensor([0.5, 1.0, 1.5])
    return u, delta, A, B, C, D, torch.randn(1, 3, 2, generator=generator)

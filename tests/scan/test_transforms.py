"""torch.func sees through the plain loop, and `auto` takes it there; the rest say so."""

import pytest
import torch

from hmnet_lite import MambaMixer, selective_scan
from hmnet_lite.mamba.hybrid import intercept
from hmnet_lite.scan.backends import choose_backend, is_transformed


@pytest.fixture
def call():
    g = torch.Generator().manual_seed(0)
    u, delta, *BC = (torch.rand(*shape, generator=g) for shape in
                     ((2, 3, 8), (2, 3, 8), (2, 4, 8), (2, 4, 8)))  # fmt: skip
    return u, delta, -torch.rand(3, 4, generator=g), *BC


def test_vmap_maps(call):
    u, *rest = call
    many = torch.stack([u, 2 * u])
    mapped = torch.vmap(lambda x: selective_scan(x, *rest))(many)
    assert torch.allclose(mapped, torch.stack([selective_scan(x, *rest) for x in many]), atol=1e-6)
    A = torch.stack([rest[1], 2 * rest[1]])  # not u, but another argument is mapped
    mapped = torch.vmap(lambda x: selective_scan(u, rest[0], x, *rest[2:]))(A)
    assert mapped.shape == (2, *u.shape) and not torch.allclose(*mapped)


def test_grad_is_autograd_s(call):
    u, *rest = call
    found = torch.func.grad(lambda x: selective_scan(x, *rest).square().sum())(u)
    u = u.clone().requires_grad_()
    selective_scan(u, *rest).square().sum().backward()
    assert torch.allclose(found, u.grad, rtol=1e-4, atol=1e-6)


def test_qim_is_the_same_in_either(call):
    u, delta, A, B, C = call
    D, state = torch.ones(3), torch.rand(2, 3, 4)

    def meet(x):
        return intercept(u, x, A, B, C, D, state).square().sum()

    given = delta.clone().requires_grad_()
    meet(given).backward()
    assert torch.allclose(torch.func.grad(meet)(delta), given.grad, rtol=1e-4, atol=1e-6)


def test_a_whole_mixer_can_be_differentiated_by_its_weights():
    torch.manual_seed(0)
    mixer = MambaMixer(16, depth=2)
    maps = torch.randn(1, 16, 8, 8), torch.randn(1, 16, 8, 8)
    weights = {k: v.detach() for k, v in mixer.named_parameters() if v.requires_grad}

    def loss(given):
        return torch.func.functional_call(mixer, given, maps)[0].square().mean()

    found = torch.func.grad(loss)(weights)
    mixer(*maps)[0].square().mean().backward()
    for name, p in mixer.named_parameters():
        if p.grad is not None:
            assert torch.allclose(found[name], p.grad, rtol=1e-3, atol=1e-6), name


@pytest.mark.parametrize("backend", ["chunked", "cpu"])
def test_the_others_say_what_they_cannot_do(call, backend):
    u, *rest = call
    scan = torch.vmap(lambda x: selective_scan(x, *rest, backend=backend))
    with pytest.raises(ValueError, match=r"torch\.func .*cannot look into it; use backend='auto'"):
        scan(torch.stack([u, u]))


def test_what_auto_takes_is_told(call):
    assert not is_transformed(call[0], None)
    assert choose_backend(call[0], transformed=True)[0] == "reference"


@pytest.mark.parametrize("backend", ["auto", "reference", "chunked", "cpu"])
@pytest.mark.parametrize("place", [0, 2])
def test_sparse_tensors_are_refused_by_name(call, backend, place):
    given = list(call)
    given[place] = given[place].to_sparse()
    with pytest.raises(TypeError, match=r"(u|A) is torch.sparse_coo; expected a dense tensor"):
        selective_scan(*given, backend=backend)

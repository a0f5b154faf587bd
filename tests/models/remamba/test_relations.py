"""How a pixel stands to what the sentence names, and in whose hand things are drawn."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from hmnet_lite.models.backbones import Features
from hmnet_lite.models.remamba.config import ReMamberConfig
from hmnet_lite.models.remamba.model import ReMamber
from hmnet_lite.models.remamba.relations import Relations, likeness, places_of, steps_from
from hmnet_lite.models.remamba.styles import Styles

SIDE = 9  # pixels lie at -1, -0.75, … 1
AXIS = torch.linspace(-1, 1, SIDE)
GRID = places_of(torch.empty(1, 1, SIDE, SIDE))
AT = [(1, 2), (6, 7)]  # rows and columns of two things


def maps(*spots):
    """(1, roles, SIDE, SIDE): a role each, 1 where its things are."""
    found = torch.zeros(1, len(spots), SIDE, SIDE)
    for role, things in enumerate(spots):
        for row, column in things:
            found[0, role, row, column] = 1
    return found


@pytest.fixture
def relations():
    torch.manual_seed(0)
    sure = Relations(16).requires_grad_(False)
    sure.sharp.fill_(4.0)  # e^4: a pixel of the thing outweighs all others
    sure.least.fill_(3.0)
    return sure


def test_steps_are_from_the_one_thing_or_the_middle_of_two(relations):
    one, two = [AT[0]], AT
    assert torch.equal(GRID[0, 0, :, 3], AXIS) and torch.equal(GRID[0, 1, 3], AXIS)
    steps, distance = steps_from(relations.weights(maps(one, two, [])), GRID)
    assert torch.allclose(steps[0, 0, :, 0], AXIS - AXIS[1], atol=1e-4)
    assert torch.allclose(steps[0, 1, 0], AXIS - AXIS[2], atol=1e-4)
    assert distance[0, 0, 1, 2] < 0.01
    assert distance[0, 0, 4, 6] == pytest.approx((0.75**2 + 1) ** 0.5, abs=1e-3)
    middle = [steps[0, 2, 1, 2], steps[0, 2, 6, 7]]  # of the pair: one above, one below
    assert middle == [pytest.approx(-0.625, abs=1e-4), pytest.approx(0.625, abs=1e-4)]


def test_a_thing_is_like_itself_and_those_that_look_the_same(relations):
    looks = torch.zeros(1, 4, SIDE, SIDE)
    looks[0, 0] = 2  # (length says nothing)
    for row, column in AT:  # two things of one style, on a ground of another
        looks[0, :2, row, column] = torch.tensor([0.0, 1.0])
    alike = likeness(relations.weights(maps([AT[0]], [(0, 0)], [])), looks)
    assert alike[0, 0, 6, 7] == pytest.approx(1, abs=1e-4)
    assert alike[0, 0, 4, 4] == pytest.approx(0, abs=1e-4)
    assert alike[0, 1, 4, 4] == pytest.approx(1, abs=1e-4)


def test_the_first_is_the_least_over_the_thing_not_over_the_picture(relations):
    """The leftmost of two: the left one's place, though the picture goes on further left."""
    first = relations.first(maps(AT, []), torch.cat([GRID, -GRID], dim=1))
    ends = [AXIS[1], AXIS[2], -AXIS[6], -AXIS[7]]  # top, leftmost, bottom, rightmost
    assert torch.allclose(first.flatten(), torch.stack(ends), atol=1e-2)


def test_a_network_that_is_given_them_stays_the_same_until_it_learns():
    tiny = ReMamberConfig(dim=16, inner=8, state=4, depths=(0, 0), token_side=4, text_depth=1)
    torch.manual_seed(0)
    without, given = ReMamber(tiny), ReMamber(replace(tiny, relations=True))
    told = given.load_state_dict(without.state_dict(), strict=False)
    new = ("relations.", "styles.", "reading.")
    assert told.missing_keys and all(any(n in key for n in new) for key in told.missing_keys)
    images, text = torch.rand(1, 3, 64, 64), ["the cat left of the bus"]
    before, after = without(images, text), given(images, text)
    assert torch.equal(before, after)
    after.square().sum().backward()
    for block in given.blocks:
        assert block.relations.out.weight.grad.abs().sum() > 0
        torch.nn.init.normal_(block.relations.out.weight)
    assert not torch.allclose(before, given(images, text))


def test_every_parameter_learns():
    torch.manual_seed(0)
    relations = Relations(16)
    torch.nn.init.normal_(relations.out.weight)
    visual, read = torch.randn(2, 16, 5, 6), torch.rand(2, 2, 5, 6)
    out = relations(visual, torch.randn(2, 16), read, torch.randn(2, 5, 5, 6))
    assert out.shape == visual.shape
    out.square().sum().backward()
    for name, weight in relations.named_parameters():
        assert weight.grad.abs().sum() > 0, name


def hands(count, pixels=40):
    """Objects of three hands that differ in which fine channels come together, not in any mean."""
    stream = torch.Generator().manual_seed(count)
    hand = torch.arange(count) % 3
    fine = torch.randn(count, pixels, 4, generator=stream)
    partner = 1 + hand[:, None]
    fine[:, :, 0] = fine.gather(2, partner[:, None].expand(-1, pixels, 1))[..., 0]
    return hand, fine, torch.randn(count, 6, generator=stream)


def test_a_hand_shows_in_which_channels_come_together():
    hand, fine, deep = hands(300)
    styles = Styles(6, 4, 3)
    blank = Features(torch.rand(1, 4, 4, 4), torch.rand(1, 6, 2, 2))
    assert not styles(blank).any()
    products = torch.einsum("npc,npd->ncd", fine, fine) / fine.shape[1]
    styles.fit(deep, products, hand)
    hand, fine, deep = hands(90, pixels=64)  # others than it was fitted to
    drawn = fine.transpose(1, 2).unflatten(2, (8, 8))
    told = styles(Features(drawn, deep[..., None, None].expand(-1, -1, 4, 4)))
    assert told.shape == (90, 3, 4, 4)
    assert (told.mean((2, 3)).argmax(1) == hand).float().mean() > 0.9


def test_the_mean_over_an_object_is_the_objects():
    hand, fine, deep = hands(300)
    styles = Styles(6, 4, 3)
    products = torch.einsum("npc,npd->ncd", fine, fine) / fine.shape[1]
    styles.fit(deep, products, hand)
    shares = F.one_hot(hand, 3).float()
    columns = torch.cat([deep, products.flatten(1)], dim=1)
    weight = torch.cat([styles.of_deep, styles.of_fine.flatten(1)], dim=1)
    whole = columns @ weight.T - styles.shift  # what the ridge regression says of each object
    assert torch.corrcoef(torch.stack([whole.flatten(), (shares - 1 / 3).flatten()]))[0, 1] > 0.8
    picture = Features(fine[:1, :36].transpose(1, 2).unflatten(2, (6, 6)),
                       deep[:1, :, None, None].expand(-1, -1, 3, 3))  # fmt: skip
    one = torch.cat([deep[:1], torch.einsum("npc,npd->ncd", fine[:1, :36], fine[:1, :36])
                     .flatten(1) / 36], dim=1) @ weight.T - styles.shift  # fmt: skip
    assert torch.allclose(styles(picture)[0, :, 1, 1], one[0], atol=1e-4)  # 3 × 3 about the middle

"""Nouns looked for by prototypes: known ones by sight, new ones by likeness."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from hmnet_lite.data.emoji.referring.nouns import names
from hmnet_lite.data.emoji.referring.words import CHANNELS, table
from hmnet_lite.models.remamba.config import ReMamberConfig
from hmnet_lite.models.remamba.grounding import left_out
from hmnet_lite.models.remamba.model import ReMamber
from hmnet_lite.models.remamba.prototypes import Prototypes

FEATURES = 96
NAMES = {i: table()[words[0]] for i, words in names().items()}
BASE = [i for i in NAMES if i % 4]  # as in fold 0: every fourth class is new
NEW = [i for i in NAMES if i % 4 == 0]


def look(ids):
    """Objects whose features are a linear map of their name's meaning and of what each is alone."""
    stream = torch.Generator().manual_seed(0)
    shown = torch.randn(CHANNELS, FEATURES, generator=stream)
    alone = torch.randn(len(NAMES) + 1, FEATURES, generator=stream)
    noise = torch.randn(len(ids), FEATURES, generator=torch.Generator().manual_seed(len(ids)))
    meaning = torch.stack([F.normalize(NAMES[i], dim=0) for i in ids])
    return meaning @ shown + 0.5 * alone[ids] + 0.3 * noise


@pytest.fixture(scope="module")
def fitted():
    grounding = Prototypes(FEATURES, CHANNELS)
    grounding.fit(look(BASE * 8), torch.tensor(BASE * 8), NAMES)
    return grounding


def picked(grounding, ids, word, part=0):
    """Class of the object among these that a word's map is highest on."""
    deep = look(ids).T[None, :, None]
    maps = grounding(deep, table()[word][None, None], torch.tensor([part]))
    return ids[maps[0, 0, 0].argmax()]


def test_unfitted_it_answers_zeros():
    grounding = Prototypes(FEATURES, CHANNELS)
    deep, vectors = torch.rand(2, FEATURES, 3, 5), torch.randn(2, 4, CHANNELS)
    maps = grounding(deep, vectors)
    assert maps.shape == (2, 4, 3, 5) and not maps.any()


def test_known_classes_are_known_by_sight(fitted):
    right = [picked(fitted, BASE, names()[i][0]) == i for i in BASE]
    assert sum(right) >= 0.95 * len(right)


def test_new_classes_are_found_by_what_they_are_like_and_are_not(fitted):
    crowds = [(i, [i, *BASE[k : k + 4]]) for k, i in enumerate(NEW)]
    right = [picked(fitted, ids, names()[i][0]) == i for i, ids in crowds]
    assert sum(right) >= 0.7 * len(right)  # one in five by chance


def test_a_kind_is_looked_for_by_its_members(fitted):
    """A cat is an animal, a bus is none; a thing is anything."""
    of = {words[0]: i for i, words in names().items()}
    animal, vehicle = (
        next(of[word] for word in words if of.get(word) in BASE)
        for words in (("cat", "dog", "pig", "cow"), ("bus", "taxi", "bicycle", "truck"))
    )
    assert picked(fitted, [animal, vehicle], "animal") == animal
    assert picked(fitted, [vehicle, animal], "vehicle") == vehicle
    deep = look([animal, vehicle]).T[None, :, None]
    assert (fitted(deep, table()["thing"][None, None])[0, 0] > 0.5).all()


def test_a_part_left_out_is_as_if_never_met(fitted):
    one = BASE[3]
    deep, word = look([one]).T[None, :, None], table()[names()[one][0]][None, None]
    known = fitted(deep, word)
    new = fitted(deep, word, torch.tensor([left_out(one)]))
    other = fitted(deep, word, torch.tensor([left_out(one) % 6 + 1]))
    assert new < known and torch.allclose(other, known, atol=0.2) and other > new


def test_a_token_that_is_no_noun_gets_nothing(fitted):
    vectors = torch.stack([torch.zeros(CHANNELS), NAMES[BASE[0]]])[None]
    maps = fitted(look(BASE[:2]).T[None, :, None], vectors)
    assert not maps[0, 0].any() and maps[0, 1].any()


def test_a_network_may_look_by_prototypes():
    tiny = ReMamberConfig(dim=16, inner=8, state=4, token_side=4, depths=(0,), text_depth=1)
    with pytest.raises(ValueError, match="prototypes and local_scaling; expected one of them"):
        replace(tiny, prototypes=True, local_scaling=True)
    model = ReMamber(replace(tiny, prototypes=True)).eval()
    with torch.inference_mode():
        assert model(torch.rand(1, 3, 64, 64), ["the red bus"]).shape == (1, 2, 64, 64)
    assert "grounding.weight" not in model.state_dict()

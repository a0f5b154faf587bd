"""ReMamber-lite: sentences in, masks out; the published depths; grounding that knows new nouns."""

from dataclasses import replace

import pytest
import torch

from hmnet_lite.models.remamba.config import ReMamberConfig
from hmnet_lite.models.remamba.grounding import PARTS, Grounding, left_out
from hmnet_lite.models.remamba.model import Block, ReMamber
from hmnet_lite.record import Recorder

TINY = ReMamberConfig(dim=16, inner=8, state=4, token_side=4, depths=(1, 1), text_depth=1)


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return ReMamber(TINY).eval()


def test_words_decide_the_answer(model):
    image = torch.rand(1, 3, 64, 96).expand(2, -1, -1, -1)
    with torch.inference_mode(), Recorder() as seen:
        logits = model(image, ["the red bus", "the cat below the bus"])
    assert logits.shape == (2, 2, 64, 96)
    assert not torch.allclose(logits[0], logits[1])
    twisted = [block for block in seen.blocks if "cube_spatial" in block]
    assert len(twisted) == 2 and twisted[0]["cube"].shape == (2, 48, 4, 6)


def test_a_batch_is_its_sentences_one_by_one(model):
    image, texts = torch.rand(2, 3, 64, 64), ["the bus", "the smaller of the two cats"]
    with torch.inference_mode():
        together = model(image, texts)
        alone = torch.cat([model(image[i : i + 1], texts[i : i + 1]) for i in range(2)])
    assert torch.allclose(together, alone, atol=1e-4)


@pytest.mark.parametrize(
    ("sentences", "message"),
    [
        ("the bus", "one string for 1 pictures; expected a list with one each"),
        (["the bus", "the cat"], "2 sentences for 1 pictures"),
        ([""], "the sentence is empty"),
        (["the blorgle"], "'blorgle': not among"),
    ],
)
def test_bad_sentences_are_told(model, sentences, message):
    with pytest.raises(ValueError, match=message):
        model(torch.rand(1, 3, 64, 64), sentences)


def test_the_text_encoder_is_small(model):
    default = ReMamber()
    assert sum(p.numel() for p in default.text.parameters()) < 1_000_000
    assert sum(p.numel() for p in default.parameters() if p.requires_grad) < 2_000_000


def test_the_published_depths_can_be_built():
    depths = [len(Block(TINY, depth).vss) for depth in (2, 2, 15, 2)]
    assert depths == [2, 2, 15, 2]


def test_everything_that_is_trained_gets_a_gradient(model):
    picture = model.backbone(torch.rand(2, 3, 64, 64))
    told = zip(*(model.words(text) for text in ("the bus", "a cat")), strict=True)
    model.zero_grad()
    model.segment(picture, *(torch.stack(x) for x in told), torch.tensor([0, 2])).sum().backward()
    without = [n for n, p in model.named_parameters() if p.requires_grad and p.grad is None]
    assert not without


def test_grounding_carries_over_to_nouns_it_was_not_fitted_to():
    """Pictures that are a linear map of meanings: a new noun is found through its vector."""
    torch.manual_seed(3)
    words, shown = torch.randn(40, 8), torch.randn(8, 24)
    classes = torch.arange(1, 31).repeat(6)
    vectors = {i: words[i - 1] for i in range(1, 41)}
    look = words @ shown
    objects = look[classes - 1] + 0.05 * torch.randn(len(classes), 24)
    grounding = Grounding(24, 8)
    assert not grounding(look[:1, :, None, None], words[None, :1]).any()  # unfitted
    grounding.fit(objects, classes, vectors)
    new = look[30:, :, None, None]  # ten classes that it has not met
    answers = grounding(new, words[None, 30:].expand(10, -1, -1))[..., 0, 0]
    assert (answers.argmax(1) == torch.arange(10)).float().mean() > 0.8
    part = torch.full((10,), left_out(31))
    assert not torch.equal(grounding(new, words[None, 30:].expand(10, -1, -1), part)[..., 0, 0],
                           answers)  # fmt: skip
    assert {left_out(i) for i in range(1, 81)} == set(range(1, PARTS + 1))


def test_colours_are_found_where_they_are_named():
    """Features that are a linear map of colours' shares; the map of a token is of its colour."""
    torch.manual_seed(4)
    shares, shown = torch.rand(200, 3).softmax(1), torch.randn(3, 24)
    objects = shares @ shown + 0.01 * torch.randn(200, 24)
    grounding = Grounding(24, 8, colours=3)
    grounding.fit(objects, torch.arange(200) % 5, {i: torch.randn(8) for i in range(5)})
    grounding.fit_colours(objects, shares)
    picture = (torch.eye(3) @ shown).T[None, :, None]  # three pixels, each of one colour
    named = torch.tensor([[0, 2, 1, 3]])
    found = grounding(picture, torch.zeros(1, 4, 8), colours=named)[0, :, 0]
    assert not found[0].any() and found[1:].argmax(1).tolist() == [1, 0, 2]
    assert not grounding(picture, torch.zeros(1, 4, 8)).any()


def test_a_network_may_look_for_colours(model):
    torch.manual_seed(0)
    coloured = ReMamber(replace(TINY, colours=True)).eval()
    coloured.grounding.colour.normal_()
    with torch.inference_mode(), Recorder() as seen:
        coloured(torch.rand(1, 3, 64, 64), ["the red bus"])
    heard = seen.network["grounded"][0].flatten(1).any(1).tolist()
    assert heard[:4] == [False, True, False, False]  # the bus: its regression is not fitted
    assert not hasattr(model.grounding, "colour")  # a network without has the same names as ever


def test_local_scaling_takes_off_what_a_pixel_shares_with_its_nearest_words():
    torch.manual_seed(5)
    others, deep = torch.randn(6, 8), torch.randn(2, 24, 3, 4)
    plain, scaled = Grounding(24, 8), Grounding(24, 8, others=others)
    state = {name: torch.randn_like(x) for name, x in plain.state_dict().items()}
    for grounding in (plain, scaled):
        grounding.load_state_dict(state)  # the words are no weights
    vectors = torch.randn(2, 3, 8) * torch.tensor([1, 0, 1])[:, None]
    words = plain(deep, others.expand(2, -1, -1)).topk(2, dim=1).values.mean(1, keepdim=True)
    expected = plain(deep, vectors) - words / 2 * torch.tensor([1, 0, 1])[:, None, None]
    torch.testing.assert_close(scaled(deep, vectors), expected)

"""oIoU, mIoU and precision by hand; floors that hear what they say they hear."""

import numpy as np
import pytest
import torch

import hmnet_lite
from hmnet_lite.data.emoji.referring.dataset import EmojiReferring
from hmnet_lite.models.remamba.config import ReMamberConfig
from hmnet_lite.models.remamba.model import ReMamber
from hmnet_lite.scoring.by_words import Asked, doubt
from hmnet_lite.scoring.referring import (
    FLOORS,
    ReferringScores,
    evaluate_referring,
    score_misled,
    score_model,
    sentence_use,
    wrong_sentence,
)
from hmnet_lite.scoring.segment import Answer

SCENES = EmojiReferring(0, "seen", length=6, image_size=96)


def scores_of(*rows):
    scores = ReferringScores()
    for found, truth, kind in rows:
        scores.update(np.array(found), np.array(truth), kind)
    return scores


def test_scores_by_hand():
    scores = scores_of(([[1, 1, 1, 1]], [[1, 1, 1, 0]], "name"), ([[1, 0]], [[1, 1]], "rank"))
    assert scores.oiou == pytest.approx(4 / 6) and scores.miou == pytest.approx((0.75 + 0.5) / 2)
    assert scores.precision(0.5) == 0.5 and scores.precision(0.7) == 0.5
    assert scores.only("rank").oiou == 0.5
    assert scores.to_dict() == {
        "sentences": 2, "oIoU": 66.67, "mIoU": 62.5, "P@0.5": 50, "P@0.7": 50, "P@0.9": 0,
    }  # fmt: skip


def test_nothing_to_find_and_nothing_found_is_right():
    scores = scores_of(([[0, 0]], [[0, 0]], "name"))
    assert scores.ious.tolist() == [1.0]
    with pytest.raises(ValueError, match="no oIoU after 1 sentences"):
        _ = scores.oiou
    with pytest.raises(ValueError, match=r"a mask of \(1, 3\); expected \(1, 2\)"):
        scores.update(np.zeros((1, 3)), np.zeros((1, 2)), "name")


def test_floors_hear_what_they_say():
    def perfect(scene, sentence):
        return scene.mask(sentence)

    scores = evaluate_referring({**FLOORS, "perfect": perfect}, SCENES)
    assert scores["perfect"].oiou == 1 == scores["relation ignored"].only("name").oiou
    relational = {name: each.only("rank", "relation") for name, each in scores.items()}
    assert relational["relation ignored"].oiou < 0.8
    for name in ("largest object", "every object"):
        assert scores[name].oiou < scores["relation ignored"].oiou
    scene = SCENES[0]
    for name in ("largest object", "every object"):
        answers = [FLOORS[name](scene, sentence) for sentence in scene.sentences]
        assert all(np.array_equal(answers[0], answer) for answer in answers)


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return ReMamber(ReMamberConfig(dim=16, inner=8, state=4, depths=(0,), token_side=4)).eval()


def test_a_network_is_scored_beside_the_floors(model, tmp_path, monkeypatch):
    monkeypatch.setenv("HMNET_LITE_CACHE", str(tmp_path))
    scores = score_model(model, SCENES, progress=False)
    assert scores.keys() == {*FLOORS, "model"}
    assert len({len(each.rows) for each in scores.values()}) == 1


def test_a_network_is_asked_wrong_sentences(model, tmp_path, monkeypatch):
    monkeypatch.setenv("HMNET_LITE_CACHE", str(tmp_path))
    told = [SCENES.told(index)[1] for index in range(len(SCENES))]
    for index, sentences in enumerate(told):
        for own in sentences:
            other = wrong_sentence(told, index, own.class_id)
            assert other.class_id != own.class_id and other not in sentences
    right = score_model(model, SCENES, floors=False, progress=False)["model"]
    wrong = score_misled(model, SCENES, progress=False)
    assert wrong.kinds == right.kinds and wrong.rows != right.rows
    use = sentence_use(right, wrong)
    lost, low, high = use["minus wrong"]
    assert lost == pytest.approx(right.oiou - wrong.oiou) and low <= lost <= high
    with pytest.raises(ValueError, match="all 1 scenes name class"):
        wrong_sentence(told[:1], 0, told[0][0].class_id)


def test_a_sentence_is_asked_of_any_picture(model):
    asked = Asked(model, "the smaller of the two buses", side=64)
    answer = asked.find(np.random.default_rng(0).integers(0, 255, (90, 120, 3), dtype=np.uint8))
    assert answer.mask().shape == (90, 120)


def test_the_package_s_own_segment_takes_a_text(model):
    picture = np.random.default_rng(0).integers(0, 255, (90, 120, 3), dtype=np.uint8)
    text = "the smaller of the two buses"
    found = hmnet_lite.segment(model, picture, text=text, side=64)
    assert np.array_equal(found, Asked(model, text, side=64).find(picture).mask())
    with pytest.raises(TypeError, match="a ReMamber, which is told what to find: text="):
        hmnet_lite.segment(model, picture, picture, picture[..., 0] > 99)


@pytest.mark.parametrize(
    ("text", "side", "message"),
    [
        ("", None, "the sentence is empty"),
        ("the blorgle", None, r"'blorgle': .*pip install --no-deps"),
        ("der rote Bus", None, r"these words are not known; expected .* English.* cat'$"),
        ("the 🚌", None, "signs are not read; say it in words$"),
        ("not the bus", None, "say what is to be found, not what is not$"),
        ("the red", None, "'the red' names no thing; say what to find"),
        ("the bus " * 5000, None, "has 10,000 words"),
        ("the bus", 100, "side is 100; expected a multiple of 16"),
    ],
)
def test_bad_questions_are_told(model, monkeypatch, text, side, message):
    monkeypatch.setattr("hmnet_lite.scoring.by_words.pretrained_words", lambda: None)
    with pytest.raises(ValueError, match=message):
        Asked(model, text, side=side)


def test_another_network_is_refused():
    with pytest.raises(TypeError, match="the model is a Linear, which reads no sentences"):
        Asked(torch.nn.Linear(1, 1), "the bus")


def test_doubt_is_told_where_a_sentence_fits_two_things_or_none():
    margin = np.full((20, 20), -1, np.float32)
    assert doubt(Answer(margin, (20, 20))).startswith("nothing fits")
    margin[2:8, 2:8] = 1
    assert doubt(Answer(margin, (20, 20))) == ""
    margin[12:17, 12:17] = 1
    assert doubt(Answer(margin, (20, 20))).startswith("2 places fit about equally")
    margin[12:17, 12:17] = -0.5  # nearly found: not in the mask, but in doubt
    assert doubt(Answer(margin, (20, 20))).startswith("2 places fit about equally")
    margin[12:17, 13:17] = -1  # a crumb is no rival
    assert doubt(Answer(margin, (20, 20))) == ""

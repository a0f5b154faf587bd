"""Say it: answers and cubes are the network's own."""

import matplotlib

matplotlib.use("Agg")

import numpy as np

from hmnet_lite.analysis.twisting import STEPS, watch
from hmnet_lite.workbook.widgets.twister import ask, say_it


def test_the_picture_holds_the_answers_and_the_cubes(reader, told):
    live = say_it(reader, told)
    assert live.topic == "twister" and live.still.startswith(b"\x89PNG")
    assert [len(scene["sentences"]) for scene in live.data["scenes"]] == [2, 2]
    scene, kept = told[1], live.data["scenes"][1]["sentences"][1]
    sentence = scene.sentences[1]
    seen = watch(reader, scene.image, sentence.text)
    assert kept["text"] == sentence.text
    assert np.array_equal(kept["mask"], scene.mask(sentence)[::2, ::2])
    assert np.abs(kept["answer"] / 255 - seen.probability[::2, ::2]).max() < 2.1e-3
    assert kept["cube"].shape == (len(seen.colours), len(STEPS), 3, 8, 8, 3)
    last = seen.colours[-1]["spatial scan"]
    assert np.abs(kept["cube"][-1, -1] / 255 - last).max() < 2.1e-3


def test_a_typed_sentence_is_read_and_one_that_cannot_be_is_answered(reader, told):
    *knobs, image = ask(reader, told[0].image, "the house").children
    sentence, block = knobs
    first = bytes(image.value)
    assert first.startswith(b"\xff\xd8") and not sentence.continuous_update
    for text in ("the octopus", "the blorgle", ""):
        sentence.value = text
        assert bytes(image.value) != first
    sentence.value = "the house"
    assert bytes(image.value) == first
    if block.max > 1:
        block.value = 1
        assert bytes(image.value) != first

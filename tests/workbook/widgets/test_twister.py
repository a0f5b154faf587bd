"""Say it: answers and cubes are the network's own."""

import matplotlib

matplotlib.use("Agg")

import numpy as np

from hmnet_lite.analysis.twisting import STEPS, watch
from hmnet_lite.workbook.widgets.twister import say_it


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

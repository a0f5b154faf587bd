"""Say it: sentences about one scene, the answers, and the cube on its way through a block."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hmnet_lite.analysis.twisting import PARTS, STEPS, watch
from hmnet_lite.data.emoji.referring.dataset import ReferringScene
from hmnet_lite.models.remamba.model import ReMamber
from hmnet_lite.scoring.metrics import mask_iou
from hmnet_lite.workbook.figures.task import paint_prediction, picture_table
from hmnet_lite.workbook.figures.twister import quoted
from hmnet_lite.workbook.widgets.live import Live, as_bytes, seen_as, still


def say_it(model: ReMamber, scenes: Sequence[ReferringScene], *, coarse: int = 2) -> Live:
    """See how the words decide.

    Controls: the scene, the sentence, the block whose cube is shown, the threshold of the mask.

    Args:
        model: with the twister, its scans in the paper's order.
        scenes: with at least two sentences each; all have as many as the one that has fewest.
        coarse: answers are kept at the picture's side over this.
    """
    count = min(len(scene.sentences) for scene in scenes)
    data = {
        "parts": list(PARTS),
        "steps": list(STEPS),
        "scenes": [_scene(model, scene, count, coarse) for scene in scenes],
    }
    alt = "Answers to sentences about one scene, and the cube's three parts before and after scans"
    return Live("twister", data, still(_still(data)), alt)


def _scene(model: ReMamber, scene: ReferringScene, count: int, coarse: int) -> dict[str, Any]:
    told = []
    for sentence in scene.sentences[:count]:
        seen = watch(model, scene.image, sentence.text)
        truth = scene.mask(sentence)[::coarse, ::coarse]
        told.append(
            {
                "text": sentence.text,
                "mask": np.ascontiguousarray(truth),
                "answer": as_bytes(seen.probability[::coarse, ::coarse]),
                # (block, step, part, h, w, 3)
                "cube": as_bytes(
                    np.stack([[block[step] for step in STEPS] for block in seen.colours])
                ),
            }
        )
    picture = seen_as(scene.image, np.zeros(scene.labels.shape, np.uint8))["image"]
    return {"image": picture, "sentences": told}


def _still(data: Mapping[str, Any]) -> Any:
    """The first scene: a column a sentence, answers above, the last cube's visual part below."""
    scene = data["scenes"][0]
    told = scene["sentences"][:3]
    image = scene["image"].image
    coarse = image.shape[0] // told[0]["mask"].shape[0]
    answers = [paint_prediction(image[::coarse, ::coarse], t["answer"] > 127, t["mask"])
               for t in told]  # fmt: skip
    scores = [mask_iou(t["answer"] > 127, t["mask"]) or 0 for t in told]
    cubes = [np.repeat(np.repeat(t["cube"][-1, -1, 0], 8, 0), 8, 1) for t in told]
    return picture_table(
        {"answer": answers, "visual part,\nlast block": cubes},
        [quoted(t["text"], 26) for t in told],
        captions={"answer": [f"IoU {100 * s:.0f} %" for s in scores]},
    )

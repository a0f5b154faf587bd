"""Say it: sentences about one scene, the answers, and the cube on its way through a block."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from hmnet_lite.analysis.twisting import PARTS, STEPS, Twisting, watch
from hmnet_lite.data.emoji.referring.dataset import ReferringScene
from hmnet_lite.models.remamba.model import ReMamber
from hmnet_lite.scoring.metrics import mask_iou
from hmnet_lite.workbook.figures.task import paint_prediction, picture_table
from hmnet_lite.workbook.figures.twister import quoted, said
from hmnet_lite.workbook.widgets.live import Live, as_bytes, seen_as, still
from hmnet_lite.workbook.widgets.parts import jpeg, live_picture


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


def ask(model: ReMamber, image: np.ndarray, text: str = "the lowest building") -> Any:
    """Type a sentence: what it names in a picture, and the cube of a block on its way.

    Controls: the sentence, which is read when Enter is pressed; the block. A sentence that cannot
    be read is answered by the reason. It needs a running kernel, for the network reads.

    Args:
        model: with the twister, its scans in the paper's order.
        image: (H, W, 3) uint8, sides multiples of 16.
        text: the first sentence.
    """
    import ipywidgets

    @lru_cache(maxsize=8)
    def read(text: str) -> Twisting | str:
        try:
            return watch(model, image, text)
        except ValueError as error:
            return str(error)

    def draw(sentence: str, block: int) -> bytes:
        found = read(sentence)
        if isinstance(found, str):
            return jpeg(said(image, sentence, None, {}, found), dpi=62)
        note = f"{found.mask.mean():.1%} of the picture; block {block}"
        return jpeg(said(image, sentence, found.mask, found.colours[block - 1], note), dpi=62)

    wide = {"style": {"description_width": "70px"}, "layout": {"width": "480px"}}
    return live_picture(
        draw,
        sentence=ipywidgets.Text(text, description="sentence", continuous_update=False, **wide),
        block=ipywidgets.IntSlider(
            len(model.blocks), 1, len(model.blocks), description="block", **wide
        ),
    )


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

"""A mask for a picture of one's own, from a sentence.

model = hmnet_lite.load("remamber-fold0")
answer = Asked(model, "the red bus left of the cat").find("street.jpg")
answer.mask()                                  # (height, width) bool
doubt(answer)                                  # "" or a line: two places fit about equally
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from scipy import ndimage
from torch import nn

from hmnet_lite.data.emoji.referring.words import UnknownWords
from hmnet_lite.models.features import to_tensor
from hmnet_lite.models.remamba.minilm import MEND, pretrained_words
from hmnet_lite.models.remamba.model import ReMamber
from hmnet_lite.scoring.pictures import Picture, read_picture
from hmnet_lite.scoring.segment import SIDE, Answer, check_side, margins_of, one_look

RIVAL = 0.5  # a second place that is at least so large beside the first
NEARLY = -1.0  # margin of what was nearly found: it counts as a place, though not as mask


class Asked:
    """A sentence, read once, to find what it names in many pictures.

    Args:
        model: a `ReMamber`.
        text: the sentence, in English. Words that the shipped table does not hold are understood
            where the pretrained sentence encoder is installed (`models/remamba/minilm.py`).
        side: of the square that a picture is fitted into, a multiple of 16; 256 when None.

    Raises:
        TypeError: another network.
        ValueError: a sentence that is empty, too long or not understood; a side of another kind.
    """

    def __init__(self, model: nn.Module, text: str, *, side: int | None = None):
        if not isinstance(model, ReMamber):
            raise TypeError(
                f"the model is a {type(model).__name__}, which reads no sentences; expected a "
                "ReMamber, such as remamber-fold0"
            )
        self.model, self.side = model.eval(), check_side(SIDE if side is None else side)
        try:
            told = model.words(text)
        except UnknownWords as error:
            if not error.english:
                raise
            words = pretrained_words()
            if words is None:
                raise UnknownWords(f"{error} (or, for any word: {MEND})", error.words) from None
            told = words(text)
        device = next(model.parameters()).device
        self._told = tuple(x[None].to(device) for x in told)

    @torch.inference_mode()
    def find(self, query: Any) -> Answer:
        """The network's answer for one picture: a path, PIL, or an array as in `segment`."""
        picture = query if isinstance(query, Picture) else read_picture(query, "query")
        return one_look(picture, self.side, self._margins)

    def _margins(self, squares: np.ndarray) -> np.ndarray:
        image = to_tensor(squares[0])[None].to(self._told[0].device)
        logits = self.model.segment(self.model.backbone(image), *self._told)
        return margins_of(
            nn.functional.interpolate(
                logits, image.shape[-2:], mode="bilinear", align_corners=False
            )
        )


def doubt(answer: Answer) -> str:
    """A line where nothing was found, or where two places of like size were, or nearly were.

    Two places are what a sentence gives that fits two objects; nothing is what one gives that fits
    none.
    """
    places, _ = ndimage.label(answer.margin > NEARLY)
    if not (answer.margin > 0).any():
        return "nothing fits; name what is there, or with other words"
    sizes = np.sort(np.bincount(places.ravel())[1:])[::-1]
    several = int((sizes >= RIVAL * sizes[0]).sum())
    if several < 2:
        return ""
    return f"{several} places fit about equally; say which, such as 'the left one of the …'"

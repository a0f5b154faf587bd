"""Mask it yourself: mark a thing in one picture, find it in others. Needs a kernel.

Pictures are encoded once, when they come; a new mark costs the small trained part only, and the
threshold is the page's own affair.
"""

from __future__ import annotations

import base64
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anywidget
import numpy as np
import torch
import torch.nn.functional as F
import traitlets

from hmnet_lite.data.photos.pictures import BadImage
from hmnet_lite.data.photos.transform import fit
from hmnet_lite.models.features import Features, to_tensor
from hmnet_lite.models.lite import HMNet
from hmnet_lite.scoring.pictures import read_picture
from hmnet_lite.scoring.segment import SIDE, check_side
from hmnet_lite.workbook.widgets import live
from hmnet_lite.workbook.widgets.live import Picture, in_steps, kind_of, pack, still


@dataclass(frozen=True, eq=False)
class Encoded:
    """A picture, fitted into the network's square, and what the backbone says about it."""

    image: np.ndarray  # (h, w, 3) uint8, the longer side the square's
    features: Features

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of `image`."""
        return self.image.shape[0], self.image.shape[1]


class Search:
    """The network, asked about pictures that are encoded once.

    Args:
        model: an HMNet-lite.
        side: of the square that pictures are fitted into, a multiple of 16.
    """

    def __init__(self, model: HMNet, *, side: int = SIDE):
        self.model, self.side = model.eval(), check_side(side)

    @torch.inference_mode()
    def encode(self, picture: Any) -> Encoded:
        """Read (large files at a part of their size), fit, and encode; errors of `read_picture`."""
        small = read_picture(picture).fitted(self.side)
        square, _ = fit(small, np.zeros(small.shape[:2], np.uint8), self.side)
        device = next(self.model.parameters()).device
        return Encoded(small, self.model.backbone(to_tensor(square)[None].to(device)))

    @torch.inference_mode()
    def find(self, support: Encoded, mask: np.ndarray, query: Encoded) -> np.ndarray:
        """Probability of the thing, (h, w) float32 of the query's size.

        Args:
            support, query: encoded pictures.
            mask: (h, w) of the support's size, 1 on the thing, 0 elsewhere.

        Raises:
            ValueError: a mask of another size, or an empty one.
        """
        if mask.shape != support.size or not (mask == 1).any():
            raise ValueError(
                f"a mask of {mask.shape} with {(mask == 1).sum()} pixels of the thing; expected "
                f"{support.size} and at least one: mark the thing in the support"
            )
        _, square = fit(support.image, mask.astype(np.uint8), self.side)
        deep = support.features.deep
        given = torch.from_numpy(square)[None, None].to(deep.device)
        logits = self.model.segment(query.features, deep[:, None], given)
        logits = F.interpolate(logits, (self.side,) * 2, mode="bilinear", align_corners=False)
        height, width = query.size
        return logits.softmax(1)[0, 1, :height, :width].float().cpu().numpy()


class MaskItYourself(anywidget.AnyWidget):
    """The live picture; see `mask_it_yourself`."""

    _esm, _css = live.module("mine"), live.style()
    data = traitlets.Bytes().tag(sync=True)

    def __init__(
        self, search: Search, supports: Mapping[str, Any], queries: Mapping[str, Any], **kwargs: Any
    ):
        self.search, self._coming = search, bytearray()
        self._supports = [search.encode(x) for x in supports.values()]
        self.support = self._supports[0]
        self.queries = [search.encode(x) for x in queries.values()]
        shown = {
            "supports": _named(supports, self._supports), "queries": _named(queries, self.queries)
        }  # fmt: skip
        super().__init__(data=pack(shown), **kwargs)
        self.on_msg(lambda _, content, buffers: self.hear(content, buffers))

    def hear(self, content: Mapping[str, Any], buffers: Sequence[Any]) -> None:
        """What the page asks: another support, an uploaded picture, or the answers for a mask."""
        try:
            getattr(self, f"_{content['kind']}")(content, buffers)
        except BadImage as error:
            self.send({"kind": "trouble", "text": f"{content['name']} {error.reason}"})
        except (ValueError, OSError) as error:
            self.send({"kind": "trouble", "text": str(error)})

    def _example(self, content: Mapping[str, Any], _: Sequence[Any]) -> None:
        self.support = self._supports[content["index"]]

    def _upload(self, content: Mapping[str, Any], buffers: Sequence[Any]) -> None:
        self._coming += bytes(buffers[0])  # in pieces: a message may not be as large as a photo
        if not content["last"]:
            return
        raw, self._coming = bytes(self._coming), bytearray()
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"picture{Path(content['name']).suffix.lower()}"
            path.write_bytes(raw)
            encoded = self.search.encode(path)
        if content["role"] == "support":
            self.support = encoded
        else:
            self.queries.append(encoded)
        told = {"kind": "picture", "role": content["role"], "name": content["name"]}
        self.send(told, [pack({"image": Picture(encoded.image)})])

    def _mask(self, content: Mapping[str, Any], buffers: Sequence[Any]) -> None:
        mask = np.frombuffer(bytes(buffers[0]), np.uint8).reshape(self.support.size)
        found = [self.search.find(self.support, mask, query) for query in self.queries]
        told = {"kind": "answers", "number": content["number"]}
        self.send(told, [pack({"answers": [in_steps(x) for x in found]})])

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        bundle = super()._repr_mimebundle_(**kwargs)
        data, metadata = bundle if isinstance(bundle, tuple) else (bundle, {})
        if not data:
            return bundle
        first, alt = self._still(), "A picture to mark a thing in, and pictures to find it in"
        kind = kind_of(first)
        return data | {kind: base64.b64encode(first).decode()}, (metadata or {}) | {
            kind: {"alt": alt}
        }

    def _still(self) -> bytes:
        import matplotlib.pyplot as plt

        from hmnet_lite.workbook.figures.parts import STYLE, WIDTH, picture

        shown = [self.support, *self.queries][:4]
        with plt.rc_context(STYLE):
            figure, axes = plt.subplots(
                1, len(shown), figsize=(WIDTH, 2.6), layout="constrained", squeeze=False
            )
            for i, (ax, one) in enumerate(zip(axes[0], shown, strict=True)):
                picture(ax, one.image, "mark it here, in JupyterLab" if i == 0 else "found here?")
        return still(figure)


def _named(names: Mapping[str, Any], pictures: Sequence[Encoded]) -> list[dict[str, Any]]:
    return [
        {"name": name, "image": Picture(one.image)}
        for name, one in zip(names, pictures, strict=True)
    ]


def mask_it_yourself(
    model: HMNet, supports: Mapping[str, Any], queries: Mapping[str, Any], *, side: int = SIDE
) -> MaskItYourself:
    """Mark a thing in a picture and find it in others, all of them one's own or those given.

    Controls: the support (one of those given, or a file), a box or a brush, more queries (files),
    and the threshold.

    Args:
        model: an HMNet-lite.
        supports, queries: name to picture, as `hmnet_lite.segment` takes one; one at least.
        side: of the network's square.
    """
    return MaskItYourself(Search(model, side=side), supports, queries)

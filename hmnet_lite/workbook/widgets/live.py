"""Pictures that are alive without a kernel: arrays, a module of plain JavaScript, and a still.

    Live("qim", {"maps": maps, "query": Picture(image)}, still=png, alt="What is seen ...")

A topic's module (`TOPIC.js` beside this file) follows `live.js`, which holds what all share, and
has the form that anywidget asks for. The output of a cell is one piece of HTML with module and
data, so it lives in JupyterLab, in a notebook that is opened again, and on a page opened from a
file. Where scripts may not run, and in the committed notebook, the still is seen.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import html
import io
import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

FOLDER = Path(__file__).parent
DTYPES = ("uint8", "float16", "float32")
STILL = 40_000  # bytes of a still at most: notebooks hold many
QUALITY = 80  # of WebP: drawings stay sharp at a tenth of their bytes
STEPS = 20  # the thresholds of answers are multiples of 1 / STEPS


@dataclass(frozen=True, eq=False)
class Picture:
    """An image among the data: (height, width, 3) uint8; travels as WebP."""

    image: np.ndarray


def seen_as(image: np.ndarray, mask: np.ndarray) -> dict[str, Any]:
    """A picture with its mask, as live.js draws them: (H, W, 3) uint8 and (H, W) of {0, 1, 255}."""
    return {"image": Picture(image), "mask": np.ascontiguousarray(mask)}


def as_bytes(probability: np.ndarray) -> np.ndarray:
    """[0, 1] → uint8, 255 for 1."""
    return (255 * probability).round().astype(np.uint8)


def in_steps(probability: np.ndarray, steps: int = STEPS) -> np.ndarray:
    """[0, 1] → uint8, 255 for 1, in few levels, which travel lightly.

    Above a threshold k / steps, k = 1, 2, …, are then the same pixels as before.
    """
    level = (np.ceil(np.asarray(probability, float) * steps) - 1).clip(0, steps - 1)
    return (255 * (level + 0.5) / steps).round().astype(np.uint8)


def thinned(x: np.ndarray, bits: int = 7) -> np.ndarray:
    """float16 with this many of its 10 bits of fraction, rounded: what is left out travels free."""
    drop = 10 - bits
    raw = x.astype(np.float16).view(np.uint16)
    return ((raw + (1 << (drop - 1))) & (0xFFFF >> drop << drop)).astype(np.uint16).view(np.float16)


def still(figure: Any) -> bytes:
    """A matplotlib figure as a small PNG or JPEG; closes it."""
    import matplotlib.pyplot as plt

    from hmnet_lite.workbook.figures.parts import small

    _, raw = small(figure, max_bytes=STILL)
    plt.close(figure)
    return raw


def kind_of(raw: bytes) -> str:
    """ "image/png" or "image/jpeg", by a file's first bytes."""
    return "image/jpeg" if raw.startswith(b"\xff\xd8") else "image/png"


def pack(data: Mapping[str, Any]) -> bytes:
    """A tree of dicts, lists, numbers, strings, arrays and `Picture`s as one gzipped block.

    Layout: the header's end (uint32, little endian), a JSON tree with places for arrays, arrays.

    Raises:
        TypeError: an array of another type than uint8, float16 or float32.
    """
    parts: dict[bytes, int] = {}  # each once, however often it is named

    def place(raw: bytes) -> int:
        if raw not in parts:
            parts[raw] = sum(len(x) + -len(x) % 4 for x in parts)
        return parts[raw]

    def walk(node: Any) -> Any:
        if isinstance(node, Mapping):
            return {str(name): walk(value) for name, value in node.items()}
        if isinstance(node, list | tuple):
            return [walk(value) for value in node]
        if isinstance(node, Picture):
            raw = _webp(node.image)
            return {"picture": [place(raw), len(raw)]}
        if isinstance(node, np.ndarray):
            if node.dtype.name not in DTYPES:
                raise TypeError(
                    f"an array of {node.dtype} among a widget's data; expected one of "
                    f"{', '.join(DTYPES)}: convert it with .astype"
                )
            return {"array": [node.dtype.name, list(node.shape), place(node.tobytes())]}
        return node

    header = json.dumps(walk(data), ensure_ascii=False).encode()
    header += b" " * (-(len(header) + 4) % 4)
    body = b"".join(raw + bytes(-len(raw) % 4) for raw in parts)
    block = struct.pack("<I", len(header) + 4) + header + body
    return gzip.compress(block, mtime=0)


def _webp(image: np.ndarray) -> bytes:
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(image)).save(file, "WEBP", quality=QUALITY, method=6)
    return file.getvalue()


@cache
def module(topic: str) -> str:
    """The JavaScript of a topic, what all share before it."""
    return "\n".join((FOLDER / f"{name}.js").read_text("utf-8") for name in ("live", topic))


@cache
def style() -> str:
    """The CSS of all live pictures."""
    return (FOLDER / "live.css").read_text("utf-8")


PAGE = """<div data-live="{key}"><img src="data:{kind};base64,{still}" alt="{alt}"></div>
<style>{style}</style>
<script type="module">
{module}
mount("{key}", render, "{data}");
</script>"""


@dataclass(frozen=True, eq=False)
class Live:
    """A live picture, for a notebook to show.

    Attributes:
        topic: names the JavaScript module.
        data: what it draws, as `pack` takes it.
        still: a PNG or JPEG of how it begins.
        alt: what is seen on the still, for readers who do not see it.
    """

    topic: str
    data: Mapping[str, Any]
    still: bytes
    alt: str

    def html(self) -> str:
        """A piece of a page that lives by itself."""
        data, first = (base64.b64encode(x).decode() for x in (pack(self.data), self.still))
        return PAGE.format(
            key=f"{self.topic}-{hashlib.sha256(data.encode()).hexdigest()[:12]}",
            kind=kind_of(self.still), still=first, alt=html.escape(self.alt),
            style=style(), module=module(self.topic), data=data,
        )  # fmt: skip

    def _repr_mimebundle_(self, **_: Any) -> tuple[dict, dict]:
        still = base64.b64encode(self.still).decode()
        kind = kind_of(self.still)
        data = {"text/html": self.html(), kind: still, "text/plain": self.alt}
        return data, {kind: {"alt": self.alt}}

"""What figures share beside `palette`: type sizes, grids of pictures, outlines, small files."""

from __future__ import annotations

import io
import os
from functools import partial
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from hmnet_lite.data.episode import IGNORE
from hmnet_lite.files import write_bytes
from hmnet_lite.workbook.figures.palette import BLACK, GREYS, YELLOW

DASHES = ("-", "--", ":", "-.")
MARKERS = "os^Dvp*"

#: how the four traversals are called under pictures, in the order of `maps.reading_order`
DIRECTION_NAMES = ("→ by rows", "↓ by columns", "← rows backwards", "↑ columns backwards")
GAP_LABELS = {"same": "same", "sibling": "sibling", "cross": "cross", "held_out": "held-out"}

WIDTH = 9.0  # inches; 900 px at 100 dpi, what a notebook shows without shrinking it
STYLE = {
    "figure.dpi": 100,
    "font.size": 11,
    "axes.titlesize": 11,
    "axes.labelsize": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "grid.color": GREYS[2],
    "legend.frameon": False,
    "lines.linewidth": 2,
}


def grid(panels: int, *, columns: int, largest: float, above: float) -> tuple[Figure, list[Axes]]:
    """Square panels of at most ``largest`` inches with room ``above`` each; unused ones hidden."""
    rows, side = -(-panels // columns), min(WIDTH / columns, largest)
    figure, axes = plt.subplots(
        rows, columns, figsize=(side * columns, (side + above) * rows), layout="constrained",
        squeeze=False,
    )  # fmt: skip
    figure.get_layout_engine().set(w_pad=0.03, h_pad=0.03)
    for ax in axes.flat:
        ax.set_axis_off()
    return figure, list(axes.flat)


def picture(ax: Axes, image: np.ndarray, title: str) -> None:
    """``image`` without axes, under ``title``."""
    ax.imshow(np.asarray(image), interpolation="antialiased")
    ax.set_title(title)
    ax.set_axis_off()


def outline(ax: Axes, mask: np.ndarray) -> None:
    """The border of ``mask == 1``, yellow in a black casing: seen on any background.

    Ignored pixels (255) are whitened.
    """
    mask = np.asarray(mask)
    height, width = mask.shape
    if (mask == IGNORE).any():
        veil = np.zeros((height, width, 4))
        veil[mask == IGNORE] = (1, 1, 1, 0.7)
        ax.imshow(veil)
    # one pixel of background around it closes the line where the mask meets the image's edge
    padded = np.pad((mask == 1).astype(float), 1)
    if padded.any():
        lines = ax.contour(
            np.arange(-1, width + 1), np.arange(-1, height + 1), padded, [0.5],
            colors=[YELLOW], linewidths=1.8,
        )  # fmt: skip
        lines.set_path_effects([withStroke(linewidth=4, foreground=BLACK)])
    ax.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5))


def pale(image: np.ndarray, strength: float = 0.5) -> np.ndarray:
    """Nearer to white, so that lines on it are seen: uint8, of the image's shape."""
    return (255 - strength * (255 - np.asarray(image, float))).round().astype(np.uint8)


def joined(*words: str) -> str:
    """The words that are not empty, with dots between."""
    return " · ".join(word for word in words if word)


def png(figure: Figure | Axes, *, max_bytes: int = 100_000) -> bytes:
    """``figure`` as a PNG of at most ``max_bytes``, so that notebooks with it stay small.

    Tries full colour, then the best 256, 128 and 64 colours (not dithered: dots do not compress),
    then fewer dots an inch, down to 50.

    Raises:
        ValueError: not even that is small enough.
    """
    from PIL import Image

    figure = figure.figure if isinstance(figure, Axes) else figure
    for dpi in (100, 85, 70, 60, 50):
        raw = io.BytesIO()
        figure.savefig(raw, format="png", dpi=dpi, facecolor="white")
        image = Image.open(raw).convert("RGB")
        for colours in (None, 256, 128, 64):
            candidate = image
            if colours:
                # k-means brings back rare, vivid colours that median cut alone merges; it goes on
                # until fewer than this many pixels change
                settled = image.width * image.height // 50
                candidate = image.quantize(colours, kmeans=settled, dither=Image.Dither.NONE)
            small = io.BytesIO()
            candidate.save(small, "PNG", optimize=True)
            if len(small.getvalue()) <= max_bytes:
                return small.getvalue()
    raise ValueError(
        f"the figure takes {len(small.getvalue()):,} bytes at 50 dpi and 64 colours; expected at "
        f"most {max_bytes:,}. Mend: show fewer or smaller pictures, or raise max_bytes"
    )


def save(figure: Figure | Axes, path: str | os.PathLike[str], *, max_bytes: int = 100_000) -> Path:
    """Write :func:`png` of ``figure`` to ``path``, whole or not at all; returns the path.

    Raises:
        ValueError: it cannot be made small enough.
        OSError: it cannot be written; see :mod:`hmnet_lite.files`.
    """
    return write_bytes(path, png(figure, max_bytes=max_bytes))


def small(figure: Figure | Axes, *, max_bytes: int = 50_000) -> tuple[str, bytes]:
    """``figure`` for a notebook, in few bytes: a PNG of few colours, or a JPEG.

    Drawings have few colours: 64 to 256 of them change no level of theirs by more than one or two
    in the mean (root mean square), and make a third of the bytes. Photographs do not; as JPEG they
    stay sharp. Of what is true to the figure the smallest is taken. If that is too large, coarser
    JPEGs are tried, and then fewer dots an inch, down to 60.

    Returns:
        the format, "png" or "jpeg", and the file.

    Raises:
        ValueError: not even that is small enough.
    """
    from PIL import Image

    figure = figure.figure if isinstance(figure, Axes) else figure
    for dpi in (100, 85, 70, 60):
        raw = io.BytesIO()
        figure.savefig(raw, format="png", dpi=dpi, facecolor="white")
        image = Image.open(raw).convert("RGB")
        found = [
            ("png", file) for file in map(partial(_fewer_colours, image), (64, 128, 256)) if file
        ]
        for quality in (85, 75, 60):
            file = io.BytesIO()
            sharp = 0 if quality > 60 else 2  # colours whole, or at half the side
            image.save(file, "JPEG", quality=quality, subsampling=sharp, optimize=True)
            kind, smallest = min([*found, ("jpeg", file.getvalue())], key=lambda x: len(x[1]))
            if len(smallest) <= max_bytes:
                return kind, smallest
    raise ValueError(
        f"the figure takes {len(smallest):,} bytes at 60 dpi; expected at most {max_bytes:,}. "
        "Mend: show fewer or smaller pictures, or raise max_bytes"
    )


def _fewer_colours(image: Any, colours: int) -> bytes | None:
    """A PNG of that many colours; None if that changes the levels by more than 1.5."""
    from PIL import Image

    # k-means brings back rare, vivid colours that median cut alone merges
    settled = image.width * image.height // 50
    few = image.quantize(colours, kmeans=settled, dither=Image.Dither.NONE)
    change = np.asarray(few.convert("RGB"), float) - np.asarray(image, float)
    if (change**2).mean() > 1.5**2:
        return None
    file = io.BytesIO()
    few.save(file, "PNG", optimize=True)
    return file.getvalue()


def show(figure: Figure | Axes, caption: str, *, max_bytes: int = 50_000) -> None:
    """Display ``figure``, :func:`small`, in a notebook and close it, so that it shows once.

    Args:
        figure: what to show.
        caption: what is seen on it, for readers who do not see it: the picture's alternative text.
        max_bytes: of the picture.

    Raises:
        ValueError: it cannot be made small enough.
    """
    from IPython.display import Image, display

    figure = figure.figure if isinstance(figure, Axes) else figure
    kind, data = small(figure, max_bytes=max_bytes)
    display(Image(data=data, format=kind, alt=caption))
    plt.close(figure)

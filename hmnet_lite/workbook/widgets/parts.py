"""Live pictures for the notebooks: each function returns an ipywidgets widget.

A widget's picture is an `Image`, so tests can compare its bytes and pages can show its first
state. Pictures are JPEG: drawn in a blink, and small.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any


def jpeg(figure: Any, *, dpi: int = 85) -> bytes:
    """A matplotlib figure as JPEG; closes it."""
    import matplotlib.pyplot as plt

    file = io.BytesIO()
    figure.savefig(file, format="jpeg", dpi=dpi, facecolor="white", pil_kwargs={"quality": 80})
    plt.close(figure)
    return file.getvalue()


def live_picture(draw: Callable[..., bytes], **controls: Any) -> Any:
    """A picture under its controls, drawn again whenever one of them changes.

    Args:
        draw: takes the controls' values by name and gives a JPEG.
        controls: ipywidgets controls by the names of `draw`'s arguments.

    Returns:
        a VBox of the controls, then the Image.
    """
    import ipywidgets

    image = ipywidgets.Image(format="jpeg", layout={"max_width": "100%", "object_fit": "contain"})

    def redraw(_: object = None) -> None:
        image.value = draw(**{name: control.value for name, control in controls.items()})

    for control in controls.values():
        control.observe(redraw, "value")
    redraw()
    return ipywidgets.VBox([*controls.values(), image])
